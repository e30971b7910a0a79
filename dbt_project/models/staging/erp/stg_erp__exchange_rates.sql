select
    erp_id,
    name as rate_name,
    upper(from_currency) as from_currency_code,
    upper(to_currency) as to_currency_code,
    cast(exchange_rate as decimal(28, 12)) as exchange_rate,
    date as valid_from,
    modified as erp_modified
from {{ source('erp', 'exchange_rates') }} as rates
where {{ erp_still_has('rates', 'exchange_rates', 'name') }}
