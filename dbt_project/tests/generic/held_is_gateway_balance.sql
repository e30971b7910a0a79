{#- Fails for each gateway account and currency of which the bridge leaves another amount held than the gateway. -#}
{% test held_is_gateway_balance(model, clearing) %}

with held as (
    select
        gateway_id,
        currency_code,
        sum(balance_held_amount) as held_amount
    from {{ model }}
    group by gateway_id, currency_code
)

select
    clearing.gateway_id,
    clearing.currency_code,
    held.held_amount,
    clearing.gateway_balance_amount
from {{ clearing }} as clearing
left join held on clearing.gateway_id = held.gateway_id and clearing.currency_code = held.currency_code
where coalesce(held.held_amount, 0) <> clearing.gateway_balance_amount

{% endtest %}
