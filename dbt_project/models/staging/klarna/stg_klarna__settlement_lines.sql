select
    lines.gateway_id || ':' || lines.line_id as settlement_line_key,
    lines.gateway_id,
    'klarna' as gateway_system,
    lines.source_table,
    lines.line_id,
    lines.source_category,
    lines.detailed_type as source_type,
    case
        when line_types.line_type = 'charge' then lines.order_id
        when line_types.line_type = 'refund' then coalesce(lines.refund_id, lines.line_id)
        when line_types.line_type in ('dispute', 'dispute_reversal') then 'dispute/' || lines.order_id
        when line_types.line_type = 'payout' then lines.payout_id
    end as source_id,
    'available' as line_status,
    lines.merchant_reference1 as description,
    lines.currency_code,
    lines.gross_amount,
    lines.fee_amount,
    lines.net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    lines.is_clearing,
    lines.booked_at,
    lines.paid_at as available_at,
    lines.payload_sha256,
    lines.loaded_at
from {{ ref('stg_klarna__lines') }} as lines
left join {{ ref('stg_klarna__line_types') }} as line_types on lines.source_category = line_types.source_category
