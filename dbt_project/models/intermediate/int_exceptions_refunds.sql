{{ config(materialized='view') }}

-- What is wrong between the two sides of a refund. A refund that failed is settled by a later one that did not.
with succeeded as (
    select
        payment_key,
        gateway_refund_amount,
        max(gateway_refunded_at) as last_refunded_at
    from {{ ref('int_refunds_joined') }}
    where gateway_refund_key is not null and not is_failed
    group by payment_key, gateway_refund_amount
),

refunds as (
    select
        joined.*,
        coalesce(succeeded.last_refunded_at > joined.gateway_refunded_at, false) as is_paid_later
    from {{ ref('int_refunds_joined') }} as joined
    left join succeeded
        on joined.payment_key = succeeded.payment_key and joined.gateway_refund_amount = succeeded.gateway_refund_amount
)

select
    'refund_missing_in_gateway' as exception_type,
    refund_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(store_refund_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    store_refunded_at as opened_at,
    {{ json_text([
        ("store_refund", "store_refund_key"),
        ("gateway_refund", "gateway_refund_key"),
        ("store_amount", "cast(store_refund_amount as varchar)"),
        ("gateway_amount", "cast(gateway_refund_amount as varchar)"),
        ("gateway_status", "gateway_status"),
        ("reason", "coalesce(failure_reason, store_reason)"),
    ]) }} as evidence
from refunds
where match_status = 'missing_in_gateway'

union all
select
    'refund_missing_in_store' as exception_type,
    refund_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(gateway_refund_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    gateway_refunded_at as opened_at,
    {{ json_text([
        ("store_refund", "store_refund_key"),
        ("gateway_refund", "gateway_refund_key"),
        ("store_amount", "cast(store_refund_amount as varchar)"),
        ("gateway_amount", "cast(gateway_refund_amount as varchar)"),
        ("gateway_status", "gateway_status"),
        ("reason", "coalesce(failure_reason, store_reason)"),
    ]) }} as evidence
from refunds
where match_status = 'missing_in_store' and is_payment_matched

union all
select
    'refund_failed' as exception_type,
    refund_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(gateway_refund_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    gateway_refunded_at as opened_at,
    {{ json_text([
        ("store_refund", "store_refund_key"),
        ("gateway_refund", "gateway_refund_key"),
        ("store_amount", "cast(store_refund_amount as varchar)"),
        ("gateway_amount", "cast(gateway_refund_amount as varchar)"),
        ("gateway_status", "gateway_status"),
        ("reason", "coalesce(failure_reason, store_reason)"),
    ]) }} as evidence
from refunds
where is_failed and is_payment_matched and not is_paid_later

union all
select
    'amount_mismatch' as exception_type,
    refund_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(store_refund_amount - gateway_refund_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    gateway_refunded_at as opened_at,
    {{ json_text([
        ("store_refund", "store_refund_key"),
        ("gateway_refund", "gateway_refund_key"),
        ("store_amount", "cast(store_refund_amount as varchar)"),
        ("gateway_amount", "cast(gateway_refund_amount as varchar)"),
        ("gateway_status", "gateway_status"),
        ("reason", "coalesce(failure_reason, store_reason)"),
    ]) }} as evidence
from refunds
where match_status = 'amount_diff' and is_payment_matched
