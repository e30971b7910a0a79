{{ config(materialized='view') }}

{{ union_gateways('fee_parts', ["settlement_line_key", "gateway_id", "passed_through_amount"]) }}
