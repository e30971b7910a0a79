-- Gift cards that an order sells, and that a refund takes back. A card is worth what it costs before discount: that is
-- what its holder can spend.
with lines as (
    select
        'order' as subject,
        order_line_key as line_key,
        order_key as subject_key,
        store_id,
        sku,
        product_id,
        variation_id,
        net_before_discount_amount as card_amount
    from {{ ref('stg_woocommerce__order_lines') }}
    union all
    select
        'refund' as subject,
        refund_key || ':' || cast(line_id as varchar) as line_key,
        refund_key as subject_key,
        store_id,
        sku,
        product_id,
        variation_id,
        -net_amount as card_amount
    from {{ ref('stg_woocommerce__refund_lines') }}
),

-- A line that is a card by its stock keeping unit and by its product is one card.
cards as (
    select distinct
        lines.subject,
        lines.line_key,
        lines.subject_key,
        lines.card_amount
    from lines
    inner join {{ ref('stg_ops__gift_card_products') }} as products
        on {{ is_gift_card('lines', 'products') }}
)

select
    subject,
    subject_key,
    cast(sum(card_amount) as decimal(18, 4)) as gift_cards_sold_amount
from cards
group by subject, subject_key
