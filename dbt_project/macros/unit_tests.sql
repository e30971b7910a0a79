{#- dbt compares texts, and a decimal of Postgres has as many digits as what it was made of: trailing zeros go. -#}
{% macro postgres__get_unit_test_sql(main_sql, expected_fixture_sql, expected_column_names) -%}
    {%- set compared = ["actual", "expected"] -%}
    with dbt_internal_actual as (
        {{ main_sql }}
    ),

    dbt_internal_expected as (
        {{ expected_fixture_sql }}
    )
    {% for which in compared %}
    select
        {% for column in expected_column_names -%}
        case
            when cast({{ column }} as varchar) ~ '^-?[0-9]+[.][0-9]+$'
                then cast(trim_scale(cast(cast({{ column }} as varchar) as decimal)) as varchar)
            else cast({{ column }} as varchar)
        end as {{ column }},
        {% endfor -%}
        {{ dbt.string_literal(which) }} as {{ adapter.quote("actual_or_expected") }}
    from dbt_internal_{{ which }}
    {{ "union all" if not loop.last }}
    {% endfor %}
{%- endmacro %}
