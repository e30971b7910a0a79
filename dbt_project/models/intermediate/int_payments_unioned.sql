{{ config(materialized='view') }}

{{ union_gateways('payments', [
    "payment_key", "gateway_id", "gateway_system", "source_table", "payment_id", "intent_id", "line_id", "payment_status",
    "currency_code", "authorised_amount", "captured_amount", "refunded_amount", "is_live", "is_captured",
    "is_disputed", "store_order_key", "order_reference", "merchant_reference", "site_url", "description",
    "failure_code", "payment_method_type", "card_brand", "card_country", "created_at", "payload_sha256",
    "loaded_at",
]) }}
