{{ config(materialized='view') }}

{{ union_gateways('line_types', [
    "gateway_system", "source_category", "line_type",
]) }}
