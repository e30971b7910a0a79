-- gross - fees - refunds - disputes + reserves + other + residual = net, and net against the bank.
with footed as (
    select
        settlement_key,
        sum(case when footing_column = 'gross' then gross_amount else 0 end) as gross_amount,
        sum(fee_amount - case when footing_column = 'fee' then gross_amount else 0 end) as fee_amount,
        -sum(case when footing_column = 'refund' then gross_amount else 0 end) as refund_amount,
        -sum(case when footing_column = 'dispute' then gross_amount else 0 end) as dispute_amount,
        sum(case when footing_column = 'reserve' then gross_amount else 0 end) as reserve_amount,
        sum(case when footing_column = 'other' then gross_amount else 0 end) as other_amount,
        sum(net_amount) as lines_net_amount,
        count(*) as line_count,
        count(case when match_status in ('matched', 'matched_tolerance', 'fx_diff', 'fee_only', 'non_order') then 1 end)
            as explained_line_count
    from {{ ref('int_settlement_lines_judged') }}
    where footing_column <> 'payout' and is_clearing and settlement_key is not null
    group by settlement_key
),

-- The money of a failed payout is back once the gateway has booked it back.
reversals as (
    select
        reversed_settlement_key,
        sum(net_amount) as returned_amount
    from {{ ref('int_settlement_lines_judged') }}
    where reversed_settlement_key is not null
    group by reversed_settlement_key
),

-- A payout may be in several bank lines; then the first stands for them, and int_payouts_matched_to_bank has all.
on_bank as (
    select
        pairs.settlement_key,
        min(pairs.bank_line_key) as bank_line_key,
        min(pairs.match_rule) as match_rule,
        count(*) as bank_line_count,
        sum(pairs.matched_amount) as bank_amount,
        min(bank_lines.currency_code) as currency_code,
        max(bank_lines.value_date) as value_date,
        case when count(*) = 1 then min(bank_lines.payload_sha256) end as payload_sha256
    from {{ ref('int_payouts_matched_to_bank') }} as pairs
    inner join {{ ref('stg_bank__entries') }} as bank_lines on pairs.bank_line_key = bank_lines.bank_line_key
    group by pairs.settlement_key
),

joined as (
    select
        payouts.*,
        gateways.entity_code,
        gateways.bank_id,
        entities.bank_grace_days,
        entities.base_currency_code,
        entities.time_zone,
        {{ local_date('clock.as_of', 'entities.time_zone') }} as today,
        cast(coalesce(footed.gross_amount, 0) as decimal(18, 4)) as gross_amount,
        cast(coalesce(footed.fee_amount, 0) as decimal(18, 4)) as fee_amount,
        cast(coalesce(footed.refund_amount, 0) as decimal(18, 4)) as refund_amount,
        cast(coalesce(footed.dispute_amount, 0) as decimal(18, 4)) as dispute_amount,
        cast(coalesce(footed.reserve_amount, 0) as decimal(18, 4)) as reserve_amount,
        cast(coalesce(footed.other_amount, 0) as decimal(18, 4)) as other_amount,
        cast(payouts.payout_amount - coalesce(footed.lines_net_amount, 0) as decimal(18, 4)) as residual_amount,
        coalesce(footed.line_count, 0) as line_count,
        coalesce(footed.explained_line_count, 0) as explained_line_count,
        cast(coalesce(reversals.returned_amount, 0) as decimal(18, 4)) as returned_amount,
        on_bank.bank_line_key,
        coalesce(on_bank.bank_line_count, 0) as bank_line_count,
        on_bank.match_rule as bank_match_rule,
        cast(on_bank.bank_amount as decimal(18, 4)) as bank_amount,
        on_bank.currency_code as bank_currency_code,
        on_bank.value_date,
        on_bank.payload_sha256 as bank_payload_sha256,
        undecided.rivals as bank_rivals,
        coalesce(undecided.is_walked, false) as has_bank_rivals
    from {{ ref('int_payouts_unioned') }} as payouts
    inner join {{ ref('stg_ops__gateways') }} as gateways on payouts.gateway_id = gateways.gateway_id
    inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    left join footed on payouts.settlement_key = footed.settlement_key
    left join reversals on payouts.settlement_key = reversals.reversed_settlement_key
    left join on_bank on payouts.settlement_key = on_bank.settlement_key
    left join {{ ref('int_bank_undecided') }} as undecided
        on payouts.settlement_key = undecided.subject_key and undecided.subject_type = 'payout'
)

select
    settlement_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    bank_id,
    base_currency_code,
    payout_id,
    trace_id,
    payout_status,
    payout_method,
    is_automatic,
    is_itemised,
    currency_code,
    gross_amount,
    fee_amount,
    refund_amount,
    dispute_amount,
    reserve_amount,
    other_amount,
    residual_amount,
    payout_amount as net_amount,
    returned_amount,
    bank_line_key,
    bank_line_count,
    bank_match_rule,
    bank_rivals,
    bank_amount,
    bank_currency_code,
    case when bank_line_key is not null then cast(bank_amount - payout_amount as decimal(18, 4)) end
        as bank_difference_amount,
    value_date as bank_value_date,
    case
        when payout_status = 'failed' then 'failed'
        when payout_status = 'canceled' then 'canceled'
        when is_itemised and residual_amount <> 0 then 'residual'
        when bank_currency_code <> currency_code or bank_amount <> payout_amount then 'bank_amount_mismatch'
        when bank_line_key is not null then 'reconciled'
        when payout_amount = 0 then 'reconciled'
        when has_bank_rivals then 'bank_ambiguous'
        when today > {{ add_working_days('cast(arrival_date as date)', 'bank_grace_days') }} then 'not_in_bank'
        when payout_status = 'pending' then 'pending'
        else 'in_transit'
    end as settlement_status,
    line_count,
    explained_line_count,
    failure_code,
    created_at,
    arrival_date,
    {{ local_date('created_at', 'time_zone') }} as accounting_date,
    payload_sha256,
    bank_payload_sha256
from joined
