-- The sub-ledger of gift cards: what an order or a refund issues, redeems, takes back or gives back, beside what the
-- ledger has for it. Amounts in the order's currency. What is booked is in the month of its entry.
with heads as (
    select
        'sale/' || order_key as entry_id,
        order_key,
        cast(null as varchar) as refund_key,
        posting_date
    from {{ ref('int_sales_recognised') }}
    union all
    select
        'refund/' || refund_key as entry_id,
        order_key,
        refund_key,
        posting_date
    from {{ ref('int_refunds_recognised') }}
),

booked as (
    select
        entry_id,
        min(entity_code) as entity_code,
        min(currency_code) as currency_code,
        -sum(amount) as ledger_amount
    from {{ ref('int_journal_lines_balanced') }}
    where account_role = 'gift_card_liability'
    group by entry_id
),

ledger as (
    select
        booked.*,
        heads.order_key,
        heads.refund_key,
        heads.posting_date
    from booked
    inner join heads on booked.entry_id = heads.entry_id
),

cards as (
    select
        'sale/' || orders.order_key as entry_id,
        orders.entity_code,
        orders.store_id,
        orders.order_key,
        cast(null as varchar) as refund_key,
        orders.currency_code,
        {{ local_date('coalesce(orders.paid_at, orders.created_at)', 'orders.time_zone') }} as moved_on,
        {{ round_money('orders.gift_cards_sold_amount', 'orders.currency_digits') }} as issued_amount,
        {{ round_money('orders.gift_card_amount', 'orders.currency_digits') }} as redeemed_amount,
        cast(0 as decimal(18, 4)) as voided_amount,
        cast(0 as decimal(18, 4)) as returned_amount
    from {{ ref('int_orders_enriched') }} as orders
    left join {{ ref('int_sales_recognised') }} as sales on orders.order_key = sales.order_key
    where
        (orders.gift_card_amount <> 0 or orders.gift_cards_sold_amount <> 0)
        -- What was captured is paid, whatever the store says.
        and (orders.is_paid_in_store or sales.order_key is not null)
        -- A cancelled order has given the cards that paid it their money back.
        and (orders.total_amount > 0 or orders.gift_card_amount = 0 or orders.is_paid_by_gift_card)
    union all
    select
        'refund/' || refunds.refund_key as entry_id,
        refunds.entity_code,
        refunds.store_id,
        refunds.order_key,
        refunds.refund_key,
        refunds.currency_code,
        refunds.accounting_date as moved_on,
        cast(0 as decimal(18, 4)) as issued_amount,
        cast(0 as decimal(18, 4)) as redeemed_amount,
        {{ round_money('refunds.gift_cards_sold_amount', 'refunds.currency_digits') }} as voided_amount,
        case
            when orders.is_paid_by_gift_card
                then {{ round_money('refunds.refund_amount', 'refunds.currency_digits') }}
            else cast(0 as decimal(18, 4))
        end as returned_amount
    from {{ ref('int_store_refunds_prepared') }} as refunds
    inner join {{ ref('int_orders_enriched') }} as orders on refunds.order_key = orders.order_key
    where
        orders.is_paid_in_store
        and refunds.refund_amount > 0
        and (refunds.gift_cards_sold_amount <> 0 or orders.is_paid_by_gift_card)
)

select
    coalesce(cards.entry_id, ledger.entry_id) as entry_id,
    coalesce(cards.entity_code, ledger.entity_code) as entity_code,
    cards.store_id,
    coalesce(cards.order_key, ledger.order_key) as order_key,
    coalesce(cards.refund_key, ledger.refund_key) as refund_key,
    coalesce(cards.currency_code, ledger.currency_code) as currency_code,
    coalesce(ledger.posting_date, cards.moved_on) as moved_on,
    cast(coalesce(cards.issued_amount, 0) as decimal(18, 4)) as issued_amount,
    cast(coalesce(cards.redeemed_amount, 0) as decimal(18, 4)) as redeemed_amount,
    cast(coalesce(cards.voided_amount, 0) as decimal(18, 4)) as voided_amount,
    cast(coalesce(cards.returned_amount, 0) as decimal(18, 4)) as returned_amount,
    cast(coalesce(ledger.ledger_amount, 0) as decimal(18, 4)) as ledger_amount,
    ledger.entry_id is not null as is_booked
from cards
full outer join ledger on cards.entry_id = ledger.entry_id
