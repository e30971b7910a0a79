-- What a customer transfers is on the bank at once: each line is beside its own payout, so that the clearing account is
-- empty again on the same day.
select
    settlement_line_key,
    gateway_id,
    'bank_transfer' as gateway_system,
    'entries' as source_table,
    line_id,
    source_category,
    source_category as source_type,
    line_id as source_id,
    'available' as line_status,
    description,
    currency_code,
    bank_amount as gross_amount,
    cast(0 as decimal(18, 4)) as fee_amount,
    bank_amount as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    booked_at,
    booked_at as available_at,
    payload_sha256,
    loaded_at
from {{ ref('stg_bank_transfer__lines') }}
union all
select
    gateway_id || ':arrival-' || line_id as settlement_line_key,
    gateway_id,
    'bank_transfer' as gateway_system,
    'entries' as source_table,
    'arrival-' || line_id as line_id,
    'arrival' as source_category,
    'arrival' as source_type,
    line_id as source_id,
    'available' as line_status,
    description,
    currency_code,
    -bank_amount as gross_amount,
    cast(0 as decimal(18, 4)) as fee_amount,
    -bank_amount as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    booked_at,
    booked_at as available_at,
    payload_sha256,
    loaded_at
from {{ ref('stg_bank_transfer__lines') }}
