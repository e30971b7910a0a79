{# Leaves out records that the ERP no longer has; one that changed after the deletion is a new record of that name. #}
{% macro erp_still_has(records, table_name, id_column='id') -%}
not exists (
        select 1
        from {{ source('erp', 'deletions') }} as deletions
        where
            deletions.erp_id = {{ records }}.erp_id
            and deletions.table_name = '{{ table_name }}'
            and deletions.id = {{ records }}.{{ id_column }}
            and deletions.is_deleted
            and coalesce(deletions.modified >= {{ records }}.modified, true)
    )
{%- endmacro %}
