-- Each line of a gateway's ledger with the other side of its entry. The clearing account always moves by the line's
-- net; customers are the other side only where the line is matched and explained, else the gross waits in suspense.
with lines as (
    select
        lines.*,
        digits.exponent as currency_digits,
        base_digits.exponent as base_digits,
        entities.erp_id,
        entities.disputes as dispute_policy,
        -- What the books have for it already: the sale's own base value, or the refund at the sale's rate.
        case
            when lines.line_type = 'charge' and not coalesce(lines.is_split, false) then sales.base_receivable_amount
            when lines.line_type = 'refund'
                then -{{ convert_money(
                    'gateway_refunds.refund_amount', 'refunded_sales.exchange_rate', 'base_digits.exponent'
                ) }}
        end as booked_base_amount
    from {{ ref('int_settlement_lines_judged') }} as lines
    inner join {{ ref('stg_ops__entities') }} as entities on lines.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on lines.currency_code = digits.currency_code and digits.provider = 'iso'
    left join {{ ref('stg_ops__currency_exponents') }} as base_digits
        on lines.base_currency_code = base_digits.currency_code and base_digits.provider = 'iso'
    left join {{ ref('int_sales_recognised') }} as sales
        on
            lines.payment_key = sales.payment_key
            and lines.footing_column = 'gross'
            and not coalesce(lines.is_combined, false)
    left join {{ ref('int_sales_recognised') }} as refunded_sales
        on
            lines.payment_key = refunded_sales.payment_key
            and lines.footing_column = 'refund'
            and not coalesce(lines.is_combined, false)
    left join {{ ref('int_gateway_refunds_unioned') }} as gateway_refunds
        on lines.gateway_refund_key = gateway_refunds.gateway_refund_key
    where lines.is_clearing
),

rated as (
    select
        lines.*,
        case
            when lines.currency_code = lines.base_currency_code then cast(1 as decimal(28, 12))
            else rates.exchange_rate
        end as base_exchange_rate,
        -- A converted payment, or books in another currency: the customer's debt stands at the sale's rate.
        lines.is_converted or lines.currency_code <> lines.base_currency_code as is_revalued
    from lines
    left join {{ ref('int_exchange_rates_dated') }} as rates
        on
            lines.erp_id = rates.erp_id
            and lines.currency_code = rates.from_currency_code
            and lines.base_currency_code = rates.to_currency_code
            and lines.accounting_date >= rates.valid_from
            and (lines.accounting_date < rates.valid_until or rates.valid_until is null)
),

decided as (
    select
        rated.*,
        case
            when counterpart_role is null then 'suspense'
            when counterpart_role not in ('receivables', 'disputes_receivable') then counterpart_role
            when match_status not in ('matched', 'matched_tolerance', 'fx_diff') then 'suspense'
            when
                counterpart_role = 'receivables' and is_revalued
                and (line_type not in ('charge', 'refund') or booked_base_amount is null)
                then 'suspense'
            when counterpart_role = 'disputes_receivable' and dispute_policy = 'loss' then 'chargeback_losses'
            else counterpart_role
        end as other_role
    from rated
)

select
    case
        when line_type = 'payout' and settlement_key is not null then 'payout/' || settlement_key
        else 'line/' || settlement_line_key
    end as entry_id,
    case when line_type = 'payout' then 'payout' else 'settlement_line' end as entry_type,
    settlement_line_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    line_id,
    line_type,
    footing_column,
    source_category,
    match_status,
    settlement_key,
    order_key,
    payment_key,
    store_refund_key,
    dispute_key,
    currency_code,
    currency_digits,
    base_currency_code,
    base_digits,
    base_exchange_rate,
    other_role,
    case when footing_column = 'dispute' then 'dispute_fees' else 'gateway_fees' end as fee_role,
    net_amount,
    fee_amount,
    -- What the other side takes: the gross, less a difference within tolerance, which goes to rounding.
    cast(
        gross_amount - case
            when other_role = 'receivables' and line_type = 'charge' and match_status = 'matched_tolerance'
                then coalesce(payment_difference_amount, 0)
            else 0
        end as decimal(18, 4)
    ) as other_amount,
    case when other_role = 'receivables' and is_revalued then cast(booked_base_amount as decimal(18, 4)) end
        as booked_base_amount,
    booked_at,
    accounting_date,
    description,
    payload_sha256
from decided
