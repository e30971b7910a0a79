{{ config(materialized='view') }}

-- A failed payout keeps its lines at the gateway; the payout that counts is the latest that did not fail.
with ranked_payouts as (
    select
        settlement_key,
        row_number() over (
            order by
                case when payout_status in ('failed', 'canceled') then 1 else 0 end,
                created_at desc,
                settlement_key
        ) as preference
    from {{ ref('int_payouts_unioned') }}
),

memberships as (
    select
        payout_lines.settlement_line_key,
        min(ranked_payouts.preference) as preference
    from {{ ref('int_payout_lines_unioned') }} as payout_lines
    inner join ranked_payouts on payout_lines.settlement_key = ranked_payouts.settlement_key
    group by payout_lines.settlement_line_key
),

typed as (
    select
        lines.*,
        gateways.entity_code,
        entities.base_currency_code,
        entities.time_zone
    from {{ ref('int_settlement_lines_unioned') }} as lines
    inner join {{ ref('stg_ops__gateways') }} as gateways on lines.gateway_id = gateways.gateway_id
    inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
),

linked as (
    select
        typed.*,
        treatments.footing_column,
        treatments.counterpart_role,
        refunds.gateway_refund_key,
        disputes.dispute_key,
        -- The payment behind the line: that of the refund or dispute it names, or the one it names itself.
        typed.gateway_id || ':' || case
            when treatments.footing_column in ('gross', 'refund', 'dispute')
                then coalesce(
                    refunds.payment_id,
                    disputes.payment_id,
                    case when treatments.footing_column = 'gross' then typed.source_id end
                )
        end as payment_key,
        -- A payout's own line is no part of it; a payout that came back may be part of a later one.
        case
            when typed.line_type = 'payout' then typed.gateway_id || ':' || typed.source_id
            else paid_by.settlement_key
        end as settlement_key,
        case when typed.line_type = 'payout_reversal' then typed.gateway_id || ':' || typed.source_id end
            as reversed_settlement_key
    from typed
    inner join {{ ref('line_treatments') }} as treatments on typed.line_type = treatments.line_type
    left join {{ ref('int_gateway_refunds_unioned') }} as refunds
        on typed.gateway_id = refunds.gateway_id and typed.source_id = refunds.gateway_refund_id
    left join {{ ref('int_disputes_unioned') }} as disputes
        on typed.gateway_id = disputes.gateway_id and typed.source_id = disputes.dispute_id
    left join memberships on typed.settlement_line_key = memberships.settlement_line_key
    left join ranked_payouts as paid_by on memberships.preference = paid_by.preference
)

select
    settlement_line_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    base_currency_code,
    time_zone,
    line_id,
    line_type,
    footing_column,
    counterpart_role,
    source_category,
    source_type,
    source_id,
    settlement_key,
    reversed_settlement_key,
    payment_key,
    gateway_refund_key,
    dispute_key,
    line_status,
    description,
    currency_code,
    gross_amount,
    fee_amount,
    net_amount,
    exchange_rate,
    is_clearing,
    booked_at,
    available_at,
    {{ local_date('booked_at', 'time_zone') }} as accounting_date,
    payload_sha256
from linked
