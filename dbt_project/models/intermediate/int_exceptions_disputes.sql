{{ config(materialized='view') }}

-- Disputes that must be answered, and those over money that was given back before.
with withdrawals as (
    select
        dispute_key,
        min(settlement_line_key) as settlement_line_key,
        min(settlement_key) as settlement_key
    from {{ ref('int_settlement_lines_judged') }}
    where line_type = 'dispute'
    group by dispute_key
),

disputes as (
    select
        disputes.dispute_key,
        disputes.gateway_id,
        gateways.entity_code,
        payments.store_id,
        payments.order_key,
        payments.payment_key,
        disputes.reason,
        disputes.source_status,
        disputes.dispute_status,
        disputes.currency_code,
        disputes.dispute_amount,
        payments.currency_code as payment_currency_code,
        payments.captured_amount,
        payments.refunded_amount,
        withdrawals.settlement_line_key,
        withdrawals.settlement_key,
        disputes.created_at,
        disputes.evidence_due_at
    from {{ ref('int_disputes_unioned') }} as disputes
    inner join {{ ref('stg_ops__gateways') }} as gateways on disputes.gateway_id = gateways.gateway_id
    left join {{ ref('int_payments_correlated') }} as payments
        on disputes.gateway_id = payments.gateway_id and disputes.payment_id = payments.payment_id
    left join withdrawals on disputes.dispute_key = withdrawals.dispute_key
)

select
    'dispute_open' as exception_type,
    dispute_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(dispute_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    created_at as opened_at,
    {{ json_text([
        ("dispute", "dispute_key"),
        ("payment", "payment_key"),
        ("reason", "reason"),
        ("status", "source_status"),
        ("disputed", "cast(dispute_amount as varchar)"),
        ("captured", "cast(captured_amount as varchar)"),
        ("refunded", "cast(refunded_amount as varchar)"),
        ("answer_by", "cast(evidence_due_at as varchar)"),
    ]) }} as evidence
from disputes
where dispute_status = 'open'

union all
select
    'dispute_double_loss' as exception_type,
    dispute_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(dispute_amount - (captured_amount - refunded_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    created_at as opened_at,
    {{ json_text([
        ("dispute", "dispute_key"),
        ("payment", "payment_key"),
        ("reason", "reason"),
        ("status", "source_status"),
        ("disputed", "cast(dispute_amount as varchar)"),
        ("captured", "cast(captured_amount as varchar)"),
        ("refunded", "cast(refunded_amount as varchar)"),
        ("answer_by", "cast(evidence_due_at as varchar)"),
    ]) }} as evidence
from disputes
where
    dispute_status in ('open', 'lost')
    and currency_code = payment_currency_code
    and dispute_amount > captured_amount - refunded_amount
