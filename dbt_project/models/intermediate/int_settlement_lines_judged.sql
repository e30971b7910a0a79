-- The verdict on every settlement line: which order it belongs to and whether that explains it.
with lines as (
    select * from {{ ref('int_settlement_lines_typed') }}
),

charge_lines as (
    select
        payment_key,
        count(*) as line_count
    from lines
    where line_type = 'charge'
    group by payment_key
),

joined as (
    select
        lines.*,
        -- A refund may be known before its payment is: its order is certain all the same.
        coalesce(payments.order_key, case when refunds.is_payment_matched then refunds.order_key end) as order_key,
        coalesce(payments.store_id, case when refunds.is_payment_matched then refunds.store_id end) as store_id,
        payments.match_rule as payment_match_rule,
        payments.match_status as payment_match_status,
        payments.difference_amount as payment_difference_amount,
        payments.currency_code as presentment_currency_code,
        payments.rival_order_keys,
        payments.payment_key is not null
        or coalesce(refunds.is_payment_matched and refunds.currency_code = lines.currency_code, false) as has_payment,
        coalesce(payments.is_matched, false) as is_matched,
        coalesce(payments.is_split, false) as is_split,
        coalesce(payments.is_combined, false) as is_combined,
        coalesce(payments.match_status in ('matched', 'matched_tolerance'), refunds.is_payment_matched)
            as is_payment_explained,
        coalesce(payments.currency_code <> lines.currency_code, false) as is_converted,
        coalesce(charge_lines.line_count, 0) as charge_line_count,
        refunds.refund_key,
        refunds.store_refund_key,
        refunds.match_status as refund_match_status,
        refunds.match_rule as refund_match_rule
    from lines
    left join {{ ref('int_payments_correlated') }} as payments on lines.payment_key = payments.payment_key
    left join charge_lines on lines.payment_key = charge_lines.payment_key
    left join {{ ref('int_refunds_joined') }} as refunds on lines.gateway_refund_key = refunds.gateway_refund_key
)

select
    settlement_line_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    store_id,
    base_currency_code,
    line_id,
    line_type,
    footing_column,
    counterpart_role,
    source_category,
    source_type,
    source_id,
    settlement_key,
    reversed_settlement_key,
    payment_key,
    gateway_refund_key,
    store_refund_key,
    refund_key,
    dispute_key,
    order_key,
    rival_order_keys,
    case
        when not is_clearing then 'non_order'
        when footing_column in ('payout', 'reserve') then 'non_order'
        -- Money that is no sale, once finance has said what it is.
        when footing_column = 'other' and counterpart_role is not null then 'non_order'
        when line_type in ('fee', 'fee_tax') then 'fee_only'
        when counterpart_role is null then 'needs_review'
        when not has_payment then 'needs_review'
        when payment_match_status = 'test_data' then 'test_data'
        when line_type = 'charge_failure' then 'amount_diff'
        when not is_payment_explained then payment_match_status
        -- What is converted in several parts cannot be split without inventing a rate.
        when
            line_type in ('charge', 'partial_capture_reversal') and is_converted and (charge_line_count > 1 or is_split)
            then 'needs_review'
        when footing_column = 'refund' and coalesce(refund_match_status, 'needs_review') <> 'matched'
            then coalesce(refund_match_status, 'needs_review')
        when is_converted and line_type in ('charge', 'refund') then 'fx_diff'
        when line_type = 'charge' then payment_match_status
        else 'matched'
    end as match_status,
    case
        when footing_column = 'refund' then coalesce(refund_match_rule, payment_match_rule)
        else payment_match_rule
    end as match_rule,
    payment_match_status,
    payment_difference_amount,
    presentment_currency_code,
    is_matched,
    is_split,
    is_combined,
    is_converted,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    exchange_rate,
    is_clearing,
    line_status,
    description,
    booked_at,
    available_at,
    accounting_date,
    payload_sha256
from joined
