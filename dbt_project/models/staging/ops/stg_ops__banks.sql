select
    bank_id,
    entity_code,
    account_id,
    upper(currency_code) as currency_code
from {{ source('ops', 'banks') }}
