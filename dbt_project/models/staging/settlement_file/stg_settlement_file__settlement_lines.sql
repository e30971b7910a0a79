-- The lines of the files, and for each payout that has no line of its own one that empties the clearing account.
with lines as (
    select
        lines.*,
        payouts.payout_id as own_payout_id
    from {{ ref('stg_settlement_file__lines') }} as lines
    left join {{ ref('stg_settlement_file__payouts') }} as payouts
        on
            lines.gateway_id = payouts.gateway_id
            and lines.currency_code = payouts.currency_code
            and payouts.payout_id in (lines.payout_id, lines.payout_id || '-' || lines.currency_code)
)

select
    settlement_line_key,
    gateway_id,
    'settlement_file' as gateway_system,
    'lines' as source_table,
    line_id,
    source_category,
    source_type,
    case
        when source_category in ('payout', 'payout_reversal') then own_payout_id
        when source_category in ('refund', 'refund_failure') then refund_id
        when source_category in ('dispute', 'dispute_reversal') then dispute_id
        else payment_id
    end as source_id,
    case when payout_id is null then 'pending' else 'available' end as line_status,
    description,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    exchange_rate,
    true as is_clearing,
    booked_at,
    booked_at as available_at,
    file_sha256 as payload_sha256,
    loaded_at
from lines
union all
select
    payouts.gateway_id || ':' || payouts.line_id as settlement_line_key,
    payouts.gateway_id,
    'settlement_file' as gateway_system,
    'lines' as source_table,
    payouts.line_id,
    'payout' as source_category,
    'payout' as source_type,
    payouts.payout_id as source_id,
    'available' as line_status,
    payouts.statement_descriptor as description,
    payouts.currency_code,
    -payouts.payout_amount as gross_amount,
    cast(0 as decimal(18, 4)) as fee_amount,
    -payouts.payout_amount as net_amount,
    cast(null as decimal(28, 12)) as exchange_rate,
    true as is_clearing,
    payouts.created_at as booked_at,
    payouts.created_at as available_at,
    payouts.payload_sha256,
    payouts.loaded_at
from {{ ref('stg_settlement_file__payouts') }} as payouts
left join lines on payouts.gateway_id = lines.gateway_id and payouts.line_id = lines.line_id
where lines.line_id is null and payouts.payout_amount <> 0
