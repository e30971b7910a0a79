select
    lines.gateway_id || ':' || lines.line_id as settlement_line_key,
    lines.gateway_id,
    'paypal' as gateway_system,
    lines.source_table,
    lines.line_id,
    lines.source_category,
    lines.event_code as source_type,
    case
        when lines.line_type in ('charge', 'refund', 'payout') then lines.transaction_id
        when lines.line_type in ('dispute', 'dispute_reversal') then disputed.dispute_id
        when lines.line_type in ('charge_failure', 'payout_reversal')
            then coalesce(lines.reference_id, lines.transaction_id)
    end as source_id,
    lines.transaction_status as line_status,
    coalesce(lines.subject, lines.invoice_id) as description,
    lines.currency_code,
    lines.gross_amount,
    lines.fee_amount,
    lines.net_amount,
    -- A conversion is two lines, one for each currency's balance, so no line is converted.
    cast(null as decimal(28, 12)) as exchange_rate,
    lines.is_clearing,
    lines.booked_at,
    lines.booked_at as available_at,
    lines.payload_sha256,
    lines.loaded_at
from {{ ref('stg_paypal__lines') }} as lines
left join {{ ref('stg_paypal__disputed_lines') }} as disputed
    on lines.gateway_id = disputed.gateway_id and lines.line_id = disputed.line_id
