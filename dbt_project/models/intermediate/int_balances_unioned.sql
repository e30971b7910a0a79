{{ config(materialized='view') }}

{{ union_gateways('balances', [
    "gateway_id", "gateway_system", "currency_code", "available_amount", "pending_amount", "loaded_at",
]) }}
