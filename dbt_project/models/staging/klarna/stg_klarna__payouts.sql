select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id,
    'klarna' as gateway_system,
    source_table,
    payout_id,
    'paid' as payout_status,
    lower(settlement_type) as payout_method,
    payout_id || '/PAYOUT' as line_id,
    cast(null as varchar) as failure_line_id,
    cast(null as varchar) as failure_code,
    payout_id as statement_descriptor,
    payout_id as trace_id,
    currency_code,
    settlement_amount as payout_amount,
    true as is_automatic,
    true as is_itemised,
    cast(paid_at as date) as arrival_date,
    paid_at as created_at,
    payload_sha256,
    loaded_at
from {{ ref('stg_klarna__payout_totals') }}
-- The invoice for the fees of gross settlements is no payout.
where settlement_type <> 'GROSS_FEE'
