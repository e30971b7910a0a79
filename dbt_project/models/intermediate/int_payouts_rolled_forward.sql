-- Payouts that list no lines (manual and instant ones), each with the window of the balance that it was taken in: if
-- the window leaves nothing over, all that was paid out is explained, though not line by line.
select
    payouts.settlement_key,
    windows.window_key as balance_window_key,
    cast(case when windows.proved_at is null then windows.residual_amount else 0 end as decimal(18, 4))
        as balance_residual_amount,
    windows.proved_at
from {{ ref('int_settlements_footed') }} as payouts
inner join {{ ref('int_balance_rollforward') }} as windows
    on
        payouts.gateway_id = windows.gateway_id
        and payouts.currency_code = windows.currency_code
        and payouts.created_at <= windows.closed_at
        and (windows.opened_at is null or payouts.created_at > windows.opened_at)
where not payouts.is_itemised
