select
    gateway_id,
    'mollie' as gateway_system,
    currency as currency_code,
    available_amount,
    pending_amount,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('mollie', 'balances') }}
