with product_lines as (
    select
        order_key,
        sum(net_amount) as lines_amount,
        sum(net_before_discount_amount) as lines_before_discount_amount
    from {{ ref('stg_woocommerce__order_lines') }}
    group by order_key
),

-- Of the fees, the tips that the entity owes to its staff.
fee_lines as (
    select
        fees.order_key,
        sum(fees.net_amount) as fees_amount,
        sum({{ owed_tip('fees', 'entities') }}) as tips_amount
    from {{ ref('stg_woocommerce__order_fee_lines') }} as fees
    inner join {{ ref('stg_ops__stores') }} as stores on fees.store_id = stores.store_id
    inner join {{ ref('stg_ops__entities') }} as entities on stores.entity_code = entities.entity_code
    group by fees.order_key
),

tax_lines as (
    select
        order_key,
        sum(line_tax_amount + shipping_tax_amount) as tax_lines_amount
    from {{ ref('stg_woocommerce__order_tax_lines') }}
    group by order_key
),

-- Gift cards pay a part of the order: its total is what is left to pay, its lines and taxes are whole.
gift_cards as (
    select
        order_key,
        sum(redeemed_amount) as gift_card_amount
    from {{ ref('stg_woocommerce__order_gift_cards') }}
    group by order_key
),

-- Cards that the order sells are no revenue but a debt to their holders.
gift_cards_sold as (
    select
        subject_key as order_key,
        gift_cards_sold_amount
    from {{ ref('int_gift_cards_sold') }}
    where subject = 'order'
),

-- A store may take one payment method through one gateway only; with several the charge itself tells which.
payment_methods as (
    select
        store_id,
        payment_method,
        min(gateway_id) as gateway_id,
        max(reports_after_days) as reports_after_days
    from {{ ref('stg_ops__gateway_stores') }}
    group by store_id, payment_method
),

joined as (
    select
        orders.*,
        stores.entity_code,
        entities.base_currency_code,
        entities.time_zone,
        digits.exponent as currency_digits,
        payment_methods.gateway_id,
        coalesce(payment_methods.reports_after_days, 0) as reports_after_days,
        cast(coalesce(product_lines.lines_amount, 0) as decimal(18, 4)) as lines_amount,
        cast(coalesce(product_lines.lines_before_discount_amount, 0) as decimal(18, 4)) as lines_before_discount_amount,
        cast(coalesce(fee_lines.fees_amount, 0) as decimal(18, 4)) as fees_amount,
        cast(coalesce(fee_lines.tips_amount, 0) as decimal(18, 4)) as tips_amount,
        cast(coalesce(tax_lines.tax_lines_amount, 0) as decimal(18, 4)) as tax_lines_amount,
        cast(coalesce(gift_cards.gift_card_amount, 0) as decimal(18, 4)) as gift_card_amount,
        cast(coalesce(gift_cards_sold.gift_cards_sold_amount, 0) as decimal(18, 4)) as gift_cards_sold_amount
    from {{ ref('stg_woocommerce__orders') }} as orders
    inner join {{ ref('stg_ops__stores') }} as stores on orders.store_id = stores.store_id
    inner join {{ ref('stg_ops__entities') }} as entities on stores.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on orders.currency_code = digits.currency_code and digits.provider = 'iso'
    left join payment_methods
        on orders.store_id = payment_methods.store_id and orders.payment_method = payment_methods.payment_method
    left join product_lines on orders.order_key = product_lines.order_key
    left join fee_lines on orders.order_key = fee_lines.order_key
    left join tax_lines on orders.order_key = tax_lines.order_key
    left join gift_cards on orders.order_key = gift_cards.order_key
    left join gift_cards_sold on orders.order_key = gift_cards_sold.order_key
)

select
    order_key,
    store_id,
    entity_code,
    base_currency_code,
    time_zone,
    order_id,
    order_number,
    store_order_key,
    store_status,
    currency_code,
    currency_digits,
    customer_id,
    billing_email,
    billing_country,
    billing_state,
    shipping_country,
    shipping_state,
    payment_method,
    gateway_id,
    reports_after_days,
    transaction_id,
    intent_id,
    last_gateway_refund_id,
    created_via,
    total_amount,
    lines_before_discount_amount,
    lines_amount,
    shipping_amount,
    fees_amount,
    tips_amount,
    tax_amount,
    tax_lines_amount,
    discount_amount,
    gift_card_amount,
    gift_cards_sold_amount,
    -- Deleted for good is the trash emptied: it counts no more and no less.
    store_status in ('trash', 'deleted') as is_trashed,
    total_amount + gift_card_amount = lines_amount + shipping_amount + fees_amount + tax_amount
    and tax_amount = tax_lines_amount as amounts_foot,
    -- Money must have come through a gateway: the store holds the order for paid, it costs something, and its payment
    -- method is one that a gateway serves. date_paid outlives a later cancellation, a lost dispute and a refund.
    gateway_id is not null
    and total_amount > 0
    and store_status not in ('trash', 'deleted', 'checkout-draft', 'auto-draft')
    and (paid_at is not null or store_status in ('processing', 'completed', 'refunded')) as is_payment_expected,
    paid_at is not null or store_status in ('processing', 'completed', 'refunded') as is_paid_in_store,
    -- Nothing is left to pay, and the cards have not got their money back.
    total_amount = 0
    and gift_card_amount > 0
    and paid_at is not null
    and store_status not in (
        'pending', 'cancelled', 'failed', 'trash', 'deleted', 'checkout-draft', 'auto-draft'
    ) as is_paid_by_gift_card,
    created_at,
    modified_at,
    paid_at,
    completed_at,
    {{ local_date('created_at', 'time_zone') }} as accounting_date,
    payload_sha256,
    loaded_at
from joined
