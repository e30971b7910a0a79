-- Klarna's transactions with their sign, a sale's fees put into its own line, and a payout's tax, debt and transfer,
-- which only its totals tell of.
with exponents as (
    select
        currency_code,
        exponent
    from {{ source('ops', 'currency_exponents') }}
    where provider = 'iso'
),

payouts as (
    select
        payouts.*,
        coalesce(payouts.merchant_settlement_type, 'NET') as settlement_type
    from {{ source('klarna', 'payouts') }} as payouts
),

transactions as (
    select
        transactions.*,
        nullif(trim(transactions.order_id), '') as klarna_order_id,
        nullif(trim(transactions.capture_id), '') as klarna_capture_id,
        nullif(trim(transactions.refund_id), '') as klarna_refund_id,
        case
            when transactions.type in ('CREDIT', 'CHARGE') and transactions.detailed_type like 'CASH_ADVANCE%'
                then 'CASH_ADVANCE'
            when transactions.detailed_type in ('CORRECTION_DISPUTE', 'COMMISSION_RETURN')
                then transactions.detailed_type
            else transactions.type
        end as source_category,
        -- Amounts have no sign of their own, but for corrections.
        case
            when
                transactions.type in ('SALE', 'COMMISSION', 'CREDIT', 'RELEASE', 'FEE_REFUND')
                or transactions.type in ('REVERSAL_MERCHANT_PROTECTION', 'CORRECTION')
                then transactions.amount
            else -transactions.amount
        end as signed_amount,
        -- Under a gross settlement fees are invoiced: they are no part of the payout, nor is the invoice.
        payouts.settlement_type <> 'GROSS_FEE'
        and not (payouts.settlement_type = 'GROSS' and transactions.type in ('FEE', 'FEE_REFUND', 'TAX'))
            as is_clearing,
        payouts.payout_date
    from {{ source('klarna', 'transactions') }} as transactions
    inner join payouts
        on
            transactions.gateway_id = payouts.gateway_id
            and transactions.payment_reference = payouts.payment_reference
),

captures as (
    select
        gateway_id,
        payment_reference,
        klarna_order_id,
        klarna_capture_id,
        min(id) as id
    from transactions
    where type = 'SALE' and klarna_capture_id is not null
    group by gateway_id, payment_reference, klarna_order_id, klarna_capture_id
),

sale_fees as (
    select
        fees.gateway_id,
        fees.payment_reference,
        captures.id,
        sum(fees.amount) as fee
    from transactions as fees
    inner join captures
        on
            fees.gateway_id = captures.gateway_id
            and fees.payment_reference = captures.payment_reference
            and fees.klarna_order_id = captures.klarna_order_id
            and fees.klarna_capture_id = captures.klarna_capture_id
    where fees.type = 'FEE' and fees.is_clearing
    group by fees.gateway_id, fees.payment_reference, captures.id
),

told as (
    select
        transactions.gateway_id,
        'transactions' as source_table,
        case
            when
                transactions.type in ('SALE', 'RETURN')
                and coalesce(transactions.klarna_capture_id, transactions.klarna_refund_id) is not null
                then transactions.id
            else transactions.payment_reference || '/' || transactions.id
        end as line_id,
        transactions.payment_reference as payout_id,
        transactions.source_category,
        transactions.detailed_type,
        transactions.klarna_order_id as order_id,
        transactions.klarna_capture_id as capture_id,
        transactions.klarna_refund_id as refund_id,
        nullif(trim(transactions.merchant_reference1), '') as merchant_reference1,
        transactions.initial_payment_method_type,
        transactions.currency,
        transactions.signed_amount as gross,
        coalesce(sale_fees.fee, 0) as fee,
        transactions.is_clearing,
        coalesce(
            nullif(transactions.capture_date, ''), nullif(transactions.sale_date, ''), transactions.payout_date
        ) as booked_at,
        transactions.payout_date,
        transactions._payload_sha256,
        transactions._loaded_at
    from transactions
    left join sale_fees
        on
            transactions.gateway_id = sale_fees.gateway_id
            and transactions.payment_reference = sale_fees.payment_reference
            and transactions.id = sale_fees.id
    left join captures
        on
            transactions.gateway_id = captures.gateway_id
            and transactions.payment_reference = captures.payment_reference
            and transactions.klarna_order_id = captures.klarna_order_id
            and transactions.klarna_capture_id = captures.klarna_capture_id
    where not (transactions.type = 'FEE' and transactions.is_clearing and captures.id is not null)
),

