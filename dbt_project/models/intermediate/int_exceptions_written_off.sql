{{ config(materialized='view') }}

-- What two people have agreed to give up: the suspense of a gateway's line, as long as it is there in just that amount.
-- Once its cause is found after all, the line leaves suspense and this with it.
with asked as (
    select
        *,
        row_number() over (
            partition by write_off_line_key order by write_off_decided_at, exception_id
        ) as place
    from {{ ref('stg_ops__exception_work') }}
    where write_off_state = 'approved'
)

select
    'write_off/' || lines.settlement_line_key as entry_id,
    asked.exception_id,
    lines.settlement_line_key,
    lines.settlement_key,
    lines.payment_key,
    lines.gateway_id,
    lines.gateway_system,
    lines.source_table,
    lines.entity_code,
    lines.currency_code,
    lines.base_currency_code,
    lines.base_exchange_rate as exchange_rate,
    lines.other_amount as suspense_amount,
    cast({{ convert_money('lines.other_amount', 'lines.base_exchange_rate', 'lines.base_digits') }} as decimal(18, 4))
        as base_suspense_amount,
    asked.write_off_decided_at as written_off_at,
    {{ local_date('asked.write_off_decided_at', 'entities.time_zone') }} as posting_date,
    lines.payload_sha256
from asked
inner join {{ ref('int_settlement_lines_booked') }} as lines
    on asked.write_off_line_key = lines.settlement_line_key
inner join {{ ref('stg_ops__entities') }} as entities on lines.entity_code = entities.entity_code
where
    asked.place = 1
    and lines.other_role = 'suspense'
    and abs(lines.other_amount) = asked.write_off_amount
    and lines.base_exchange_rate is not null
