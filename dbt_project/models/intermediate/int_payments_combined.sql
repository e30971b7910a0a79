{{ config(materialized='view') }}

-- Charges for several orders, order by order: what each takes of the charge is its own total.
select
    pairs.payment_key,
    pairs.order_key,
    orders.store_id,
    orders.currency_code,
    {{ round_money('orders.total_amount', 'orders.currency_digits') }} as part_amount,
    orders.is_paid_in_store or orders.is_trashed as is_paid_in_store
from {{ ref('int_payments_pass_5_several_orders') }} as pairs
inner join {{ ref('int_orders_enriched') }} as orders on pairs.order_key = orders.order_key
where pairs.verdict = 'combined'
