select
    payouts.settlement_key,
    lines.settlement_line_key,
    lines.gateway_id
from {{ ref('stg_settlement_file__lines') }} as lines
inner join {{ ref('stg_settlement_file__payouts') }} as payouts
    on
        lines.gateway_id = payouts.gateway_id
        and lines.currency_code = payouts.currency_code
        and payouts.payout_id in (lines.payout_id, lines.payout_id || '-' || lines.currency_code)
where lines.source_category <> 'payout'
