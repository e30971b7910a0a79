select
    provider,
    currency_code,
    exponent
from {{ source('ops', 'currency_exponents') }}
