{#- Fails for each gateway account and currency of which the bridge has another amount in the bank, or on its way there,
    than its payouts: what the bank booked, less what it booked too much or too little. -#}
{% test bridge_is_bank_movement(model, settlements) %}

with bridge as (
    select
        gateway_id,
        currency_code,
        sum(in_bank_amount) as in_bank_amount,
        sum(in_bank_amount + in_transit_amount) as paid_out_amount
    from {{ model }}
    group by gateway_id, currency_code
),

payouts as (
    select
        settlements.gateway_id,
        settlements.currency_code,
        sum(
            case
                when settlements.settlement_status in ('failed', 'canceled') or settlements.bank_line_key is null then 0
                else settlements.bank_amount - settlements.bank_difference_amount
            end
        ) as in_bank_amount,
        sum(
            case
                when settlements.settlement_status in ('failed', 'canceled') and facts.returned_amount <> 0 then 0
                else settlements.net_amount
            end
        ) as paid_out_amount
    from {{ settlements }} as settlements
    inner join {{ ref('fct_settlements') }} as facts on settlements.settlement_key = facts.settlement_key
    group by settlements.gateway_id, settlements.currency_code
)

select
    coalesce(bridge.gateway_id, payouts.gateway_id) as gateway_id,
    coalesce(bridge.currency_code, payouts.currency_code) as currency_code,
    coalesce(bridge.in_bank_amount, 0) - coalesce(payouts.in_bank_amount, 0) as in_bank_difference_amount,
    coalesce(bridge.paid_out_amount, 0) - coalesce(payouts.paid_out_amount, 0) as paid_out_difference_amount
from bridge
full outer join payouts
    on bridge.gateway_id = payouts.gateway_id and bridge.currency_code = payouts.currency_code
where
    coalesce(bridge.in_bank_amount, 0) <> coalesce(payouts.in_bank_amount, 0)
    or coalesce(bridge.paid_out_amount, 0) <> coalesce(payouts.paid_out_amount, 0)

{% endtest %}

{#- Fails for each gateway account and currency of which the bridge leaves another amount held than the ledger has on
    the clearing account; also of those that do not say what they hold. -#}
{% test bridge_is_clearing_balance(model, clearing) %}

with held as (
    select
        gateway_id,
        currency_code,
        sum(balance_held_amount) as held_amount
    from {{ model }}
    group by gateway_id, currency_code
)

select
    coalesce(clearing.gateway_id, held.gateway_id) as gateway_id,
    coalesce(clearing.currency_code, held.currency_code) as currency_code,
    held.held_amount,
    clearing.clearing_amount
from {{ clearing }} as clearing
full outer join held on clearing.gateway_id = held.gateway_id and clearing.currency_code = held.currency_code
where coalesce(held.held_amount, 0) <> coalesce(clearing.clearing_amount, 0)

{% endtest %}
