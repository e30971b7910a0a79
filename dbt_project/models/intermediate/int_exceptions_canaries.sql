{{ config(materialized='view') }}

-- Synthetic orders of the last week that the store refused, or that did not come through in time.
select
    'canary_late' as exception_type,
    canaries.canary_id as subject_key,
    canaries.entity_code,
    canaries.store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(0 as decimal(18, 4)) as amount_at_risk,
    entities.base_currency_code as currency_code,
    canaries.placed_at as opened_at,
    {{ json_text([
        ("status", "canaries.canary_status"),
        ("placed_at", "cast(canaries.placed_at as varchar)"),
        ("late_after_minutes", "canaries.late_after_minutes"),
    ]) }} as evidence
from {{ ref('int_canaries_travelled') }} as canaries
inner join {{ ref('stg_ops__entities') }} as entities on canaries.entity_code = entities.entity_code
where
    canaries.canary_status in ('refused', 'late', 'lost')
    and canaries.placed_at > {{ add_days('canaries.measured_at', -7) }}
