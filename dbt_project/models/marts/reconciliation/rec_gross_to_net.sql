-- The bridge from gross sales to cash. Each row sums exactly: what was sold is what was charged, what was charged less
-- what was taken off is the net, and the net is in the bank, on its way or still held. A converted payment leaves its
-- order's currency in one row and enters the settlement currency in another.
with settlements as (
    select
        settlement_key,
        gateway_id,
        entity_code,
        currency_code,
        net_amount,
        accounting_date,
        case
            when settlement_status in ('failed', 'canceled') and returned_amount <> 0 then 'held'
            when bank_line_key is not null and settlement_status not in ('failed', 'canceled') then 'in_bank'
            else 'in_transit'
        end as place
    from {{ ref('int_settlements_footed') }}
),

-- A charge for several orders is explained when each of them is.
combined as (
    select
        parts.payment_key,
        count(*) = count(case when orders.amounts_foot then 1 end) as amounts_foot
    from {{ ref('int_payments_combined') }} as parts
    inner join {{ ref('int_orders_enriched') }} as orders on parts.order_key = orders.order_key
    group by parts.payment_key
),

lines as (
    select
        lines.accounting_date,
        coalesce(lines.store_id, 'unassigned') as store_id,
        lines.gateway_id,
        lines.entity_code,
        lines.settlement_key,
        lines.payment_key,
        lines.order_key,
        lines.line_type,
        lines.footing_column,
        -- Transfers to and from the bank are no activity; only a fee on them is.
        lines.line_type in ('payout', 'payout_reversal') as is_transfer,
        lines.match_status in ('matched', 'matched_tolerance', 'fx_diff')
        and coalesce(orders.amounts_foot, combined.amounts_foot, false) as is_explained,
        lines.is_converted,
        row_number() over (
            partition by lines.payment_key, lines.line_type order by lines.booked_at, lines.settlement_line_key
        ) = 1 as is_first_of_payment,
        lines.currency_code,
        lines.gross_amount,
        lines.fee_amount,
        lines.net_amount,
        coalesce(settlements.place, 'held') as place
    from {{ ref('int_settlement_lines_judged') }} as lines
    left join settlements on lines.settlement_key = settlements.settlement_key and lines.line_type <> 'payout'
    left join {{ ref('int_orders_enriched') }} as orders on lines.order_key = orders.order_key
    left join combined on lines.payment_key = combined.payment_key
    where lines.is_clearing
),

-- What explained charges were for, in the order's currency; the charge itself is among the movements.
orders as (
    select
        lines.accounting_date as activity_date,
        lines.store_id,
        lines.gateway_id,
        lines.entity_code,
        orders.currency_code,
        orders.lines_before_discount_amount as gross_sales_amount,
        orders.lines_before_discount_amount - orders.lines_amount as discount_amount,
        orders.shipping_amount,
        orders.fees_amount as order_fees_amount,
        orders.tax_amount,
        case
            when lines.is_converted
                then payments.captured_amount
            else 0
        end - orders.total_amount - coalesce(orders.gift_card_amount, 0) as difference_amount,
        case when lines.is_converted then -payments.captured_amount else 0 end as conversion_amount,
        0 as unexplained_amount,
        0 as charged_amount,
        0 as refund_amount,
        0 as dispute_amount,
        0 as fee_amount,
        0 as reserve_amount,
        0 as other_amount,
        0 as net_amount,
        0 as in_bank_amount,
        0 as in_transit_amount,
        0 as balance_held_amount
    from lines
    inner join {{ ref('int_payments_of_orders') }} as payments on lines.payment_key = payments.payment_key
    inner join {{ ref('int_orders_enriched') }} as orders on payments.order_key = orders.order_key
    where
        lines.line_type = 'charge'
        and lines.is_explained
        and lines.is_first_of_payment
        -- An order in several captures is sold with the last of them.
        and not coalesce(payments.is_earlier_part, false)
),

-- What the gateway booked, in the settlement currency, and where that money is now.
movements as (
    select
        accounting_date as activity_date,
        store_id,
        gateway_id,
        entity_code,
        currency_code,
        0 as gross_sales_amount,
        0 as discount_amount,
        0 as shipping_amount,
        0 as order_fees_amount,
        0 as tax_amount,
        case
            when footing_column = 'gross' and is_explained and not is_converted
                then gross_amount
            else 0
        end as difference_amount,
        case
            when footing_column = 'gross' and is_explained and is_converted
                then gross_amount
            else 0
        end as conversion_amount,
        case when footing_column = 'gross' and not is_explained then gross_amount else 0 end as unexplained_amount,
        case when footing_column = 'gross' then gross_amount else 0 end as charged_amount,
        case when footing_column = 'refund' then -gross_amount else 0 end as refund_amount,
        case when footing_column = 'dispute' then -gross_amount else 0 end as dispute_amount,
        fee_amount - case when footing_column = 'fee' then gross_amount else 0 end as fee_amount,
        case when footing_column = 'reserve' then gross_amount else 0 end as reserve_amount,
        case when footing_column = 'other' and not is_transfer then gross_amount else 0 end as other_amount,
        case when is_transfer then -fee_amount else net_amount end as net_amount,
        case when place = 'in_bank' and not is_transfer then net_amount else 0 end as in_bank_amount,
        case when place = 'in_transit' and not is_transfer then net_amount else 0 end as in_transit_amount,
        case when is_transfer then -fee_amount when place = 'held' then net_amount else 0 end as balance_held_amount
    from lines
),