told_taxes as (
    select
        gateway_id,
        payment_reference,
        sum(amount) as amount
    from transactions
    where type = 'TAX'
    group by gateway_id, payment_reference
),

totals as (
    select
        payouts.*,
        coalesce(payouts.tax_amount, 0) - coalesce(payouts.tax_refund_amount, 0) - coalesce(told_taxes.amount, 0)
            as untold_tax
    from payouts
    left join told_taxes
        on payouts.gateway_id = told_taxes.gateway_id and payouts.payment_reference = told_taxes.payment_reference
    where payouts.settlement_type <> 'GROSS_FEE'
),

untold as (
    select
        totals.*,
        'TAX' as source_category,
        -totals.untold_tax as gross
    from totals
    union all
    select
        totals.*,
        'FEE_CORRECTION' as source_category,
        coalesce(totals.fee_correction_amount, 0) as gross
    from totals
    union all
    select
        totals.*,
        'REPAY' as source_category,
        -coalesce(totals.repay_amount, 0) as gross
    from totals
    union all
    select
        totals.*,
        'DEPOSIT' as source_category,
        coalesce(totals.deposit_amount, 0) as gross
    from totals
    union all
    select
        totals.*,
        'PAYOUT' as source_category,
        -totals.settlement_amount as gross
    from totals
),

lines as (
    select
        gateway_id,
        source_table,
        line_id,
        payout_id,
        source_category,
        detailed_type,
        order_id,
        capture_id,
        refund_id,
        merchant_reference1,
        initial_payment_method_type,
        currency,
        gross,
        fee,
        is_clearing,
        booked_at,
        payout_date,
        _payload_sha256,
        _loaded_at
    from told
    union all
    select
        gateway_id,
        'payouts' as source_table,
        payment_reference || '/' || source_category as line_id,
        payment_reference as payout_id,
        source_category,
        cast(null as varchar) as detailed_type,
        cast(null as varchar) as order_id,
        cast(null as varchar) as capture_id,
        cast(null as varchar) as refund_id,
        cast(null as varchar) as merchant_reference1,
        cast(null as varchar) as initial_payment_method_type,
        currency,
        gross,
        0 as fee,
        true as is_clearing,
        payout_date as booked_at,
        payout_date,
        _payload_sha256,
        _loaded_at
    from untold
    where gross <> 0
)

select
    lines.gateway_id,
    lines.source_table,
    lines.line_id,
    lines.payout_id,
    lines.source_category,
    lines.detailed_type,
    lines.order_id,
    lines.capture_id,
    lines.refund_id,
    lines.merchant_reference1,
    lines.initial_payment_method_type,
    lines.currency as currency_code,
    {{ from_minor('lines.gross', 'exponents.exponent') }} as gross_amount,
    {{ from_minor('lines.fee', 'exponents.exponent') }} as fee_amount,
    {{ from_minor('lines.gross - lines.fee', 'exponents.exponent') }} as net_amount,
    lines.is_clearing,
    {{ utc_timestamp('cast(lines.booked_at as timestamptz)') }} as booked_at,
    {{ utc_timestamp('cast(lines.payout_date as timestamptz)') }} as paid_at,
    lines._payload_sha256 as payload_sha256,
    {{ utc_timestamp('lines._loaded_at') }} as loaded_at
from lines
left join exponents on lines.currency = exponents.currency_code
