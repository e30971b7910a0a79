{#- The rows of several int_exceptions_ models; they all have the same columns. -#}
{% macro union_exceptions(models) -%}
    {% set columns = [
        "exception_type", "subject_key", "entity_code", "store_id", "gateway_id", "order_key", "settlement_key",
        "settlement_line_key", "bank_line_key", "amount_at_risk", "currency_code", "opened_at", "evidence",
    ] -%}
    {% for model in models -%}
    select
        {% for column in columns -%}
        {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref(model) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
{%- endmacro %}
