select
    settlement_line_key as settlement_key,
    settlement_line_key,
    gateway_id
from {{ ref('stg_bank_transfer__lines') }}
