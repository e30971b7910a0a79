select
    erp_id,
    name as rate_name,
    upper(from_currency) as from_currency_code,
    upper(to_currency) as to_currency_code,
    cast(exchange_rate as decimal(28, 12)) as exchange_rate,
    date as valid_from,
    {{ utc_timestamp('modified') }} as modified_at
from {{ source('erp', 'exchange_rates') }}
