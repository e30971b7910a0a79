{#- DuckDB replaces a view or a table within a transaction, so the adapter's way (build beside, rename twice, drop) is not
    needed for readers to see the old one or the new one; without it a build of this size takes a third less time. -#}
{% materialization view, adapter="duckdb" -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type="view") -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing is not none and not existing.is_view -%}
        {% do adapter.drop_relation(existing) %}
    {%- endif %}
    {% if config.get("contract").enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    {% call statement("main") -%}
        create or replace view {{ target_relation }} as (
            {{ sql }}
        );
    {%- endcall %}
    {% if config.get("contract").enforced -%}
        {% do tell_row_count(target_relation) %}
    {%- endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{%- endmaterialization %}

{% materialization table, adapter="duckdb" -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type="table") -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing is not none -%}
        {% call statement("drop_existing") -%}
            drop {{ existing.type }} if exists {{ existing }};
        {%- endcall %}
    {%- endif %}
    {% call statement("main") -%}
        {{ create_table_as(False, target_relation, sql) }}
    {%- endcall %}
    {% do tell_row_count(target_relation) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{%- endmaterialization %}

{#- DuckDB does not say how many rows it wrote. Asked here, nobody has to wait until dbt lets go of the file; told as
    Postgres tells it. -#}
{% macro tell_row_count(relation) -%}
    {%- set count = run_query("select count(*) from " ~ relation).columns[0].values()[0] | string -%}
    {%- do store_raw_result("main", message="SELECT " ~ count, code="SELECT", rows_affected=count) -%}
{%- endmacro %}

{#- A view has no constraints, so the contract of a mart that is one is kept by counting: a hook of every mart, before
    its transaction ends. -#}
{% macro refuse_nulls() -%}
    {%- if execute and model.config.materialized == "view" -%}
        {%- set required = [] -%}
        {%- for column in model.columns.values() if column.constraints | selectattr("type", "equalto", "not_null") | list -%}
            {%- do required.append("count(*) - count(" ~ column.name ~ ") as " ~ column.name) -%}
        {%- endfor -%}
        {%- if required -%}
            {%- set missing = run_query("select " ~ required | join(", ") ~ " from " ~ this) -%}
            {%- for name in missing.column_names if missing.columns[name].values()[0] > 0 -%}
                {%- do exceptions.raise_compiler_error(
                    "NOT NULL constraint failed: " ~ this.identifier ~ "." ~ name
                ) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