listed as (
    select
        settlement_key,
        sum(net_amount) as lines_amount
    from lines
    where not is_transfer
    group by settlement_key
),

-- What payouts moved beyond the lines listed for them (manual payouts, residuals).
unlisted as (
    select
        settlements.accounting_date as activity_date,
        'unassigned' as store_id,
        settlements.gateway_id,
        settlements.entity_code,
        settlements.currency_code,
        0 as gross_sales_amount,
        0 as discount_amount,
        0 as shipping_amount,
        0 as order_fees_amount,
        0 as tax_amount,
        0 as difference_amount,
        0 as conversion_amount,
        0 as unexplained_amount,
        0 as charged_amount,
        0 as refund_amount,
        0 as dispute_amount,
        0 as fee_amount,
        0 as reserve_amount,
        0 as other_amount,
        0 as net_amount,
        case
            when settlements.place = 'in_bank'
                then settlements.net_amount - coalesce(listed.lines_amount, 0)
            else 0
        end as in_bank_amount,
        case
            when settlements.place = 'in_transit'
                then settlements.net_amount - coalesce(listed.lines_amount, 0)
            else 0
        end as in_transit_amount,
        coalesce(listed.lines_amount, 0) - settlements.net_amount as balance_held_amount
    from settlements
    left join listed on settlements.settlement_key = listed.settlement_key
    where settlements.place <> 'held' and settlements.net_amount <> coalesce(listed.lines_amount, 0)
),

components as (
    select
        activity_date,
        store_id,
        gateway_id,
        entity_code,
        currency_code,
        gross_sales_amount,
        discount_amount,
        shipping_amount,
        order_fees_amount,
        tax_amount,
        difference_amount,
        conversion_amount,
        unexplained_amount,
        charged_amount,
        refund_amount,
        dispute_amount,
        fee_amount,
        reserve_amount,
        other_amount,
        net_amount,
        in_bank_amount,
        in_transit_amount,
        balance_held_amount
    from orders
    union all
    select
        activity_date,
        store_id,
        gateway_id,
        entity_code,
        currency_code,
        gross_sales_amount,
        discount_amount,
        shipping_amount,
        order_fees_amount,
        tax_amount,
        difference_amount,
        conversion_amount,
        unexplained_amount,
        charged_amount,
        refund_amount,
        dispute_amount,
        fee_amount,
        reserve_amount,
        other_amount,
        net_amount,
        in_bank_amount,
        in_transit_amount,
        balance_held_amount
    from movements
    union all
    select
        activity_date,
        store_id,
        gateway_id,
        entity_code,
        currency_code,
        gross_sales_amount,
        discount_amount,
        shipping_amount,
        order_fees_amount,
        tax_amount,
        difference_amount,
        conversion_amount,
        unexplained_amount,
        charged_amount,
        refund_amount,
        dispute_amount,
        fee_amount,
        reserve_amount,
        other_amount,
        net_amount,
        in_bank_amount,
        in_transit_amount,
        balance_held_amount
    from unlisted
)

select
    activity_date,
    store_id,
    gateway_id,
    entity_code,
    currency_code,
    cast(sum(gross_sales_amount) as decimal(18, 4)) as gross_sales_amount,
    cast(sum(discount_amount) as decimal(18, 4)) as discount_amount,
    cast(sum(shipping_amount) as decimal(18, 4)) as shipping_amount,
    cast(sum(order_fees_amount) as decimal(18, 4)) as order_fees_amount,
    cast(sum(tax_amount) as decimal(18, 4)) as tax_amount,
    cast(sum(difference_amount) as decimal(18, 4)) as difference_amount,
    cast(sum(conversion_amount) as decimal(18, 4)) as conversion_amount,
    cast(sum(unexplained_amount) as decimal(18, 4)) as unexplained_amount,
    cast(sum(charged_amount) as decimal(18, 4)) as charged_amount,
    cast(sum(refund_amount) as decimal(18, 4)) as refund_amount,
    cast(sum(dispute_amount) as decimal(18, 4)) as dispute_amount,
    cast(sum(fee_amount) as decimal(18, 4)) as fee_amount,
    cast(sum(reserve_amount) as decimal(18, 4)) as reserve_amount,
    cast(sum(other_amount) as decimal(18, 4)) as other_amount,
    cast(sum(net_amount) as decimal(18, 4)) as net_amount,
    cast(sum(in_bank_amount) as decimal(18, 4)) as in_bank_amount,
    cast(sum(in_transit_amount) as decimal(18, 4)) as in_transit_amount,
    cast(sum(balance_held_amount) as decimal(18, 4)) as balance_held_amount
from components
group by activity_date, store_id, gateway_id, entity_code, currency_code
