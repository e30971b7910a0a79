-- One payment a Klarna order; it may be captured in several parts, each a sale of its own.
select
    gateway_id || ':' || order_id as payment_key,
    gateway_id,
    'klarna' as gateway_system,
    max(source_table) as source_table,
    order_id as payment_id,
    case when count(distinct capture_id) = 1 then min(capture_id) end as intent_id,
    min(line_id) as line_id,
    'succeeded' as payment_status,
    min(currency_code) as currency_code,
    cast(sum(gross_amount) as decimal(18, 4)) as authorised_amount,
    cast(sum(gross_amount) as decimal(18, 4)) as captured_amount,
    cast(0 as decimal(18, 4)) as refunded_amount,
    true as is_live,
    true as is_captured,
    false as is_disputed,
    cast(null as varchar) as store_order_key,
    min(merchant_reference1) as order_reference,
    min(merchant_reference1) as merchant_reference,
    cast(null as varchar) as site_url,
    cast(null as varchar) as description,
    cast(null as varchar) as failure_code,
    coalesce(min(initial_payment_method_type), 'klarna') as payment_method_type,
    cast(null as varchar) as card_brand,
    cast(null as varchar) as card_country,
    min(booked_at) as created_at,
    max(payload_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from {{ ref('stg_klarna__lines') }}
where source_category = 'SALE' and is_clearing and order_id is not null
group by gateway_id, order_id
