-- Orders whose sale may be booked: captured, correlated beyond doubt, and adding up; or paid by gift cards alone.
-- Whether that makes it revenue already is the entity's policy (revenue_recognition).
-- Amounts in the order's currency, rounded to its digits (a store may keep more decimals than its currency has).
with paid as (
    select
        order_key,
        payment_key,
        gateway_id,
        gateway_system,
        source_table as payment_source_table,
        captured_at,
        accounting_date as posting_date,
        payload_sha256 as payment_payload_sha256,
        false as is_paid_by_gift_card
    from {{ ref('int_payments_of_orders') }}
    where
        is_matched
        -- An order in several captures is sold with the last of them.
        and not coalesce(is_earlier_part, false)
        and match_status <> 'timing'
    union all
    select
        order_key,
        cast(null as varchar) as payment_key,
        cast(null as varchar) as gateway_id,
        cast(null as varchar) as gateway_system,
        cast(null as varchar) as payment_source_table,
        paid_at as captured_at,
        {{ local_date('paid_at', 'time_zone') }} as posting_date,
        cast(null as varchar) as payment_payload_sha256,
        true as is_paid_by_gift_card
    from {{ ref('int_orders_enriched') }}
    where is_paid_by_gift_card
),

captured as (
    select
        orders.order_key,
        orders.store_id,
        orders.entity_code,
        orders.order_number,
        orders.currency_code,
        orders.currency_digits,
        orders.base_currency_code,
        base_digits.exponent as base_digits,
        entities.erp_id,
        paid.payment_key,
        paid.gateway_id,
        paid.gateway_system,
        paid.payment_source_table,
        paid.captured_at,
        paid.posting_date,
        {{ round_money('orders.total_amount', 'orders.currency_digits') }} as receivable_amount,
        {{ round_money(
            'orders.lines_amount + orders.fees_amount - orders.tips_amount - orders.gift_cards_sold_amount',
            'orders.currency_digits'
        ) }} as revenue_amount,
        {{ round_money('orders.tips_amount', 'orders.currency_digits') }} as tips_amount,
        {{ round_money('orders.shipping_amount', 'orders.currency_digits') }} as shipping_amount,
        {{ round_money('orders.gift_card_amount', 'orders.currency_digits') }} as gift_card_amount,
        {{ round_money('orders.gift_cards_sold_amount', 'orders.currency_digits') }} as gift_cards_sold_amount,
        entities.revenue_recognition,
        orders.payload_sha256 as order_payload_sha256,
        paid.payment_payload_sha256
    from paid
    inner join {{ ref('int_orders_enriched') }} as orders on paid.order_key = orders.order_key
    inner join {{ ref('stg_ops__entities') }} as entities on orders.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as base_digits
        on orders.base_currency_code = base_digits.currency_code and base_digits.provider = 'iso'
    where
        orders.amounts_foot
        and (orders.total_amount > 0 or paid.is_paid_by_gift_card)
),

rated as (
    select
        captured.*,
        case
            when captured.currency_code = captured.base_currency_code then cast(1 as decimal(28, 12))
            else rates.exchange_rate
        end as exchange_rate
    from captured
    left join {{ ref('int_exchange_rates_dated') }} as rates
        on
            captured.erp_id = rates.erp_id
            and captured.currency_code = rates.from_currency_code
            and captured.base_currency_code = rates.to_currency_code
            and captured.posting_date >= rates.valid_from
            and (captured.posting_date < rates.valid_until or rates.valid_until is null)
)

select
    order_key,
    store_id,
    entity_code,
    order_number,
    payment_key,
    gateway_id,
    gateway_system,
    payment_source_table,
    currency_code,
    currency_digits,
    base_currency_code,
    base_digits,
    exchange_rate,
    receivable_amount,
    {{ convert_money('receivable_amount', 'exchange_rate', 'base_digits') }} as base_receivable_amount,
    revenue_amount,
    tips_amount,
    shipping_amount,
    gift_card_amount,
    gift_cards_sold_amount,
    revenue_recognition,
    captured_at,
    posting_date,
    order_payload_sha256,
    payment_payload_sha256
from rated
