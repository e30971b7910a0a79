-- Klarna's transactions with their sign, a sale's fees put into its own line, and a payout's tax, debt and transfer,
-- which only its totals tell of.
with payouts as (
    select
        gateway_id,
        source_table,
        payout_id,
        currency_code,
        settlement_type,
        settlement_amount,
        tax_amount,
        fee_correction_amount,
        repay_amount,
        deposit_amount,
        paid_at,
        payload_sha256,
        loaded_at
    from {{ ref('stg_klarna__payout_totals') }}
),

transactions as (
    select
        transactions.gateway_id,
        transactions.source_table,
        transactions.id,
        transactions.payout_id,
        transactions.type,
        transactions.detailed_type,
        transactions.order_id,
        transactions.capture_id,
        transactions.refund_id,
        transactions.merchant_reference1,
        transactions.initial_payment_method_type,
        transactions.currency_code,
        transactions.amount,
        transactions.booked_at,
        transactions.payload_sha256,
        transactions.loaded_at,
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
        payouts.paid_at
    from {{ ref('stg_klarna__transactions') }} as transactions
    inner join payouts
        on
            transactions.gateway_id = payouts.gateway_id
            and transactions.payout_id = payouts.payout_id
),

captures as (
    select
        gateway_id,
        payout_id,
        order_id,
        capture_id,
        min(id) as id
    from transactions
    where type = 'SALE' and capture_id is not null
    group by gateway_id, payout_id, order_id, capture_id
),

sale_fees as (
    select
        fees.gateway_id,
        fees.payout_id,
        captures.id,
        sum(fees.amount) as fee
    from transactions as fees
    inner join captures
        on
            fees.gateway_id = captures.gateway_id
            and fees.payout_id = captures.payout_id
            and fees.order_id = captures.order_id
            and fees.capture_id = captures.capture_id
    where fees.type = 'FEE' and fees.is_clearing
    group by fees.gateway_id, fees.payout_id, captures.id
),

told as (
    select
        transactions.gateway_id,
        transactions.source_table,
        case
            when
                transactions.type in ('SALE', 'RETURN')
                and coalesce(transactions.capture_id, transactions.refund_id) is not null
                then transactions.id
            else transactions.payout_id || '/' || transactions.id
        end as line_id,
        transactions.payout_id,
        transactions.source_category,
        transactions.detailed_type,
        transactions.order_id,
        transactions.capture_id,
        transactions.refund_id,
        transactions.merchant_reference1,
        transactions.initial_payment_method_type,
        transactions.currency_code,
        transactions.signed_amount as gross,
        coalesce(sale_fees.fee, 0) as fee,
        transactions.is_clearing,
        transactions.booked_at,
        transactions.paid_at,
        transactions.payload_sha256,
        transactions.loaded_at
    from transactions
    left join sale_fees
        on
            transactions.gateway_id = sale_fees.gateway_id
            and transactions.payout_id = sale_fees.payout_id
            and transactions.id = sale_fees.id
    left join captures
        on
            transactions.gateway_id = captures.gateway_id
            and transactions.payout_id = captures.payout_id
            and transactions.order_id = captures.order_id
            and transactions.capture_id = captures.capture_id
    where not (transactions.type = 'FEE' and transactions.is_clearing and captures.id is not null)
),

told_taxes as (
    select
        gateway_id,
        payout_id,
        sum(amount) as amount
    from transactions
    where type = 'TAX'
    group by gateway_id, payout_id
),

totals as (
    select
        payouts.*,
        payouts.tax_amount - coalesce(told_taxes.amount, 0) as untold_tax
    from payouts
    left join told_taxes
        on payouts.gateway_id = told_taxes.gateway_id and payouts.payout_id = told_taxes.payout_id
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
        totals.fee_correction_amount as gross
    from totals
    union all
    select
        totals.*,
        'REPAY' as source_category,
        -totals.repay_amount as gross
    from totals
    union all
    select
        totals.*,
        'DEPOSIT' as source_category,
        totals.deposit_amount as gross
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
        currency_code,
        gross,
        fee,
        is_clearing,
        booked_at,
        paid_at,
        payload_sha256,
        loaded_at
    from told
    union all
    select
        gateway_id,
        source_table,
        payout_id || '/' || source_category as line_id,
        payout_id,
        source_category,
        cast(null as varchar) as detailed_type,
        cast(null as varchar) as order_id,
        cast(null as varchar) as capture_id,
        cast(null as varchar) as refund_id,
        cast(null as varchar) as merchant_reference1,
        cast(null as varchar) as initial_payment_method_type,
        currency_code,
        gross,
        0 as fee,
        true as is_clearing,
        paid_at as booked_at,
        paid_at,
        payload_sha256,
        loaded_at
    from untold
    where gross <> 0
)

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
    currency_code,
    cast(gross as decimal(18, 4)) as gross_amount,
    cast(fee as decimal(18, 4)) as fee_amount,
    cast(gross - fee as decimal(18, 4)) as net_amount,
    is_clearing,
    booked_at,
    paid_at,
    payload_sha256,
    loaded_at
from lines
