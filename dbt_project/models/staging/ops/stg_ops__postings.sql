select
    posting_key,
    entry_id,
    revision,
    kind,
    entity_code,
    state,
    posting_date
from {{ source('ops', 'postings') }}
