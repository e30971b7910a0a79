{{ config(materialized='view') }}

{{ union_gateways('settlement_lines', [
    "settlement_line_key", "gateway_id", "gateway_system", "source_table", "line_id", "source_category",
    "source_type", "source_id", "line_status", "description", "currency_code", "gross_amount", "fee_amount",
    "net_amount", "exchange_rate", "is_clearing", "booked_at", "available_at", "payload_sha256",
]) }}
