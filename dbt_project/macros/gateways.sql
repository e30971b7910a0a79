{#- The rows of one canonical gateway staging model over all gateway systems of var gateway_systems. -#}
{% macro union_gateways(entity, columns) -%}
    {% for system in var("gateway_systems") -%}
    select
        {% for column in columns -%}
        {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref("stg_" ~ system ~ "__" ~ entity) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
{%- endmacro %}
