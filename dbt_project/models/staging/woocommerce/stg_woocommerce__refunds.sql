select
    refunds.store_id || ':' || cast(refunds.id as varchar) as refund_key,
    refunds.store_id || ':' || cast(refunds.parent_id as varchar) as order_key,
    refunds.store_id,
    refunds.id as refund_id,
    refunds.parent_id as order_id,
    refunds.reason,
    refunds.refunded_payment as is_paid_by_gateway,
    -- WooPayments' own records know a refund by its transaction only.
    coalesce(
        nullif({{ woo_meta_value('refunds.meta_data', '_stripe_refund_id') }}, ''),
        nullif({{ woo_meta_value('refunds.meta_data', '_wcpay_refund_transaction_id') }}, ''),
        nullif({{ woo_meta_value('refunds.meta_data', '_wcpay_refund_id') }}, '')
    ) as gateway_refund_id,
    cast(refunds.amount as decimal(18, 4)) as refund_amount,
    {{ utc_timestamp('refunds.date_created_gmt') }} as created_at,
    refunds._payload_sha256 as payload_sha256,
    {{ utc_timestamp('refunds._loaded_at') }} as loaded_at
from {{ source('woocommerce', 'refunds') }} as refunds
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on refunds.store_id = tombstones.store_id and refunds.id = tombstones.id and tombstones.resource = 'refunds'
-- A refund taken back is none. One that went with its order stays: the order was sold, and the money was paid back.
where not ({{ woo_has_tombstone('refunds', 'tombstones') }} and tombstones.cause = 'itself')
