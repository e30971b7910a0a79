{{ config(materialized='view') }}

-- What is wrong between an order and its payment, seen from the order.
with suggestions as (
    select
        order_key,
        {{ sorted_list('payment_key') }} as payment_keys
    from {{ ref('int_match_suggestions') }}
    group by order_key
)

select
    'payment_missing' as exception_type,
    orders.order_key as subject_key,
    orders.entity_code,
    orders.store_id,
    orders.gateway_id,
    orders.order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(orders.total_amount as decimal(18, 4)) as amount_at_risk,
    orders.currency_code,
    coalesce(orders.paid_at, orders.created_at) as opened_at,
    {{ json_text([
        ("order_number", "orders.order_number"),
        ("store_status", "orders.store_status"),
        ("order_total", "cast(orders.total_amount as varchar)"),
        ("paid_in_store_at", "cast(orders.paid_at as varchar)"),
        ("suggested_payments", "suggestions.payment_keys"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }} as orders
left join suggestions on orders.order_key = suggestions.order_key
where orders.order_status = 'payment_missing' and orders.stale_authorisation_key is null

union all
select
    'amount_mismatch' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(
        case when coalesce(difference_amount, 0) = 0 then captured_amount else abs(difference_amount) end
        as decimal(18, 4)
    ) as amount_at_risk,
    currency_code,
    captured_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("store_status", "store_status"),
        ("order_total", "cast(total_amount as varchar)"),
        ("captured", "cast(captured_amount as varchar)"),
        ("difference", "cast(difference_amount as varchar)"),
        ("payment", "payment_key"),
        ("match_rule", "match_rule"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where order_status = 'amount_mismatch' and not is_edited_after_payment

union all
select
    'order_edited_after_payment' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(difference_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    modified_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("store_status", "store_status"),
        ("order_total", "cast(total_amount as varchar)"),
        ("captured", "cast(captured_amount as varchar)"),
        ("difference", "cast(difference_amount as varchar)"),
        ("invoiced", "cast(invoiced_amount as varchar)"),
        ("paid_in_store_at", "cast(paid_at as varchar)"),
        ("edited_at", "cast(modified_at as varchar)"),
        ("payment", "payment_key"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where order_status = 'amount_mismatch' and is_edited_after_payment

union all
select
    'stale_authorisation' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(total_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    uncaptured_since as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("store_status", "store_status"),
        ("order_total", "cast(total_amount as varchar)"),
        ("authorisation", "stale_authorisation_key"),
        ("authorised_at", "cast(uncaptured_since as varchar)"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where stale_authorisation_key is not null and order_status in ('payment_missing', 'not_expected')

union all
select
    'currency_mismatch' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(total_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    captured_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("order_total", "cast(total_amount as varchar)"),
        ("order_currency", "currency_code"),
        ("captured", "cast(captured_amount as varchar)"),
        ("captured_currency", "payment_currency_code"),
        ("payment", "payment_key"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where order_status = 'currency_mismatch'

union all
select
    'ambiguous_match' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(total_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    coalesce(paid_at, created_at) as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("order_total", "cast(total_amount as varchar)"),
        ("rival_payments", "rival_payment_keys"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where order_status = 'ambiguous'

union all
select
    'contract_violation' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(total_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    created_at as opened_at,
    {{ json_text([
        ("order_number", "order_number"),
        ("rule", "'total = lines + shipping + fees + tax, and tax = tax lines'"),
        ("order_total", "cast(total_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_orders_judged') }}
where not amounts_foot and store_status not in ('checkout-draft', 'auto-draft')
