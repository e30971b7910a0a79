select
    posting_key,
    entry_id,
    entity_code,
    erp_id,
    erp_document,
    state,
    detail,
    amount,
    currency_code,
    {{ utc_timestamp('since') }} as since,
    {{ utc_timestamp('checked_at') }} as checked_at
from {{ source('ops', 'attestations') }}
