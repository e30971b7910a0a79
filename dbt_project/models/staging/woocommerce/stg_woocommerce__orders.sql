-- Canaries are no orders: they are in stg_woocommerce__canary_orders, and nowhere else.
select
    orders.store_id || ':' || cast(orders.id as varchar) as order_key,
    orders.store_id,
    orders.id as order_id,
    orders.number as order_number,
    orders.order_key as store_order_key,
    -- Deleted for good at the store: what was there stays visible, and counts no more than what is in the trash.
    case when {{ woo_has_tombstone('orders', 'tombstones') }} then 'deleted' else orders.status end as store_status,
    orders.status as last_store_status,
    {{ woo_has_tombstone('orders', 'tombstones') }} as is_deleted,
    upper(orders.currency) as currency_code,
    orders.prices_include_tax,
    orders.customer_id,
    orders.billing_email,
    orders.billing_country,
    orders.billing_state,
    orders.shipping_country,
    orders.shipping_state,
    orders.payment_method,
    -- Where the order itself names no transaction, a plugin may: WooPayments, and some that use Stripe.
    coalesce(
        nullif(trim(orders.transaction_id), ''),
        nullif({{ woo_meta_value('orders.meta_data', '_charge_id') }}, ''),
        nullif({{ woo_meta_value('orders.meta_data', '_stripe_charge_id') }}, '')
    ) as transaction_id,
    -- Stripe's plugin, WooPayments, and Payment Plugins for Stripe.
    coalesce(
        nullif({{ woo_meta_value('orders.meta_data', '_stripe_intent_id') }}, ''),
        nullif({{ woo_meta_value('orders.meta_data', '_intent_id') }}, ''),
        nullif({{ woo_meta_value('orders.meta_data', '_payment_intent_id') }}, '')
    ) as intent_id,
    {{ woo_meta_value('orders.meta_data', '_stripe_refund_id') }} as last_gateway_refund_id,
    orders.created_via,
    cast(orders.total as decimal(18, 4)) as total_amount,
    cast(coalesce(orders.total_tax, 0) as decimal(18, 4)) as tax_amount,
    cast(coalesce(orders.shipping_total, 0) as decimal(18, 4)) as shipping_amount,
    cast(coalesce(orders.shipping_tax, 0) as decimal(18, 4)) as shipping_tax_amount,
    cast(coalesce(orders.discount_total, 0) as decimal(18, 4)) as discount_amount,
    cast(coalesce(orders.discount_tax, 0) as decimal(18, 4)) as discount_tax_amount,
    {{ utc_timestamp('orders.date_created_gmt') }} as created_at,
    {{ utc_timestamp('orders.date_modified_gmt') }} as modified_at,
    {{ utc_timestamp('orders.date_paid_gmt') }} as paid_at,
    {{ utc_timestamp('orders.date_completed_gmt') }} as completed_at,
    orders._payload_sha256 as payload_sha256,
    {{ utc_timestamp('orders._loaded_at') }} as loaded_at
from {{ source('woocommerce', 'orders') }} as orders
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on orders.store_id = tombstones.store_id and orders.id = tombstones.id and tombstones.resource = 'orders'
left join {{ source('ops', 'canaries') }} as canaries
    on {{ joins_canary('orders', 'canaries') }}
where canaries.token is null
