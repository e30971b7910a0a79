-- Order lines whose goods belong to a class, by finance's rules; a gift card is no goods.
with articles as (
    select distinct
        store_id,
        coalesce(lower(trim(sku)), '') as sku
    from {{ ref('stg_woocommerce__order_lines') }}
),

-- Of a pattern only * means any text.
patterns as (
    select
        position,
        store_id,
        replace(
            replace(replace(replace(lower(trim(sku_pattern)), '!', '!!'), '_', '!_'), '%', '!%'), '*', '%'
        ) as sku_pattern
    from {{ ref('product_classes') }}
),

first_rules as (
    select
        articles.store_id,
        articles.sku,
        min(patterns.position) as position
    from articles
    inner join patterns
        on
            coalesce(patterns.store_id, articles.store_id) = articles.store_id
            and (patterns.sku_pattern is null or articles.sku like patterns.sku_pattern escape '!')
    group by articles.store_id, articles.sku
),

gift_cards as (
    select distinct lines.order_line_key
    from {{ ref('stg_woocommerce__order_lines') }} as lines
    inner join {{ ref('stg_ops__gift_card_products') }} as products on {{ is_gift_card('lines', 'products') }}
)

select
    lines.order_line_key,
    lines.order_key,
    coalesce({{ article_of('lines') }}, lines.order_line_key) as article,
    rules.product_class,
    lines.net_amount
from {{ ref('stg_woocommerce__order_lines') }} as lines
inner join first_rules
    on lines.store_id = first_rules.store_id and coalesce(lower(trim(lines.sku)), '') = first_rules.sku
inner join {{ ref('product_classes') }} as rules on first_rules.position = rules.position
left join gift_cards on lines.order_line_key = gift_cards.order_line_key
where gift_cards.order_line_key is null
