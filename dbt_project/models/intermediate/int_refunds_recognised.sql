-- Credit notes: a store's refund of an order whose sale is booked, at the rate of that sale.
select
    refunds.store_refund_key as refund_key,
    refunds.match_status,
    refunds.gateway_refund_key,
    sales.order_key,
    sales.store_id,
    sales.entity_code,
    sales.order_number,
    sales.gateway_id,
    sales.currency_code,
    sales.currency_digits,
    sales.base_currency_code,
    sales.base_digits,
    sales.exchange_rate,
    refunds.tax_split,
    {{ round_money('refunds.store_refund_amount', 'sales.currency_digits') }} as receivable_amount,
    refunds.store_tax_amount as tax_amount,
    {{ round_money('coalesce(refunds.store_tips_amount, 0)', 'sales.currency_digits') }} as tips_amount,
    {{ round_money('coalesce(refunds.store_gift_cards_sold_amount, 0)', 'sales.currency_digits') }}
        as gift_cards_sold_amount,
    -- What cards alone have paid goes back to them.
    sales.payment_key is null as is_returned_to_gift_card,
    refunds.store_refunded_at as refunded_at,
    refunds.accounting_date as posting_date,
    refunds.store_payload_sha256 as payload_sha256
from {{ ref('int_refunds_joined') }} as refunds
inner join {{ ref('int_sales_recognised') }} as sales on refunds.order_key = sales.order_key
where refunds.store_refund_key is not null and refunds.store_refund_amount > 0 and sales.exchange_rate is not null
