-- A sale's line is the evidence of its capture. Where PayPal's own plugin took the payment, the custom field holds the
-- order's id and the invoice its prefixed number; PayPal Standard sent JSON with id and key.
with sales as (
    select
        gateway_id,
        transaction_id,
        currency_code,
        min(source_table) as source_table,
        min(line_id) as line_id,
        sum(gross_amount) as gross_amount,
        min(transaction_status) as transaction_status,
        min(reference_id) as reference_id,
        min(invoice_id) as invoice_id,
        min(custom_field) as custom_field,
        min(subject) as subject,
        min(instrument_type) as instrument_type,
        min(booked_at) as created_at,
        min(payload_sha256) as payload_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_paypal__lines') }}
    where line_type = 'charge' and transaction_id <> ''
    group by gateway_id, transaction_id, currency_code
),

refunded as (
    select
        gateway_id,
        payment_id,
        currency_code,
        sum(refund_amount) as refunded_amount
    from {{ ref('stg_paypal__refunds') }}
    where payment_id is not null
    group by gateway_id, payment_id, currency_code
),

disputed as (
    select distinct
        gateway_id,
        payment_id
    from {{ ref('stg_paypal__disputed_lines') }}
    where payment_id is not null
)

select
    sales.gateway_id || ':' || sales.transaction_id as payment_key,
    sales.gateway_id,
    'paypal' as gateway_system,
    sales.source_table,
    sales.transaction_id as payment_id,
    sales.reference_id as intent_id,
    sales.line_id,
    case coalesce(sales.transaction_status, 'S')
        when 'D' then 'failed'
        when 'P' then 'pending'
        else 'succeeded'
    end as payment_status,
    sales.currency_code,
    cast(sales.gross_amount as decimal(18, 4)) as authorised_amount,
    cast(
        case when coalesce(sales.transaction_status, 'S') in ('D', 'P') then 0 else sales.gross_amount end
        as decimal(18, 4)
    ) as captured_amount,
    cast(coalesce(refunded.refunded_amount, 0) as decimal(18, 4)) as refunded_amount,
    true as is_live,
    coalesce(sales.transaction_status, 'S') not in ('D', 'P') as is_captured,
    disputed.payment_id is not null as is_disputed,
    'wc_order_' || {{ regex_capture('sales.custom_field', '[w]c_order_([A-Za-z0-9]*)') }} as store_order_key,
    case
        when substring(sales.custom_field, 1, 1) = '{' or substring(sales.custom_field, 1, 2) = 'a:'
            then {{ regex_capture('sales.custom_field', '[o]rder_id[^0-9]*([0-9]+)') }}
        else sales.custom_field
    end as order_reference,
    sales.invoice_id as merchant_reference,
    cast(null as varchar) as site_url,
    sales.subject as description,
    cast(null as varchar) as failure_code,
    coalesce(lower(sales.instrument_type), 'paypal') as payment_method_type,
    cast(null as varchar) as card_brand,
    cast(null as varchar) as card_country,
    sales.created_at,
    sales.payload_sha256,
    sales.loaded_at
from sales
left join refunded
    on
        sales.gateway_id = refunded.gateway_id
        and sales.transaction_id = refunded.payment_id
        and sales.currency_code = refunded.currency_code
left join disputed on sales.gateway_id = disputed.gateway_id and sales.transaction_id = disputed.payment_id
