-- The line of a sale is the evidence that it was paid. Several lines of one payment (instalments) are one payment.
with refunded as (
    select
        gateway_id,
        payment_id,
        sum(-presentment_amount) as refunded_amount
    from {{ ref('stg_settlement_file__refunded_lines') }}
    where payment_id is not null
    group by gateway_id, payment_id
),

disputed as (
    select distinct
        gateway_id,
        payment_id
    from {{ ref('stg_settlement_file__lines') }}
    where source_category = 'dispute'
),

payments as (
    select
        gateway_id,
        payment_id,
        presentment_currency_code,
        min(line_id) as line_id,
        sum(presentment_amount) as presentment_amount,
        max(order_key) as order_key,
        max(order_reference) as order_reference,
        max(merchant_reference) as merchant_reference,
        max(description) as description,
        max(payment_method) as payment_method,
        max(card_brand) as card_brand,
        min(booked_at) as created_at,
        max(file_sha256) as file_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_settlement_file__lines') }}
    where source_category = 'charge'
    group by gateway_id, payment_id, presentment_currency_code
)

select
    payments.gateway_id || ':' || payments.payment_id as payment_key,
    payments.gateway_id,
    'settlement_file' as gateway_system,
    'lines' as source_table,
    payments.payment_id,
    cast(null as varchar) as intent_id,
    payments.line_id,
    'succeeded' as payment_status,
    payments.presentment_currency_code as currency_code,
    cast(payments.presentment_amount as decimal(18, 4)) as authorised_amount,
    cast(payments.presentment_amount as decimal(18, 4)) as captured_amount,
    cast(coalesce(refunded.refunded_amount, 0) as decimal(18, 4)) as refunded_amount,
    true as is_live,
    true as is_captured,
    disputed.payment_id is not null as is_disputed,
    payments.order_key as store_order_key,
    payments.order_reference,
    payments.merchant_reference,
    cast(null as varchar) as site_url,
    payments.description,
    cast(null as varchar) as failure_code,
    payments.payment_method as payment_method_type,
    payments.card_brand,
    cast(null as varchar) as card_country,
    payments.created_at,
    payments.file_sha256 as payload_sha256,
    payments.loaded_at
from payments
left join refunded on payments.gateway_id = refunded.gateway_id and payments.payment_id = refunded.payment_id
left join disputed on payments.gateway_id = disputed.gateway_id and payments.payment_id = disputed.payment_id
