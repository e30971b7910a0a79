{{ config(materialized='view') }}

{{ union_gateways('payouts', [
    "settlement_key", "gateway_id", "gateway_system", "source_table", "payout_id", "payout_status", "payout_method", "line_id",
    "failure_line_id", "failure_code", "statement_descriptor", "trace_id", "currency_code", "payout_amount",
    "is_automatic", "is_itemised", "arrival_date", "created_at", "payload_sha256", "loaded_at",
]) }}
