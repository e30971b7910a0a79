select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id || ':' || balance_transaction_id as settlement_line_key,
    gateway_id
from {{ source('stripe', 'payout_transactions') }}

-- The API and the reports say the same of the same payout: each line once.
union distinct
select
    gateway_id || ':' || trim(automatic_payout_id) as settlement_key,
    gateway_id || ':' || balance_transaction_id as settlement_line_key,
    gateway_id
from {{ source('stripe', 'report_lines') }}
where report = 'payouts' and trim(automatic_payout_id) <> '' and lower(trim(reporting_category)) <> 'payout'
