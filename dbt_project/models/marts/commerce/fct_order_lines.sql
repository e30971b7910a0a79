with lines as (
    select
        order_line_key,
        order_key,
        line_id,
        'product' as line_kind,
        line_name,
        store_id || ':' || cast(coalesce(variation_id, product_id) as varchar) as product_key,
        sku,
        quantity,
        net_before_discount_amount,
        net_amount,
        tax_amount
    from {{ ref('stg_woocommerce__order_lines') }}
    union all
    select
        order_line_key,
        order_key,
        line_id,
        'shipping' as line_kind,
        line_name,
        cast(null as varchar) as product_key,
        cast(null as varchar) as sku,
        cast(1 as decimal(28, 12)) as quantity,
        net_amount as net_before_discount_amount,
        net_amount,
        tax_amount
    from {{ ref('stg_woocommerce__order_shipping_lines') }}
    union all
    select
        order_line_key,
        order_key,
        line_id,
        'fee' as line_kind,
        line_name,
        cast(null as varchar) as product_key,
        cast(null as varchar) as sku,
        cast(1 as decimal(28, 12)) as quantity,
        net_amount as net_before_discount_amount,
        net_amount,
        tax_amount
    from {{ ref('stg_woocommerce__order_fee_lines') }}
)

select
    lines.order_line_key,
    lines.order_key,
    orders.store_id,
    orders.entity_code,
    lines.line_id,
    lines.line_kind,
    lines.product_key,
    lines.sku,
    lines.line_name,
    cast(lines.quantity as decimal(18, 4)) as quantity,
    orders.currency_code,
    lines.net_before_discount_amount,
    cast(lines.net_before_discount_amount - lines.net_amount as decimal(18, 4)) as discount_amount,
    lines.net_amount,
    lines.tax_amount,
    orders.accounting_date
from lines
inner join {{ ref('int_orders_enriched') }} as orders on lines.order_key = orders.order_key
