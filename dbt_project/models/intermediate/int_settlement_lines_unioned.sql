{{ config(materialized='view') }}

-- The ledger lines of all gateways, typed by the seed. A category that the seed does not know is unknown, not guessed.
with lines as (
    {{ union_gateways('settlement_lines', [
        "settlement_line_key", "gateway_id", "gateway_system", "source_table", "line_id", "source_category",
        "source_type", "source_id", "line_status", "description", "currency_code", "gross_amount", "fee_amount",
        "net_amount", "exchange_rate", "is_clearing", "booked_at", "available_at", "payload_sha256",
    ]) | indent(4) }}
)

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
from lines
left join {{ ref('line_types') }} as line_types
    on lines.gateway_system = line_types.gateway_system and lines.source_category = line_types.source_category
