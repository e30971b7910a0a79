-- A count may name an article several times (batches): together they are its stock.
select
    provider_id || ':' || location || ':' || sku || ':' || cast({{ utc_timestamp('as_of') }} as varchar)
        as stock_level_key,
    provider_id,
    nullif(location, '') as location_code,
    sku,
    {{ utc_timestamp('as_of') }} as counted_at,
    cast(sum(on_hand) as decimal(18, 4)) as on_hand_quantity,
    cast(sum(coalesce(reserved, 0)) as decimal(18, 4)) as reserved_quantity,
    cast(sum(coalesce(available, on_hand - coalesce(reserved, 0))) as decimal(18, 4)) as available_quantity,
    max(file_name) as file_name,
    max(file_sha256) as file_sha256,
    {{ utc_timestamp('max(_loaded_at)') }} as loaded_at
from {{ source('fulfilment', 'stock_levels') }}
group by provider_id, location, sku, as_of
