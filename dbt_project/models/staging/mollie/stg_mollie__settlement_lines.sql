select
    source.gateway_id || ':' || source.id as settlement_line_key,
    source.gateway_id,
    'mollie' as gateway_system,
    'balance_transactions' as source_table,
    source.id as line_id,
    source.type as source_category,
    source.type as source_type,
    case
        when line_types.line_type in ('charge', 'charge_failure') then source.payment_id
        when line_types.line_type in ('refund', 'refund_failure') then source.refund_id
        when line_types.line_type in ('dispute', 'dispute_reversal') then source.chargeback_id
        when line_types.line_type in ('payout', 'payout_reversal') then source.settlement_id
    end as source_id,
    'available' as line_status,
    cast(null as varchar) as description,
    source.currency as currency_code,
    source.initial_amount as gross_amount,
    -- What is deducted; Mollie writes it negative, beside the amounts that it stands between.
    cast(source.initial_amount - source.result_amount as decimal(18, 4)) as fee_amount,
    source.result_amount as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    {{ utc_timestamp('cast(source.created_at as timestamptz)') }} as booked_at,
    {{ utc_timestamp('cast(source.created_at as timestamptz)') }} as available_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('mollie', 'balance_transactions') }} as source
left join {{ ref('stg_mollie__line_types') }} as line_types on source.type = line_types.source_category
