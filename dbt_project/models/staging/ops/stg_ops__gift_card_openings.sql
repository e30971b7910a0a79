select
    store_id,
    upper(currency_code) as currency_code,
    cast(opening as decimal(18, 4)) as opening_amount
from {{ source('ops', 'gift_card_openings') }}
