{{ config(materialized='view') }}

-- Records that were refused, and gaps between those that are here.
with instances as (
    select
        store_id as instance_id,
        entity_code,
        store_id,
        cast(null as varchar) as gateway_id
    from {{ ref('stg_ops__stores') }}
    union all
    select
        gateway_id as instance_id,
        entity_code,
        cast(null as varchar) as store_id,
        gateway_id
    from {{ ref('stg_ops__gateways') }}
    union all
    select
        bank_id as instance_id,
        entity_code,
        cast(null as varchar) as store_id,
        cast(null as varchar) as gateway_id
    from {{ ref('stg_ops__banks') }}
),

lines as (
    select
        gateway_id,
        currency_code,
        sum(net_amount) as lines_amount
    from {{ ref('int_settlement_lines_typed') }}
    where is_clearing
    group by gateway_id, currency_code
)

select
    'contract_violation' as exception_type,
    quarantine.quarantine_id as subject_key,
    instances.entity_code,
    instances.store_id,
    instances.gateway_id,
    case
        when quarantine.table_name = 'orders' and instances.store_id is not null
            then instances.store_id || ':' || quarantine.record_key
    end as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(0 as decimal(18, 4)) as amount_at_risk,
    cast(null as varchar) as currency_code,
    quarantine.first_seen_at as opened_at,
    {{ json_text([
        ("system", "quarantine.system"),
        ("instance", "quarantine.instance_id"),
        ("table", "quarantine.table_name"),
        ("record", "quarantine.record_key"),
        ("field", "quarantine.field"),
        ("value", "quarantine.value"),
        ("reason", "quarantine.reason"),
        ("origin", "quarantine.origin"),
    ]) }} as evidence
from {{ ref('stg_ops__quarantine') }} as quarantine
left join instances on quarantine.instance_id = instances.instance_id
where quarantine.status = 'open'
union all
select
    'completeness_gap' as exception_type,
    statements.statement_key as subject_key,
    banks.entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(
        greatest(
            abs(coalesce(statements.opening_balance_amount - statements.previous_closing_balance_amount, 0)),
            abs(statements.closing_balance_amount - statements.opening_balance_amount - statements.entries_amount)
        ) as decimal(18, 4)
    ) as amount_at_risk,
    statements.currency_code,
    coalesce(statements.created_at, statements.loaded_at) as opened_at,
    {{ json_text([
        ("statement", "statements.statement_id"),
        ("previous_statement", "statements.previous_statement_id"),
        ("sequence_number", "statements.sequence_number"),
        ("previous_sequence_number", "statements.previous_sequence_number"),
        ("opening_balance", "cast(statements.opening_balance_amount as varchar)"),
        ("previous_closing_balance", "cast(statements.previous_closing_balance_amount as varchar)"),
        ("closing_balance", "cast(statements.closing_balance_amount as varchar)"),
        ("entries_total", "cast(statements.entries_amount as varchar)"),
        ("entries_expected", "statements.entry_count"),
        ("entries_loaded", "statements.loaded_entry_count"),
    ]) }} as evidence
from {{ ref('int_bank_statements_chained') }} as statements
left join {{ ref('stg_ops__banks') }} as banks on statements.bank_id = banks.bank_id
where
    -- A bank may start its numbers again each year; the balances still tell a gap then.
    statements.sequence_number > statements.previous_sequence_number + 1
    or statements.opening_balance_amount <> statements.previous_closing_balance_amount
    or statements.closing_balance_amount <> statements.opening_balance_amount + statements.entries_amount
    or statements.entry_count <> statements.loaded_entry_count
union all
select
    'completeness_gap' as exception_type,
    balances.gateway_id || ':' || balances.currency_code as subject_key,
    gateways.entity_code,
    cast(null as varchar) as store_id,
    balances.gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(
        abs(balances.available_amount + balances.pending_amount - coalesce(lines.lines_amount, 0)) as decimal(18, 4)
    ) as amount_at_risk,
    balances.currency_code,
    balances.loaded_at as opened_at,
    {{ json_text([
        ("gateway_balance", "cast(balances.available_amount + balances.pending_amount as varchar)"),
        ("sum_of_lines", "cast(coalesce(lines.lines_amount, 0) as varchar)"),
    ]) }} as evidence
from {{ ref('int_balances_unioned') }} as balances
inner join {{ ref('stg_ops__gateways') }} as gateways on balances.gateway_id = gateways.gateway_id
left join lines on balances.gateway_id = lines.gateway_id and balances.currency_code = lines.currency_code
where balances.available_amount + balances.pending_amount <> coalesce(lines.lines_amount, 0)
