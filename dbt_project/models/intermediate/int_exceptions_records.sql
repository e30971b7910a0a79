{{ config(materialized='view') }}

-- Records that were refused, and gaps between those that are here.
with instances as (
    select
        store_id as instance_id,
        entity_code,
        store_id,
        cast(null as varchar) as gateway_id
    from {{ ref('stg_ops__stores') }}
    union all
    select
        gateway_id as instance_id,
        entity_code,
        cast(null as varchar) as store_id,
        gateway_id
    from {{ ref('stg_ops__gateways') }}
    union all
    select
        bank_id as instance_id,
        entity_code,
        cast(null as varchar) as store_id,
        cast(null as varchar) as gateway_id
    from {{ ref('stg_ops__banks') }}
)

select
    'contract_violation' as exception_type,
    quarantine.quarantine_id as subject_key,
    instances.entity_code,
    instances.store_id,
    instances.gateway_id,
    case
        when quarantine.table_name = 'orders' and instances.store_id is not null
            then instances.store_id || ':' || quarantine.record_key
    end as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(0 as decimal(18, 4)) as amount_at_risk,
    cast(null as varchar) as currency_code,
    quarantine.first_seen_at as opened_at,
    {{ json_text([
        ("system", "quarantine.system"),
        ("instance", "quarantine.instance_id"),
        ("table", "quarantine.table_name"),
        ("record", "quarantine.record_key"),
        ("field", "quarantine.field"),
        ("value", "quarantine.value"),
        ("reason", "quarantine.reason"),
        ("origin", "quarantine.origin"),
    ]) }} as evidence
from {{ ref('stg_ops__quarantine') }} as quarantine
left join instances on quarantine.instance_id = instances.instance_id
where quarantine.status = 'open'
union all
select
    'completeness_gap' as exception_type,
    windows.subject_key,
    instances.entity_code,
    instances.store_id,
    instances.gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    windows.amount_at_risk,
    windows.currency_code,
    windows.window_end_at as opened_at,
    windows.evidence
from {{ ref('int_completeness_windows') }} as windows
left join instances on windows.instance_id = instances.instance_id
where windows.completeness_status = 'gap'
