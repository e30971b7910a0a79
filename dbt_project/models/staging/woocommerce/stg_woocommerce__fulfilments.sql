select
    fulfilments.store_id || ':' || cast(fulfilments.id as varchar) as fulfilment_key,
    fulfilments.store_id || ':' || cast(fulfilments.order_id as varchar) as order_key,
    fulfilments.store_id,
    fulfilments.order_id,
    fulfilments.id as fulfilment_id,
    fulfilments.status as source_status,
    coalesce(fulfilments.is_fulfilled, false) as is_shipped,
    {{ woo_meta_value('fulfilments.meta_data', '_shipping_provider') }} as carrier,
    {{ woo_meta_value('fulfilments.meta_data', '_tracking_number') }} as tracking_number,
    {{ woo_meta_value('fulfilments.meta_data', '_tracking_url') }} as tracking_url,
    {{ woo_meta_value('fulfilments.meta_data', '_items') }} as shipped_items,
    fulfilments.date_updated as updated_at_as_sent,
    fulfilments._payload_sha256 as payload_sha256,
    {{ utc_timestamp('fulfilments._loaded_at') }} as loaded_at
from {{ source('woocommerce', 'order_fulfillments') }} as fulfilments
left join {{ source('woocommerce', 'deletions') }} as tombstones
    on
        fulfilments.store_id = tombstones.store_id
        and fulfilments.id = tombstones.id
        and tombstones.resource = 'order_fulfillments'
where fulfilments.date_deleted is null and not {{ woo_has_tombstone('fulfilments', 'tombstones') }}
