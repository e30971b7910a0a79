{#- Exact money: nothing here may turn a decimal into a float (in DuckDB, "/" and round() with a column do). -#}

{#- Minor units as decimal(18,4) in major units. An unknown exponent gives null, which the marts refuse. -#}
{% macro from_minor(amount, exponent) -%}
    cast(
        cast({{ amount }} as decimal(18, 0)) * case {{ exponent }}
            when 0 then cast(1 as decimal(5, 4))
            when 1 then cast(0.1 as decimal(5, 4))
            when 2 then cast(0.01 as decimal(5, 4))
            when 3 then cast(0.001 as decimal(5, 4))
            when 4 then cast(0.0001 as decimal(5, 4))
        end as decimal(18, 4)
    )
{%- endmacro %}

{#- A decimal rounded to a currency's digits (a column), half away from zero. -#}
{% macro round_money(amount, digits) -%}
    case {{ digits }}
        {% for n in range(4) -%}
        when {{ n }} then cast(round({{ amount }}, {{ n }}) as decimal(18, 4))
        {% endfor -%}
        else cast(round({{ amount }}, 4) as decimal(18, 4))
    end
{%- endmacro %}

{#- An amount times a rate, rounded to the digits of the currency it becomes. The rate's type keeps the product within
    38 digits: 8 before the point, 12 after it. -#}
{% macro convert_money(amount, rate, digits) -%}
    {{ round_money("cast(" ~ amount ~ " as decimal(18, 4)) * cast(" ~ rate ~ " as decimal(20, 12))", digits) }}
{%- endmacro %}

{#- So many minor units of a currency as an amount. -#}
{% macro minor_units(count, digits) -%}{{ from_minor(count, digits) }}{%- endmacro %}
