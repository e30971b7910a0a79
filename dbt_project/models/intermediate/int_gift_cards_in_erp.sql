-- What others than this platform booked on the ERP's account of gift cards, month by month; a row without a month for
-- an account on which they booked nothing. Our own postings are what the ledger says.
with accounts as (
    select
        mapping.entity_code,
        accounts.erp_id,
        companies.company,
        accounts.erp_account
    from {{ ref('account_mapping') }} as mapping
    inner join {{ ref('stg_ops__erps') }} as companies on mapping.entity_code = companies.entity_code
    inner join {{ ref('stg_erp__accounts') }} as accounts
        on
            companies.erp_id = accounts.erp_id
            and coalesce(accounts.company, companies.company) = companies.company
            and mapping.account_code = accounts.account_code
    where mapping.account_role = 'gift_card_liability'
),

ours as (
    select erp_document_key
    from {{ ref('stg_erp__journal_entries') }}
    where posting_key is not null
),

-- Of all documents but ours.
others as (
    select
        accounts.entity_code,
        lines.posting_date,
        lines.credit_amount - lines.debit_amount as amount
    from {{ ref('stg_erp__gl_entries') }} as lines
    inner join accounts
        on
            lines.erp_id = accounts.erp_id
            and lines.company = accounts.company
            and lines.erp_account = accounts.erp_account
    left join ours on lines.erp_id || ':Journal Entry:' || lines.voucher_id = ours.erp_document_key
    where lines.docstatus = 1 and ours.erp_document_key is null
),

entities as (
    select distinct entity_code
    from accounts
)

select
    entities.entity_code,
    cast(date_trunc('month', others.posting_date) as date) as period_month,
    cast(coalesce(sum(others.amount), 0) as decimal(18, 4)) as erp_other_amount
from entities
left join others on entities.entity_code = others.entity_code
group by entities.entity_code, cast(date_trunc('month', others.posting_date) as date)
