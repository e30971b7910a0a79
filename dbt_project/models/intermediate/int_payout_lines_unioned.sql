{{ config(materialized='view') }}

{{ union_gateways('payout_lines', [
    "settlement_key", "settlement_line_key", "gateway_id",
]) }}
