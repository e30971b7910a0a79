select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id
from {{ ref('stg_klarna__lines') }}
where is_clearing and source_category <> 'PAYOUT'
