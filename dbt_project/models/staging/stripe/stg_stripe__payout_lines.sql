select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id || ':' || balance_transaction_id as settlement_line_key,
    gateway_id
from {{ source('stripe', 'payout_transactions') }}
