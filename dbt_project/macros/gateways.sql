{#- The rows of one canonical gateway staging model over the gateway systems that have it (var gateway_systems). -#}
{% macro union_gateways(entity, columns) -%}
    {#- The linter renders without dbt's variables: for it there is one gateway. -#}
    {% set listed = var("gateway_systems") if var("gateway_systems") is mapping else {"gateway": [entity]} -%}
    {% set systems = [] -%}
    {% for system, entities in listed.items() if entity in entities -%}
    {% do systems.append(system) -%}
    {% endfor -%}
    {% for system in systems -%}
    select
        {% for column in columns -%}
        {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref("stg_" ~ system ~ "__" ~ entity) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
{%- endmacro %}
