{{ config(materialized='view') }}

{{ union_gateways('payers', ["payment_key", "payer_email"]) }}
