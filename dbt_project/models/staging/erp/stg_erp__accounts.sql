select
    erp_id,
    company,
    name as erp_account,
    nullif(account_number, '') as account_code,
    account_name,
    upper(account_currency) as currency_code,
    root_type,
    account_type,
    coalesce(is_group, 0) = 1 as is_group,
    coalesce(disabled, 0) = 1 as is_disabled
from {{ source('erp', 'accounts') }}
