select
    store_id || ':' || cast(order_id as varchar) || ':' || cast(id as varchar) as order_gift_card_key,
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id,
    order_id,
    id as gift_card_id,
    cast(amount as decimal(18, 4)) as redeemed_amount
from {{ source('woocommerce', 'order_gift_cards') }}
