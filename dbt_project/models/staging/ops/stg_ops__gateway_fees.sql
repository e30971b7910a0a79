select
    gateway_id,
    fee_rule_id,
    -- Of one: exact, as percent has six decimals.
    cast(cast(percent as decimal(9, 6)) * cast(0.01 as decimal(3, 2)) as decimal(12, 8)) as fee_rate,
    cast(fixed as decimal(18, 4)) as fixed_amount,
    cast(minimum as decimal(18, 4)) as minimum_amount,
    cast(maximum as decimal(18, 4)) as maximum_amount,
    coalesce(adds_interchange, false) as adds_interchange,
    currency_code,
    payment_method,
    card_brand,
    region as card_region,
    specificity,
    valid_from,
    valid_to
from {{ source('ops', 'gateway_fees') }}
