{{ config(materialized='view') }}

-- Accounts that finance has not mapped (one exception per combination) and rates that the books lack.
with unmapped_lines as (
    select
        entry_id,
        entity_code,
        account_role,
        case
            when account_role in ('gateway_clearing', 'gateway_fees', 'dispute_fees', 'cash_in_transit') then gateway_id
        end as gateway_id,
        tax_jurisdiction,
        product_class,
        coalesce(account_problem, 'account_mapping.csv has no row for it') as problem,
        base_currency_code,
        base_amount
    from {{ ref('int_journal_lines_balanced') }}
    where account_code is null
),

unmapped as (
    select
        entity_code,
        account_role,
        gateway_id,
        tax_jurisdiction,
        product_class,
        base_currency_code,
        {{ sorted_list('problem') }} as problem,
        count(distinct entry_id) as entry_count,
        min(entry_id) as first_entry_id,
        sum(abs(base_amount)) as amount_at_risk
    from unmapped_lines
    group by entity_code, account_role, gateway_id, tax_jurisdiction, product_class, base_currency_code
),

first_entries as (
    select
        unmapped.*,
        entries.occurred_at
    from unmapped
    inner join {{ ref('int_journal_entries_drafted') }} as entries on unmapped.first_entry_id = entries.entry_id
),

unrated as (
    select
        'sale/' || order_key as entry_id,
        entity_code,
        store_id,
        cast(null as varchar) as gateway_id,
        order_key,
        receivable_amount as amount,
        currency_code,
        base_currency_code,
        captured_at as occurred_at
    from {{ ref('int_sales_recognised') }}
    where exchange_rate is null
    union all
    select
        entry_id,
        entity_code,
        cast(null as varchar) as store_id,
        gateway_id,
        order_key,
        abs(net_amount) as amount,
        currency_code,
        base_currency_code,
        booked_at as occurred_at
    from {{ ref('int_settlement_lines_booked') }}
    where base_exchange_rate is null
)

select
    'unmapped_account' as exception_type,
    entity_code || ':' || account_role || coalesce(':' || gateway_id, '') || coalesce(':' || tax_jurisdiction, '')
    || coalesce(':' || product_class, '') as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(amount_at_risk as decimal(18, 4)) as amount_at_risk,
    base_currency_code as currency_code,
    occurred_at as opened_at,
    {{ json_text([
        ("account_role", "account_role"),
        ("gateway", "gateway_id"),
        ("tax_jurisdiction", "tax_jurisdiction"),
        ("product_class", "product_class"),
        ("problem", "problem"),
        ("entries", "entry_count"),
        ("first_entry", "first_entry_id"),
    ]) }} as evidence
from first_entries
union all
select
    'completeness_gap' as exception_type,
    entry_id as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    occurred_at as opened_at,
    {{ json_text([
        ("reason", "'the books have no exchange rate for that day'"),
        ("from_currency", "currency_code"),
        ("to_currency", "base_currency_code"),
        ("day", "cast(cast(occurred_at as date) as varchar)"),
    ]) }} as evidence
from unrated
