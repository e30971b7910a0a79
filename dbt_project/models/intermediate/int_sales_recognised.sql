-- Orders whose revenue may be booked: captured, correlated beyond doubt, and adding up. Amounts in the order's
-- currency, rounded to its digits (a store may keep more decimals than its currency has).
with captured as (
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
        payments.payment_key,
        payments.gateway_id,
        payments.gateway_system,
        payments.source_table as payment_source_table,
        payments.captured_at,
        payments.accounting_date as posting_date,
        {{ round_money('orders.total_amount', 'orders.currency_digits') }} as receivable_amount,
        {{ round_money('orders.lines_amount + orders.fees_amount - orders.tips_amount', 'orders.currency_digits') }}
            as revenue_amount,
        {{ round_money('orders.tips_amount', 'orders.currency_digits') }} as tips_amount,
        {{ round_money('orders.shipping_amount', 'orders.currency_digits') }} as shipping_amount,
        {{ round_money('orders.gift_card_amount', 'orders.currency_digits') }} as gift_card_amount,
        orders.payload_sha256 as order_payload_sha256,
        payments.payload_sha256 as payment_payload_sha256
    from {{ ref('int_payments_correlated') }} as payments
    inner join {{ ref('int_orders_enriched') }} as orders on payments.order_key = orders.order_key
    inner join {{ ref('stg_ops__entities') }} as entities on orders.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as base_digits
        on orders.base_currency_code = base_digits.currency_code and base_digits.provider = 'iso'
    where
        payments.is_matched
        -- An order in several captures is sold with the last of them.
        and not coalesce(payments.is_earlier_part, false)
        and payments.match_status <> 'timing'
        and orders.amounts_foot
        and orders.total_amount > 0
        and entities.revenue_recognition = 'capture'
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
    captured_at,
    posting_date,
    order_payload_sha256,
    payment_payload_sha256
from rated
