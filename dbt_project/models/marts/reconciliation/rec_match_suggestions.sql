select
    suggestions.payment_key,
    suggestions.order_key,
    payments.gateway_id,
    orders.store_id,
    payments.entity_code,
    payments.currency_code,
    payments.captured_amount,
    payments.created_at as payment_created_at,
    orders.created_at as order_created_at,
    suggestions.payer_evidence,
    suggestions.time_evidence,
    suggestions.candidate_evidence,
    suggestions.candidate_count,
    suggestions.evidence_class,
    calibration.confidence,
    calibration.suggestion_count as calibrated_on_count
from {{ ref('int_match_suggestions') }} as suggestions
inner join {{ ref('int_payments_prepared') }} as payments on suggestions.payment_key = payments.payment_key
inner join {{ ref('int_orders_enriched') }} as orders on suggestions.order_key = orders.order_key
left join {{ ref('int_match_calibration') }} as calibration on suggestions.evidence_class = calibration.evidence_class
