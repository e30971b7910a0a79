-- Each transaction once, in major units: those of the API, and those that only an export has brought.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'stripe'
),

exported as (
    select
        report_lines.*,
        lower(replace(trim(report_lines.type), ' ', '_')) as plain_type
    from {{ source('woopayments', 'report_lines') }} as report_lines
    left join {{ source('woopayments', 'transactions') }} as transactions
        on
            report_lines.gateway_id = transactions.gateway_id
            and report_lines.transaction_id = transactions.transaction_id
    where transactions.transaction_id is null
)

select
    source.gateway_id,
    'transactions' as source_table,
    source.transaction_id as line_id,
    coalesce(nullif(source.charge_type, ''), source.type) as source_category,
    source.type as source_type,
    nullif(source.charge_id, '') as charge_id,
    nullif(source.payment_intent_id, '') as intent_id,
    coalesce(nullif(trim(source.order_number), ''), nullif(trim(source.order_id), '')) as order_reference,
    -- A forecast of a payout is none yet.
    case when source.deposit_id like 'po%' then source.deposit_id end as payout_id,
    upper(source.currency) as currency_code,
    {{ from_minor('source.amount', 'exponents.exponent') }} as gross_amount,
    {{ from_minor('source.fees', 'exponents.exponent') }} as fee_amount,
    {{ from_minor('source.net', 'exponents.exponent') }} as net_amount,
    upper(coalesce(nullif(source.customer_currency, ''), source.currency)) as presentment_currency_code,
    {{ from_minor('abs(coalesce(source.customer_amount, source.amount))', 'presentment_exponents.exponent') }}
        as presentment_amount,
    case when upper(source.customer_currency) <> upper(source.currency) then source.exchange_rate end as exchange_rate,
    nullif(source.source, '') as payment_method,
    {{ utc_timestamp('source.date') }} as booked_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('woopayments', 'transactions') }} as source
left join exponents on upper(source.currency) = exponents.currency_code
left join exponents as presentment_exponents
    on upper(coalesce(nullif(source.customer_currency, ''), source.currency)) = presentment_exponents.currency_code

union all
select
    exported.gateway_id,
    'report_lines' as source_table,
    exported.transaction_id as line_id,
    case exported.plain_type
        when 'loan_dispersement' then 'financing_payout'
        when 'loan_repayment' then 'financing_paydown'
        when 'reader_fee' then 'card_reader_fee'
        else coalesce(nullif(exported.plain_type, ''), 'unnamed')
    end as source_category,
    exported.type as source_type,
    cast(null as varchar) as charge_id,
    cast(null as varchar) as intent_id,
    nullif(trim(exported.order_number), '') as order_reference,
    case when exported.deposit_id like 'po%' then exported.deposit_id end as payout_id,
    upper(exported.deposit_currency) as currency_code,
    -- A reader's fee stands among the fees only; as a line of its own its amount is what it takes.
    case when exported.plain_type = 'reader_fee' then exported.net else exported.amount end as gross_amount,
    -- Browsers export fees as negative numbers, the e-mailed file may not; what net leaves open is what was charged.
    case
        when exported.plain_type = 'reader_fee' then cast(0 as decimal(18, 4))
        else cast(exported.amount - exported.net as decimal(18, 4))
    end as fee_amount,
    exported.net as net_amount,
    upper(coalesce(nullif(trim(exported.paid_currency), ''), exported.deposit_currency)) as presentment_currency_code,
    cast(abs(coalesce(exported.amount_paid, exported.amount)) as decimal(18, 4)) as presentment_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    nullif(trim(exported.payment_method), '') as payment_method,
    {{ utc_timestamp('exported.date') }} as booked_at,
    exported.file_sha256 as payload_sha256,
    {{ utc_timestamp('exported._loaded_at') }} as loaded_at
from exported
