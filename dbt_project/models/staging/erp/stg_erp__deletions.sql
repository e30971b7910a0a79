select
    erp_id || ':' || table_name || ':' || id as erp_deletion_key,
    erp_id,
    table_name,
    id as record_id,
    found_by,
    modified as erp_modified,
    {{ utc_timestamp('_loaded_at') }} as seen_at
from {{ source('erp', 'deletions') }}
where is_deleted
