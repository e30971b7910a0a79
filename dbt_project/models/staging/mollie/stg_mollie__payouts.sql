-- Settlements that are closed; the open one is what the balance holds by now, and changes.
with lines as (
    select
        gateway_id,
        source_id,
        min(case when net_amount < 0 then line_id end) as line_id,
        min(case when net_amount < 0 then booked_at end) as booked_at,
        min(
            case
                when source_type in ('canceled-outgoing-transfer', 'canceled-transfer', 'returned-transfer')
                    then line_id
            end
        ) as failure_line_id
    from {{ ref('stg_mollie__settlement_lines') }}
    where source_id like 'stl%'
    group by gateway_id, source_id
),

items as (
    select distinct
        gateway_id,
        settlement_id
    from {{ source('mollie', 'settlement_items') }}
)

select
    source.gateway_id || ':' || source.id as settlement_key,
    source.gateway_id,
    'mollie' as gateway_system,
    'settlements' as source_table,
    source.id as payout_id,
    case
        when source.status = 'failed' or lines.failure_line_id is not null then 'failed'
        when source.status = 'paidout' then 'paid'
        else 'in_transit'
    end as payout_status,
    'standard' as payout_method,
    lines.line_id,
    lines.failure_line_id,
    cast(null as varchar) as failure_code,
    source.reference as statement_descriptor,
    source.reference as trace_id,
    source.currency as currency_code,
    source.amount as payout_amount,
    true as is_automatic,
    items.settlement_id is not null as is_itemised,
    cast({{ utc_timestamp('cast(coalesce(source.settled_at, source.created_at) as timestamptz)') }} as date)
        as arrival_date,
    coalesce(
        lines.booked_at, {{ utc_timestamp('cast(coalesce(source.created_at, source.settled_at) as timestamptz)') }}
    ) as created_at,
    source._payload_sha256 as payload_sha256,
    {{ utc_timestamp('source._loaded_at') }} as loaded_at
from {{ source('mollie', 'settlements') }} as source
left join lines on source.gateway_id = lines.gateway_id and source.id = lines.source_id
left join items on source.gateway_id = items.gateway_id and source.id = items.settlement_id
where source.status <> 'open'
