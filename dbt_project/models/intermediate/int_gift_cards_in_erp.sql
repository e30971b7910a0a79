-- What the ERP's account of gift cards moved by, month by month: by our own postings and by others'.
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
)

select
    accounts.entity_code,
    cast(date_trunc('month', lines.posting_date) as date) as period_month,
    cast(sum(lines.credit_amount - lines.debit_amount) as decimal(18, 4)) as erp_amount,
    cast(
        sum(case when ours.erp_document_key is null then lines.credit_amount - lines.debit_amount else 0 end)
        as decimal(18, 4)
    ) as erp_other_amount
from {{ ref('stg_erp__gl_entries') }} as lines
inner join accounts
    on
        lines.erp_id = accounts.erp_id
        and lines.company = accounts.company
        and lines.erp_account = accounts.erp_account
left join ours on lines.erp_id || ':Journal Entry:' || lines.voucher_id = ours.erp_document_key
where lines.docstatus = 1
group by accounts.entity_code, cast(date_trunc('month', lines.posting_date) as date)
