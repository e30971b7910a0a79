-- Adyen reports what was booked, so a line's gross is its net with the fee added back, in settlement currency; what the
-- customer paid is with the payment.
with returned_payouts as (
    select
        gateway_id,
        trace_id,
        currency_code,
        min(payout_id) as payout_id
    from {{ ref('stg_adyen__payouts') }}
    where trace_id is not null
    group by gateway_id, trace_id, currency_code
    having count(*) = 1
)

select
    lines.gateway_id || ':' || lines.line_id as settlement_line_key,
    lines.gateway_id,
    'adyen' as gateway_system,
    'settlement_details' as source_table,
    lines.line_id,
    lines.source_type as source_category,
    lines.source_type,
    case
        when line_types.line_type in ('charge', 'charge_failure') then lines.psp_reference
        when line_types.line_type in ('refund', 'refund_failure')
            then coalesce(lines.modification_reference, lines.line_id)
        when line_types.line_type in ('dispute', 'dispute_reversal') then disputed.dispute_id
        when line_types.line_type = 'payout' then lines.payout_id
        when line_types.line_type = 'payout_reversal' then returned_payouts.payout_id
    end as source_id,
    'available' as line_status,
    coalesce(
        case when lines.psp_reference is null then lines.modification_reference end,
        lines.merchant_reference,
        lines.modification_reference
    ) as description,
    lines.currency_code,
    lines.gross_amount,
    lines.fee_amount,
    lines.net_amount,
    lines.exchange_rate,
    lines.is_clearing,
    lines.created_at as booked_at,
    coalesce(lines.booked_at, lines.created_at) as available_at,
    lines.file_sha256 as payload_sha256,
    lines.loaded_at
from {{ ref('stg_adyen__lines') }} as lines
left join {{ ref('stg_adyen__line_types') }} as line_types on lines.source_type = line_types.source_category
left join {{ ref('stg_adyen__disputed_lines') }} as disputed
    on lines.gateway_id = disputed.gateway_id and lines.line_id = disputed.line_id
left join returned_payouts
    on
        lines.gateway_id = returned_payouts.gateway_id
        and lines.trace_id = returned_payouts.trace_id
        and lines.currency_code = returned_payouts.currency_code
