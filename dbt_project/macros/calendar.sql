{#- A date, some bank working days later (columns or numbers): Saturdays and Sundays do not count, and a date on one of
    them is the Monday after; of holidays nothing is known. -#}
{% macro add_working_days(date, days) -%}
    {%- set weekday = 'extract(isodow from ' ~ date ~ ')' -%}
    ({{ date }} + cast(
        case when {{ weekday }} > 5 then 8 - {{ weekday }} else 0 end
        + {{ days }}
        + 2 * floor((case when {{ weekday }} > 5 then 0 else {{ weekday }} - 1 end + {{ days }}) / 5.0)
        as integer
    ))
{%- endmacro %}
