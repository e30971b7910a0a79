select
    store_id || ':' || cast(id as varchar) as refund_key,
    store_id || ':' || cast(parent_id as varchar) as order_key,
    store_id,
    id as refund_id,
    parent_id as order_id,
    reason,
    refunded_payment as is_paid_by_gateway,
    {{ woo_meta_value('meta_data', '_stripe_refund_id') }} as gateway_refund_id,
    cast(amount as decimal(18, 4)) as refund_amount,
    {{ utc_timestamp('date_created_gmt') }} as created_at,
    _payload_sha256 as payload_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('woocommerce', 'refunds') }}
