{#- What the lines of a summary have in common, as one text: they differ in amounts and texts alone. -#}
{% macro summary_group(lines) -%}
    {{ lines }}.account_code || '|' || {{ lines }}.account_role || '|' || coalesce({{ lines }}.tax_jurisdiction, '') || '|'
    || {{ lines }}.currency_code || '|' || cast({{ lines }}.exchange_rate as varchar)
    || coalesce('|' || {{ lines }}.product_class, '') || coalesce('|' || {{ lines }}.cost_centre, '')
    || case when {{ lines }}.base_amount > 0 then '|debit' else '|credit' end
{%- endmacro %}
