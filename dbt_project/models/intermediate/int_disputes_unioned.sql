{{ config(materialized='view') }}

{{ union_gateways('disputes', [
    "dispute_key", "gateway_id", "gateway_system", "dispute_id", "payment_id", "intent_id", "reason",
    "source_status", "dispute_status", "currency_code", "dispute_amount", "created_at", "evidence_due_at",
    "payload_sha256", "loaded_at",
]) }}
