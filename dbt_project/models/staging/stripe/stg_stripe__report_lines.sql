-- Rows of reports that say something the API has not said: each ledger line once, however many reports and files it is
-- in, and none that the API has loaded. The report that names payouts goes before the one that does not.
with renamed as (
    select
        gateway_id,
        balance_transaction_id as line_id,
        lower(trim(reporting_category)) as source_category,
        nullif(trim(source_id), '') as source_id,
        nullif(trim(automatic_payout_id), '') as payout_id,
        nullif(trim(charge_id), '') as charge_id,
        nullif(trim(payment_intent_id), '') as intent_id,
        nullif(trim(description), '') as description,
        upper(currency) as currency_code,
        gross as gross_amount,
        fee as fee_amount,
        net as net_amount,
        upper(nullif(trim(customer_facing_currency), '')) as presentment_currency_code,
        customer_facing_amount as presentment_amount,
        nullif(trim(payment_method_type), '') as payment_method_type,
        nullif(trim(card_brand), '') as card_brand,
        nullif(trim(card_country), '') as card_country,
        nullif(trim(dispute_reason), '') as dispute_reason,
        nullif(trim(metadata_order_id), '') as order_reference,
        nullif(trim(metadata_order_key), '') as store_order_key,
        nullif(trim(metadata_site_url), '') as site_url,
        nullif(trim(metadata_merchant_reference), '') as merchant_reference,
        {{ utc_timestamp('created') }} as booked_at,
        {{ utc_timestamp('available_on') }} as available_at,
        {{ utc_timestamp('payout_effective_at') }} as payout_effective_at,
        file_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at,
        row_number() over (
            partition by gateway_id, balance_transaction_id
            order by case report when 'payouts' then 0 else 1 end
        ) as preference
    from {{ source('stripe', 'report_lines') }}
),

-- What a charge line is about is the charge, of which some reports give the id in a column of its own.
lines as (
    select
        gateway_id,
        line_id,
        source_category,
        case
            when source_category in ('charge', 'charge_failure') then coalesce(source_id, charge_id)
            when source_category = 'payout' then coalesce(source_id, payout_id)
            else source_id
        end as source_id,
        payout_id,
        charge_id,
        intent_id,
        description,
        currency_code,
        gross_amount,
        fee_amount,
        net_amount,
        presentment_currency_code,
        presentment_amount,
        payment_method_type,
        card_brand,
        card_country,
        dispute_reason,
        order_reference,
        store_order_key,
        site_url,
        merchant_reference,
        booked_at,
        available_at,
        payout_effective_at,
        file_sha256,
        loaded_at
    from renamed
    where preference = 1
),

api_lines as (
    select
        gateway_id,
        id as line_id,
        case when type = 'payout' then source end as payout_id
    from {{ source('stripe', 'balance_transactions') }}
)

select lines.*
from lines
left join api_lines on lines.gateway_id = api_lines.gateway_id and lines.line_id = api_lines.line_id
left join api_lines as api_payouts
    on
        lines.gateway_id = api_payouts.gateway_id
        and lines.source_id = api_payouts.payout_id
        and lines.source_category = 'payout'
where api_lines.line_id is null and api_payouts.payout_id is null
