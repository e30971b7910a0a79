with lines as (
    select
        gateway_id,
        refund_id,
        min(case when type = 'refund' then id end) as line_id,
        min(case when type = 'returned-refund' then id end) as failure_line_id
    from {{ source('mollie', 'balance_transactions') }}
    where type in ('refund', 'returned-refund') and refund_id is not null
    group by gateway_id, refund_id
)

select
    source.gateway_id || ':' || source.id as gateway_refund_key,
    source.gateway_id,
    'mollie' as gateway_system,
    source.id as gateway_refund_id,
    source.payment_id,
    cast(null as varchar) as intent_id,
    lines.line_id,
    lines.failure_line_id,
    case
        when lines.failure_line_id is not null or source.status = 'failed' then 'failed'
        when source.status = 'refunded' then 'succeeded'
        when source.status = 'canceled' then 'canceled'
        else 'pending'
    end as refund_status,
    source.description as reason,
    cast(null as varchar) as failure_reason,
    source.currency as currency_code,
    source.amount as refund_amount,
    {{ utc_timestamp('cast(source.created_at as timestamptz)') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('mollie', 'refunds') }} as source
left join lines on source.gateway_id = lines.gateway_id and source.id = lines.refund_id
