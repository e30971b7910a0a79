{{ config(materialized='view') }}

-- The ledger lines of all gateways, typed. A category that is not listed is unknown, not guessed.
select
    lines.settlement_line_key,
    lines.gateway_id,
    lines.gateway_system,
    lines.source_table,
    lines.line_id,
    coalesce(line_types.line_type, 'unknown') as line_type,
    lines.source_category,
    lines.source_type,
    lines.source_id,
    lines.line_status,
    lines.description,
    lines.currency_code,
    lines.gross_amount,
    lines.fee_amount,
    lines.net_amount,
    lines.exchange_rate,
    lines.is_clearing,
    lines.booked_at,
    lines.available_at,
    lines.payload_sha256
from {{ ref('int_gateway_lines_unioned') }} as lines
left join {{ ref('int_line_types_unioned') }} as line_types
    on lines.gateway_system = line_types.gateway_system and lines.source_category = line_types.source_category
