-- One payout an id and currency that the lines name. Its amount is what the file says: in a line of its own, else in a
-- column; else what its lines add up to.
with payouts as (
    select
        gateway_id,
        payout_id,
        currency_code,
        sum(case when source_category = 'payout' then -net_amount end) as own_line_amount,
        max(payout_amount) as stated_amount,
        coalesce(sum(case when source_category <> 'payout' then net_amount end), 0) as lines_amount,
        min(case when source_category = 'payout' then line_id end) as own_line_id,
        max(payout_reference) as payout_reference,
        max(payout_date) as payout_date,
        max(booked_at) as last_booked_at,
        max(case when source_category = 'payout' then booked_at end) as paid_at,
        max(file_sha256) as file_sha256,
        max(loaded_at) as loaded_at
    from {{ ref('stg_settlement_file__lines') }}
    where payout_id is not null
    group by gateway_id, payout_id, currency_code
),

numbered as (
    select
        *,
        count(*) over (partition by gateway_id, payout_id) as currencies
    from payouts
)

select
    -- A payout of several currencies is several transfers; the currency then is part of its name.
    gateway_id || ':' || payout_id || case when currencies > 1 then '-' || currency_code else '' end as settlement_key,
    gateway_id,
    'settlement_file' as gateway_system,
    'lines' as source_table,
    payout_id || case when currencies > 1 then '-' || currency_code else '' end as payout_id,
    'paid' as payout_status,
    'standard' as payout_method,
    coalesce(
        own_line_id, 'payout-' || payout_id || case when currencies > 1 then '-' || currency_code else '' end
    ) as line_id,
    cast(null as varchar) as failure_line_id,
    cast(null as varchar) as failure_code,
    payout_reference as statement_descriptor,
    payout_reference as trace_id,
    currency_code,
    cast(coalesce(own_line_amount, stated_amount, lines_amount) as decimal(18, 4)) as payout_amount,
    true as is_automatic,
    true as is_itemised,
    coalesce(payout_date, cast(coalesce(paid_at, last_booked_at) as date)) as arrival_date,
    -- Noon: the same day in the time zone of almost any books.
    coalesce(paid_at, cast(payout_date as timestamp) + interval '12 hours', last_booked_at) as created_at,
    file_sha256 as payload_sha256,
    loaded_at
from numbered
