select
    erp_id,
    company,
    id as erp_account,
    nullif(code, '') as account_code,
    name as account_name,
    upper(account_currency) as currency_code,
    root_type,
    account_type,
    coalesce(is_group, false) as is_group,
    coalesce(is_disabled, false) as is_disabled
from {{ source('erp', 'accounts') }} as accounts
where {{ erp_still_has('accounts', 'accounts') }}
