-- Each payout with its totals, in major units: those of the API, and those that only a settlement report has brought.
-- A report that comes again is another version of the same payout; the last one by name holds.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'iso'
),

reported as (
    select
        report_lines.gateway_id,
        report_lines.payment_reference,
        max(report_lines.file_name) as file_name
    from {{ source('klarna', 'report_lines') }} as report_lines
    left join {{ source('klarna', 'payouts') }} as payouts
        on
            report_lines.gateway_id = payouts.gateway_id
            and report_lines.payment_reference = payouts.payment_reference
    where payouts.payment_reference is null
    group by report_lines.gateway_id, report_lines.payment_reference
)

select
    payouts.gateway_id,
    'payouts' as source_table,
    payouts.payment_reference as payout_id,
    cast(null as varchar) as file_name,
    payouts.currency as currency_code,
    coalesce(payouts.merchant_settlement_type, 'NET') as settlement_type,
    {{ from_minor('payouts.settlement_amount', 'exponents.exponent') }} as settlement_amount,
    {{ from_minor('coalesce(payouts.tax_amount, 0) - coalesce(payouts.tax_refund_amount, 0)', 'exponents.exponent') }}
        as tax_amount,
    {{ from_minor('coalesce(payouts.fee_correction_amount, 0)', 'exponents.exponent') }} as fee_correction_amount,
    {{ from_minor('coalesce(payouts.repay_amount, 0)', 'exponents.exponent') }} as repay_amount,
    {{ from_minor('coalesce(payouts.deposit_amount, 0)', 'exponents.exponent') }} as deposit_amount,
    {{ utc_timestamp('cast(payouts.payout_date as timestamptz)') }} as paid_at,
    payouts._payload_sha256 as payload_sha256,
    {{ utc_timestamp('payouts._loaded_at') }} as loaded_at
from {{ source('klarna', 'payouts') }} as payouts
left join exponents on payouts.currency = exponents.currency_code

union all
select
    report_lines.gateway_id,
    'report_lines' as source_table,
    report_lines.payment_reference as payout_id,
    report_lines.file_name,
    min(report_lines.currency) as currency_code,
    coalesce(min(report_lines.merchant_settlement_type), 'NET') as settlement_type,
    min(report_lines.settlement_amount) as settlement_amount,
    coalesce(min(report_lines.tax_amount), cast(0 as decimal(18, 4))) as tax_amount,
    coalesce(min(report_lines.fee_correction_amount), cast(0 as decimal(18, 4))) as fee_correction_amount,
    coalesce(min(report_lines.repay_amount), cast(0 as decimal(18, 4))) as repay_amount,
    coalesce(min(report_lines.deposit_amount), cast(0 as decimal(18, 4))) as deposit_amount,
    {{ utc_timestamp('min(report_lines.payout_date)') }} as paid_at,
    min(report_lines.file_sha256) as payload_sha256,
    {{ utc_timestamp('max(report_lines._loaded_at)') }} as loaded_at
from {{ source('klarna', 'report_lines') }} as report_lines
inner join reported
    on
        report_lines.gateway_id = reported.gateway_id
        and report_lines.payment_reference = reported.payment_reference
        and report_lines.file_name = reported.file_name
group by report_lines.gateway_id, report_lines.payment_reference, report_lines.file_name
