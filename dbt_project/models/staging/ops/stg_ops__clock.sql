select
    {{ utc_timestamp('as_of') }} as as_of
from {{ source('ops', 'clock') }}
