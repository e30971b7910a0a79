select
    store_id,
    named_by,
    product
from {{ source('ops', 'gift_card_products') }}
