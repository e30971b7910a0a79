-- The plugin's charge is the evidence of the capture; several captures of one charge add up. An export names no charge:
-- there the transaction is the payment.
with charges as (
    select
        gateway_id,
        coalesce(charge_id, line_id) as payment_id,
        max(source_table) as source_table,
        max(intent_id) as intent_id,
        min(line_id) as line_id,
        max(presentment_currency_code) as currency_code,
        cast(sum(presentment_amount) as decimal(18, 4)) as captured_amount,
        max(order_reference) as order_reference,
        max(payment_method) as payment_method,
        min(booked_at) as created_at,
        min(payload_sha256) as payload_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_woopayments__transactions') }}
    where source_category in ('charge', 'payment')
    group by gateway_id, coalesce(charge_id, line_id)
),

given_back as (
    select
        gateway_id,
        payment_id,
        sum(refund_amount) as amount
    from {{ ref('stg_woopayments__refunds') }}
    where refund_status = 'succeeded'
    group by gateway_id, payment_id
),

disputed as (
    select distinct
        gateway_id,
        payment_id
    from {{ ref('stg_woopayments__disputes') }}
    where dispute_status <> 'inquiry'
)

select
    charges.gateway_id || ':' || charges.payment_id as payment_key,
    charges.gateway_id,
    'woopayments' as gateway_system,
    charges.source_table,
    charges.payment_id,
    charges.intent_id,
    charges.line_id,
    'succeeded' as payment_status,
    charges.currency_code,
    charges.captured_amount as authorised_amount,
    charges.captured_amount,
    cast(coalesce(given_back.amount, 0) as decimal(18, 4)) as refunded_amount,
    -- A store in test mode is shown test transactions only, and is not configured as an account.
    true as is_live,
    true as is_captured,
    disputed.payment_id is not null as is_disputed,
    cast(null as varchar) as store_order_key,
    charges.order_reference,
    cast(null as varchar) as merchant_reference,
    cast(null as varchar) as site_url,
    cast(null as varchar) as description,
    cast(null as varchar) as failure_code,
    charges.payment_method as payment_method_type,
    cast(null as varchar) as card_brand,
    cast(null as varchar) as card_country,
    charges.created_at,
    charges.payload_sha256,
    charges.loaded_at
from charges
left join given_back on charges.gateway_id = given_back.gateway_id and charges.payment_id = given_back.payment_id
left join disputed on charges.gateway_id = disputed.gateway_id and charges.payment_id = disputed.payment_id
