-- Payments that took no money, as payment accounting reports tell: refused, authorised and not captured, or let go.
-- What was sent for settlement is left to the settlement details, whose amounts are those that are paid out.
with events as (
    select
        gateway_id,
        psp_reference,
        record_type,
        nullif(trim(merchant_reference), '') as merchant_reference,
        payment_method,
        payment_method_variant,
        issuer_country,
        coalesce(nullif(payment_currency, ''), nullif(main_currency, '')) as currency_code,
        coalesce(nullif(authorised_pc, 0), main_amount) as event_amount,
        main_amount,
        record_type like 'SentForSettle%' or record_type like 'Settled%' as is_capture,
        {{ utc_timestamp('booked_at') }} as booked_at,
        file_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at
    from {{ source('adyen', 'accounting_entries') }}
    where psp_reference <> ''
),

payments as (
    select
        gateway_id,
        psp_reference,
        max(merchant_reference) as merchant_reference,
        max(payment_method) as payment_method,
        max(payment_method_variant) as payment_method_variant,
        max(issuer_country) as issuer_country,
        max(currency_code) as currency_code,
        max(case when record_type = 'Authorised' then event_amount end) as authorised_amount,
        max(main_amount) as asked_amount,
        count(case when record_type in ('Cancelled', 'Expired') then 1 end) > 0 as is_released,
        count(case when record_type = 'Expired' then 1 end) > 0 as is_expired,
        count(case when record_type in ('Refused', 'Error') then 1 end) > 0 as is_refused,
        count(case when is_capture then 1 end) > 0 as is_captured,
        min(booked_at) as created_at,
        max(file_sha256) as file_sha256,
        max(loaded_at) as loaded_at
    from events
    group by gateway_id, psp_reference
)

select
    gateway_id,
    psp_reference,
    case
        when authorised_amount is null then 'failed'
        when is_expired then 'expired'
        when is_released then 'canceled'
        else 'succeeded'
    end as payment_status,
    currency_code,
    cast(coalesce(authorised_amount, asked_amount) as decimal(18, 4)) as authorised_amount,
    merchant_reference,
    payment_method,
    payment_method_variant,
    issuer_country,
    created_at,
    file_sha256 as payload_sha256,
    loaded_at
from payments
where
    not is_captured
    and (authorised_amount is not null or is_refused)
    and coalesce(authorised_amount, asked_amount) is not null
