select
    lines.settlement_line_key,
    lines.settlement_key,
    lines.gateway_id,
    lines.entity_code,
    lines.store_id,
    lines.order_key,
    lines.payment_key,
    fees.fee_rule_id,
    coalesce(fees.fee_status, 'no_contract') as fee_status,
    fees.payment_method_type,
    fees.card_brand,
    fees.card_country,
    fees.card_region,
    lines.currency_code,
    coalesce(fees.basis_amount, lines.gross_amount) as basis_amount,
    fees.expected_fee_amount,
    coalesce(fees.actual_fee_amount, lines.fee_amount) as actual_fee_amount,
    fees.difference_amount,
    lines.accounting_date,
    lines.booked_at
from {{ ref('int_settlement_lines_judged') }} as lines
left join {{ ref('int_fees_expected') }} as fees on lines.settlement_line_key = fees.settlement_line_key
where lines.line_type = 'charge' and lines.is_clearing
