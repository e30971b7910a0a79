-- One payment an authorisation; a payment may be captured in several parts, each a Settled row of its own. What another
-- acquirer settled is expected there. The sale's row is the evidence of the capture.
with lines as (
    select
        lines.*,
        line_types.line_type
    from {{ ref('stg_adyen__lines') }} as lines
    inner join {{ ref('stg_adyen__line_types') }} as line_types on lines.source_type = line_types.source_category
    where lines.is_clearing and lines.psp_reference is not null
),

payments as (
    select
        gateway_id,
        psp_reference,
        min(case when line_type = 'charge' then line_id end) as line_id,
        -- Some plugins note the capture instead of the authorisation; of several captures none stands for the payment.
        case
            when count(distinct case when line_type = 'charge' then modification_reference end) = 1
                then min(case when line_type = 'charge' then modification_reference end)
        end as capture_reference,
        min(case when line_type = 'charge' then presentment_currency_code end) as currency_code,
        sum(case when line_type in ('charge', 'charge_failure') then presentment_amount else 0 end) as captured_amount,
        -sum(case when line_type in ('refund', 'refund_failure') then presentment_amount else 0 end)
            as refunded_amount,
        count(case when line_type = 'dispute' then 1 end) > 0 as is_disputed,
        min(case when line_type = 'charge' then merchant_reference end) as merchant_reference,
        min(case when line_type = 'charge' then payment_method end) as payment_method,
        min(case when line_type = 'charge' then payment_method_variant end) as payment_method_variant,
        min(case when line_type = 'charge' then created_at end) as created_at,
        max(case when line_type = 'charge' then file_sha256 end) as payload_sha256,
        max(case when line_type = 'charge' then loaded_at end) as loaded_at,
        count(case when line_type = 'charge_failure' then 1 end) as failure_count
    from lines
    where line_type in ('charge', 'charge_failure', 'refund', 'refund_failure', 'dispute')
    group by gateway_id, psp_reference
)

select
    gateway_id || ':' || psp_reference as payment_key,
    gateway_id,
    'adyen' as gateway_system,
    'settlement_details' as source_table,
    psp_reference as payment_id,
    capture_reference as intent_id,
    line_id,
    case when failure_count > 0 and captured_amount <= 0 then 'failed' else 'succeeded' end as payment_status,
    currency_code,
    cast(captured_amount as decimal(18, 4)) as authorised_amount,
    cast(captured_amount as decimal(18, 4)) as captured_amount,
    cast(refunded_amount as decimal(18, 4)) as refunded_amount,
    true as is_live,
    true as is_captured,
    is_disputed,
    cast(null as varchar) as store_order_key,
    merchant_reference as order_reference,
    merchant_reference,
    cast(null as varchar) as site_url,
    merchant_reference as description,
    cast(null as varchar) as failure_code,
    payment_method as payment_method_type,
    payment_method_variant as card_brand,
    cast(null as varchar) as card_country,
    created_at,
    payload_sha256,
    loaded_at
from payments
where line_id is not null

union all
select
    authorisations.gateway_id || ':' || authorisations.psp_reference as payment_key,
    authorisations.gateway_id,
    'adyen' as gateway_system,
    'accounting_entries' as source_table,
    authorisations.psp_reference as payment_id,
    cast(null as varchar) as intent_id,
    cast(null as varchar) as line_id,
    authorisations.payment_status,
    authorisations.currency_code,
    authorisations.authorised_amount,
    cast(0 as decimal(18, 4)) as captured_amount,
    cast(0 as decimal(18, 4)) as refunded_amount,
    true as is_live,
    false as is_captured,
    false as is_disputed,
    cast(null as varchar) as store_order_key,
    authorisations.merchant_reference as order_reference,
    authorisations.merchant_reference,
    cast(null as varchar) as site_url,
    authorisations.merchant_reference as description,
    case when authorisations.payment_status = 'failed' then 'refused' end as failure_code,
    authorisations.payment_method as payment_method_type,
    authorisations.payment_method_variant as card_brand,
    authorisations.issuer_country as card_country,
    authorisations.created_at,
    authorisations.payload_sha256,
    authorisations.loaded_at
from {{ ref('stg_adyen__authorisations') }} as authorisations
left join payments
    on
        authorisations.gateway_id = payments.gateway_id
        and authorisations.psp_reference = payments.psp_reference
        and payments.line_id is not null
where payments.psp_reference is null
