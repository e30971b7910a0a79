-- Bank lines that are customers' transfers: those whose text names an order by the gateway's pattern, and those that
-- finance allocated. An allocation without an order takes a line out.
with told as (
    select
        gateways.gateway_id,
        entries.bank_line_key,
        entries.statement_id || ':' || cast(entries.entry_number as varchar) as line_id,
        entries.end_to_end_id,
        entries.remittance_text,
        entries.counterparty,
        entries.currency_code,
        entries.bank_amount,
        entries.is_reversal,
        entries.value_date,
        entries.payload_sha256,
        entries.loaded_at,
        allocations.bank_line_key is not null as is_allocated,
        nullif(trim(allocations.order_reference), '') as allocated_reference,
        {{ regex_capture_by(
            "coalesce(entries.remittance_text, '') || ' ' || coalesce(entries.end_to_end_id, '')",
            "rules.reference_pattern"
        ) }} as named_reference
    from {{ source('bank_transfer', 'rules') }} as rules
    inner join {{ ref('stg_ops__gateways') }} as gateways on rules.gateway_id = gateways.gateway_id
    inner join {{ ref('stg_bank__entries') }} as entries on gateways.bank_id = entries.bank_id
    left join {{ source('bank_transfer', 'allocations') }} as allocations
        on rules.gateway_id = allocations.gateway_id and entries.bank_line_key = allocations.bank_line_key
)

select
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id,
    line_id,
    bank_line_key,
    case
        when bank_amount >= 0 and not is_reversal then 'credit'
        when bank_amount < 0 and not is_reversal then 'debit'
        when bank_amount < 0 then 'credit_returned'
        else 'debit_returned'
    end as source_category,
    case when is_allocated then allocated_reference else named_reference end as order_reference,
    end_to_end_id,
    remittance_text as description,
    counterparty,
    currency_code,
    bank_amount,
    value_date,
    -- Noon: the same day in the time zone of almost any books.
    cast(value_date as timestamp) + interval '12 hours' as booked_at,
    payload_sha256,
    loaded_at
from told
where case when is_allocated then allocated_reference else named_reference end is not null
