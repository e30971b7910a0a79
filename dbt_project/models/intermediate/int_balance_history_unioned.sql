{{ config(materialized='view') }}

{{ union_gateways('balance_history', [
    "gateway_id", "currency_code", "available_amount", "pending_amount", "newest_line_booked_at", "loaded_at",
]) }}
