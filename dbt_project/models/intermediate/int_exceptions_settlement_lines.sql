{{ config(materialized='view') }}

-- What is wrong with a line of a gateway's ledger.
select
    'order_missing' as exception_type,
    lines.settlement_line_key as subject_key,
    lines.entity_code,
    lines.store_id,
    lines.gateway_id,
    lines.order_key,
    lines.settlement_key,
    lines.settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(lines.gross_amount as decimal(18, 4)) as amount_at_risk,
    lines.currency_code,
    lines.booked_at as opened_at,
    {{ json_text([
        ("payment", "lines.payment_key"),
        ("gross", "cast(lines.gross_amount as varchar)"),
        ("description", "lines.description"),
        ("order_reference", "coalesce(payments.order_reference, payments.unprefixed_reference)"),
        ("site", "payments.normalised_site_url"),
        ("booked_at", "cast(lines.booked_at as varchar)"),
        ("suggested_order", "suggestions.order_key"),
        ("suggested_by", "suggestions.evidence_class"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }} as lines
left join {{ ref('int_match_suggestions') }} as suggestions on lines.payment_key = suggestions.payment_key
left join {{ ref('int_payments_prepared') }} as payments on lines.payment_key = payments.payment_key
where lines.line_type = 'charge' and lines.match_status = 'missing_in_store'

union all
select
    'ambiguous_match' as exception_type,
    settlement_line_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(gross_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    booked_at as opened_at,
    {{ json_text([
        ("payment", "payment_key"),
        ("gross", "cast(gross_amount as varchar)"),
        ("rival_orders", "rival_order_keys"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }}
where line_type = 'charge' and match_status = 'ambiguous'

union all
select
    'duplicate_payment' as exception_type,
    lines.settlement_line_key as subject_key,
    lines.entity_code,
    lines.store_id,
    lines.gateway_id,
    lines.order_key,
    lines.settlement_key,
    lines.settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(payments.captured_amount - payments.refunded_amount as decimal(18, 4)) as amount_at_risk,
    payments.currency_code,
    lines.booked_at as opened_at,
    {{ json_text([
        ("payment", "payments.payment_key"),
        ("captured", "cast(payments.captured_amount as varchar)"),
        ("refunded", "cast(payments.refunded_amount as varchar)"),
        ("paid_before_by", "orders.payment_key"),
        ("match_rule", "payments.match_rule"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }} as lines
inner join {{ ref('int_payments_correlated') }} as payments on lines.payment_key = payments.payment_key
left join {{ ref('int_orders_judged') }} as orders on lines.order_key = orders.order_key
where
    lines.line_type = 'charge'
    and lines.match_status = 'duplicate'
    -- Settled once the gateway has given the second payment back.
    and payments.captured_amount > payments.refunded_amount

union all
select
    'unknown_line_type' as exception_type,
    settlement_line_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(net_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    booked_at as opened_at,
    {{ json_text([
        ("line_type", "line_type"),
        ("category", "source_category"),
        ("type", "source_type"),
        ("net", "cast(net_amount as varchar)"),
        ("description", "description"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }}
where counterpart_role is null and is_clearing

union all
select
    'completeness_gap' as exception_type,
    settlement_line_key as subject_key,
    entity_code,
    store_id,
    gateway_id,
    order_key,
    settlement_key,
    settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(net_amount) as decimal(18, 4)) as amount_at_risk,
    currency_code,
    booked_at as opened_at,
    {{ json_text([
        ("reason", "'the record that this line names is not loaded'"),
        ("line_type", "line_type"),
        ("source", "source_id"),
        ("net", "cast(net_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }}
where counterpart_role is not null and is_clearing and match_status = 'needs_review' and payment_match_status is null

union all
-- The gateway books a payout of which its list says nothing: its lines are on no payout, and its deposit is nobody's.
-- A day's grace, since the two are read one after the other.
select
    'completeness_gap' as exception_type,
    lines.settlement_line_key as subject_key,
    lines.entity_code,
    lines.store_id,
    lines.gateway_id,
    lines.order_key,
    lines.settlement_key,
    lines.settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(abs(lines.net_amount) as decimal(18, 4)) as amount_at_risk,
    lines.currency_code,
    lines.booked_at as opened_at,
    {{ json_text([
        ("reason", "'the payout that this line names is not loaded'"),
        ("line_type", "lines.line_type"),
        ("source", "lines.source_id"),
        ("net", "cast(lines.net_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_settlement_lines_judged') }} as lines
cross join {{ ref('stg_ops__clock') }} as clock
left join {{ ref('int_payouts_unioned') }} as payouts on lines.settlement_key = payouts.settlement_key
where
    lines.line_type = 'payout'
    and lines.is_clearing
    and lines.settlement_key is not null
    and payouts.settlement_key is null
    and lines.booked_at <= {{ add_days('clock.as_of', -1) }}
