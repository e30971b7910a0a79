-- Each statement with the one before it on the same account, and with the entries that were read from it.
with entries as (
    select
        bank_id,
        account_id,
        statement_id,
        count(*) as loaded_entry_count,
        sum(bank_amount) as entries_amount
    from {{ ref('stg_bank__entries') }}
    group by bank_id, account_id, statement_id
)

select
    statements.statement_key,
    statements.bank_id,
    statements.account_id,
    statements.statement_id,
    statements.currency_code,
    statements.opening_date,
    statements.closing_date,
    statements.created_at,
    statements.loaded_at,
    statements.sequence_number,
    statements.opening_balance_amount,
    statements.closing_balance_amount,
    statements.entry_count,
    coalesce(entries.loaded_entry_count, 0) as loaded_entry_count,
    cast(coalesce(entries.entries_amount, 0) as decimal(18, 4)) as entries_amount,
    lag(statements.statement_id) over account_history as previous_statement_id,
    lag(statements.sequence_number) over account_history as previous_sequence_number,
    lag(statements.closing_balance_amount) over account_history as previous_closing_balance_amount
from {{ ref('stg_bank__statements') }} as statements
left join entries
    on
        statements.bank_id = entries.bank_id
        and statements.account_id = entries.account_id
        and statements.statement_id = entries.statement_id
window account_history as (
    partition by statements.bank_id, statements.account_id
    order by
        coalesce(statements.closing_date, cast(statements.created_at as date)),
        statements.sequence_number,
        statements.statement_id
)
