with lines as (
    -- When the money was taken: an authorised charge is created earlier than it is captured.
    select
        gateway_id,
        source_id as payment_id,
        min(booked_at) as captured_at
    from {{ ref('int_settlement_lines_unioned') }}
    where line_type = 'charge'
    group by gateway_id, source_id
),

-- A store that moved: what was paid at its old address is its own all the same.
moved_stores as (
    select
        {{ normalised_url('former.former_site_url') }} as former_url,
        {{ normalised_url('stores.site_url') }} as present_url
    from {{ ref('stg_ops__former_site_urls') }} as former
    inner join {{ ref('stg_ops__stores') }} as stores on former.store_id = stores.store_id
),

prepared as (
    select
        payments.*,
        gateways.entity_code,
        entities.time_zone,
        entities.base_currency_code,
        entities.tolerance_minor_units,
        digits.exponent as currency_digits,
        coalesce(lines.captured_at, payments.created_at) as captured_at,
        payments.payment_status = 'succeeded' and payments.is_captured and payments.captured_amount > 0 as is_payment,
        case
            when
                gateways.reference_prefix <> ''
                and starts_with(payments.merchant_reference, gateways.reference_prefix)
                then nullif(substring(payments.merchant_reference, length(gateways.reference_prefix) + 1), '')
        end as unprefixed_reference,
        {{ regex_capture('payments.description', '[Oo]rder #?([A-Za-z0-9_-]+)') }} as described_reference,
        -- Few name several orders, so they are looked for by what separates names before by what names look like.
        case
            when {{ lists_orders('payments.order_reference') }} then 'order_reference'
            when {{ lists_orders('payments.merchant_reference') }} then 'merchant_reference'
            when
                {{ lists_orders('payments.description') }} or payments.description like '% and %'
                then 'description'
        end as listed_in,
        coalesce(moved_stores.present_url, {{ normalised_url('payments.site_url') }}) as normalised_site_url,
        payments.created_at > {{ add_days('clock.as_of', '-entities.settlement_grace_days') }} as is_recent
    from {{ ref('int_payments_unioned') }} as payments
    inner join {{ ref('stg_ops__gateways') }} as gateways on payments.gateway_id = gateways.gateway_id
    inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on payments.currency_code = digits.currency_code and digits.provider = 'iso'
    left join moved_stores on {{ normalised_url('payments.site_url') }} = moved_stores.former_url
    left join lines on payments.gateway_id = lines.gateway_id and payments.payment_id = lines.payment_id
)

select
    payment_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    time_zone,
    base_currency_code,
    tolerance_minor_units,
    payment_id,
    intent_id,
    payment_status,
    currency_code,
    currency_digits,
    authorised_amount,
    captured_amount,
    refunded_amount,
    store_order_key,
    order_reference,
    unprefixed_reference,
    described_reference,
    case listed_in
        when 'order_reference' then order_reference
        when 'merchant_reference' then merchant_reference
        when 'description' then {{ regex_capture(
            'description', '[Oo]rders?:? #?([A-Za-z0-9_-]+((, ?|; ?| ?& ?| ?[+] ?| and )#?[A-Za-z0-9_-]+)+)'
        ) }}
    end as listed_references,
    listed_in,
    normalised_site_url,
    failure_code,
    payment_method_type,
    card_brand,
    card_country,
    is_live,
    is_captured,
    is_disputed,
    is_payment,
    is_recent,
    created_at,
    captured_at,
    {{ local_date('captured_at', 'time_zone') }} as accounting_date,
    payload_sha256,
    loaded_at
from prepared
