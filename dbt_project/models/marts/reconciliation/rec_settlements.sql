select
    payouts.settlement_key,
    payouts.gateway_id,
    payouts.entity_code,
    payouts.payout_id,
    payouts.payout_status,
    -- A balance that does not roll forward leaves open what a payout without lines was made of.
    case
        when
            windows.balance_residual_amount <> 0 and payouts.settlement_status in ('reconciled', 'in_transit')
            then 'residual'
        else payouts.settlement_status
    end as settlement_status,
    payouts.currency_code,
    payouts.gross_amount,
    payouts.fee_amount,
    payouts.refund_amount,
    payouts.dispute_amount,
    payouts.reserve_amount,
    payouts.other_amount,
    cast(case when payouts.is_itemised then payouts.residual_amount else 0 end as decimal(18, 4)) as residual_amount,
    cast(case when payouts.is_itemised then 0 else payouts.residual_amount end as decimal(18, 4)) as unlisted_amount,
    payouts.net_amount,
    payouts.bank_amount,
    payouts.bank_difference_amount,
    payouts.bank_line_key,
    cast(payouts.bank_line_count as integer) as bank_line_count,
    payouts.bank_match_rule,
    payouts.bank_rivals,
    payouts.line_count,
    payouts.explained_line_count,
    payouts.is_itemised,
    case
        when payouts.is_itemised then 'lines'
        when windows.balance_window_key is not null then 'balance_roll_forward'
        else 'nothing'
    end as explained_by,
    windows.balance_window_key,
    windows.balance_residual_amount,
    payouts.accounting_date,
    payouts.arrival_date,
    payouts.bank_value_date,
    payouts.created_at
from {{ ref('int_settlements_footed') }} as payouts
left join {{ ref('int_payouts_rolled_forward') }} as windows on payouts.settlement_key = windows.settlement_key
