-- A payment that is captured apart (Klarna, cards) is paid or authorised, and says how much of it was captured.
select
    source.gateway_id || ':' || source.id as payment_key,
    source.gateway_id,
    'mollie' as gateway_system,
    'payments' as source_table,
    source.id as payment_id,
    source.mollie_order_id as intent_id,
    cast(null as varchar) as line_id,
    case
        when source.status in ('paid', 'authorized') then 'succeeded'
        when source.status in ('open', 'pending') then 'pending'
        else 'failed'
    end as payment_status,
    source.currency as currency_code,
    source.amount as authorised_amount,
    cast(
        coalesce(
            cast(source.amount_captured as decimal(18, 4)),
            case when source.status = 'paid' then source.amount else 0 end
        ) as decimal(18, 4)
    ) as captured_amount,
    cast(coalesce(source.amount_refunded, '0') as decimal(18, 4)) as refunded_amount,
    coalesce(source.mode, 'live') = 'live' as is_live,
    source.status = 'paid' or coalesce(cast(source.amount_captured as decimal(18, 4)), 0) > 0 as is_captured,
    coalesce(cast(source.amount_charged_back as decimal(18, 4)), 0) > 0 as is_disputed,
    cast(null as varchar) as store_order_key,
    nullif(trim(source.metadata_order_id), '') as order_reference,
    cast(null as varchar) as merchant_reference,
    cast(null as varchar) as site_url,
    source.description,
    case when source.status in ('failed', 'expired', 'canceled') then source.status end as failure_code,
    source.method as payment_method_type,
    cast(null as varchar) as card_brand,
    cast(null as varchar) as card_country,
    {{ utc_timestamp('cast(coalesce(source.paid_at, source.created_at) as timestamptz)') }} as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('mollie', 'payments') }} as source
