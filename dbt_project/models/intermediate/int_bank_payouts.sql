-- Payouts with the bank account that they should reach.
select
    payouts.settlement_key,
    gateways.bank_id,
    payouts.payout_id,
    payouts.trace_id,
    payouts.payout_status,
    payouts.currency_code,
    payouts.payout_amount,
    cast(payouts.arrival_date as date) as arrival_date,
    cast({{ add_working_days('cast(payouts.arrival_date as date)', 'entities.bank_grace_days') }} as date)
        as expected_until
from {{ ref('int_payouts_unioned') }} as payouts
inner join {{ ref('stg_ops__gateways') }} as gateways on payouts.gateway_id = gateways.gateway_id
inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
where payouts.payout_amount <> 0
