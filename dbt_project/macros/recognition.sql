{#- What an order line, or a refund of it, is about: the article, or where it has no number the product. -#}
{% macro article_of(lines) -%}
    coalesce(
        {{ lines }}.sku, 'product:' || cast(coalesce({{ lines }}.variation_id, {{ lines }}.product_id) as varchar)
    )
{%- endmacro %}

{#- Whether a line is a gift card by one of the store's named products (stg_ops__gift_card_products). -#}
{% macro is_gift_card(lines, products) -%}
    {{ lines }}.store_id = {{ products }}.store_id
    and {{ products }}.product in (
        case when {{ products }}.named_by = 'sku' then lower(trim({{ lines }}.sku)) end,
        case when {{ products }}.named_by = 'id' then cast({{ lines }}.product_id as varchar) end,
        case when {{ products }}.named_by = 'id' then cast({{ lines }}.variation_id as varchar) end
    )
{%- endmacro %}
