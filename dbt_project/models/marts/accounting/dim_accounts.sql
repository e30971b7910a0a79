with roles as (
    select
        entity_code,
        account_code,
        {{ sorted_list('account_role') }} as account_roles
    from {{ ref('account_mapping') }}
    group by entity_code, account_code
)

select
    accounts.erp_id || ':' || accounts.erp_account as account_key,
    companies.entity_code,
    accounts.account_code,
    accounts.account_name,
    accounts.erp_id,
    accounts.erp_account,
    accounts.root_type,
    accounts.account_type,
    accounts.currency_code,
    accounts.is_group,
    accounts.is_disabled,
    roles.account_roles
from {{ ref('stg_erp__accounts') }} as accounts
inner join {{ ref('stg_ops__erps') }} as companies
    on accounts.erp_id = companies.erp_id and accounts.company = companies.company
left join roles on companies.entity_code = roles.entity_code and accounts.account_code = roles.account_code
