{{ config(materialized='view') }}

select
    windows.completeness_key,
    windows.check_name,
    windows.source_system,
    windows.instance_id,
    windows.resource,
    windows.window_start_at,
    windows.window_end_at,
    windows.expected_count,
    windows.actual_count,
    windows.currency_code,
    windows.expected_amount,
    windows.actual_amount,
    cast(windows.expected_amount - windows.actual_amount as decimal(18, 4)) as difference_amount,
    windows.completeness_status,
    windows.proved_complete_at,
    case when windows.completeness_status = 'gap' then 'completeness_gap:' || windows.subject_key end as exception_id,
    windows.evidence
from {{ ref('int_completeness_windows') }} as windows
