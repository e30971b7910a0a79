{{ config(materialized='view') }}

{{ union_gateways('refunds', [
    "gateway_refund_key", "gateway_id", "gateway_system", "gateway_refund_id", "payment_id", "intent_id",
    "line_id", "failure_line_id", "refund_status", "reason", "failure_reason", "currency_code", "refund_amount",
    "created_at", "payload_sha256", "loaded_at",
]) }}
