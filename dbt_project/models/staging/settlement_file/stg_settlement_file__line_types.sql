-- A mapping says our own line types, so each means itself; a word that is not one of them stays unknown.
select
    'settlement_file' as gateway_system,
    line_type as source_category,
    line_type
from {{ ref('line_treatments') }}
where line_type <> 'unknown'
