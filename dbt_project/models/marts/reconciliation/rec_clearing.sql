-- Roll-forward: all that the ledger put on the clearing account against what the gateway says it holds.
with ledger as (
    select
        lines.gateway_id,
        lines.currency_code,
        sum(lines.amount) as clearing_amount,
        sum(case when entries.posting_status = 'held' then lines.amount else 0 end) as held_amount
    from {{ ref('int_journal_lines_balanced') }} as lines
    inner join {{ ref('int_journal_entries_judged') }} as entries on lines.entry_id = entries.entry_id
    where lines.account_role = 'gateway_clearing'
    group by lines.gateway_id, lines.currency_code
),

balances as (
    select
        gateway_id,
        currency_code,
        available_amount,
        pending_amount,
        loaded_at
    from {{ ref('int_balances_unioned') }}
),

-- Whoever delivers files only does not say what it holds: its clearing account has no control total of its own.
gateways_with_balance as (
    select distinct gateway_id
    from balances
)

select
    coalesce(balances.gateway_id, ledger.gateway_id) as gateway_id,
    gateways.entity_code,
    coalesce(balances.currency_code, ledger.currency_code) as currency_code,
    cast(coalesce(ledger.clearing_amount, 0) as decimal(18, 4)) as clearing_amount,
    cast(coalesce(ledger.held_amount, 0) as decimal(18, 4)) as held_amount,
    balances.available_amount,
    balances.pending_amount,
    gateways_with_balance.gateway_id is not null as has_balance,
    cast(
        case
            when gateways_with_balance.gateway_id is not null
                then coalesce(balances.available_amount + balances.pending_amount, 0)
        end as decimal(18, 4)
    ) as gateway_balance_amount,
    cast(
        case
            when gateways_with_balance.gateway_id is not null
                then
                    coalesce(ledger.clearing_amount, 0)
                    - coalesce(balances.available_amount + balances.pending_amount, 0)
        end as decimal(18, 4)
    ) as difference_amount,
    balances.loaded_at as balance_loaded_at
from balances
full outer join ledger on balances.gateway_id = ledger.gateway_id and balances.currency_code = ledger.currency_code
inner join {{ ref('stg_ops__gateways') }} as gateways
    on coalesce(balances.gateway_id, ledger.gateway_id) = gateways.gateway_id
left join gateways_with_balance
    on coalesce(balances.gateway_id, ledger.gateway_id) = gateways_with_balance.gateway_id
