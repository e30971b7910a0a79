select
    accounting_date,
    entity_code,
    gateway_id,
    payout_id,
    settlement_status,
    currency_code,
    cast(net_amount as double) as net,
    cast(residual_amount as double) as unexplained,
    cast(bank_difference_amount as double) as bank_difference
from rec_settlements
