-- Shipments that plugins note in an order's meta_data: Shipment Tracking, and Advanced Shipment Tracking under the same
-- key, which adds what was in the parcel.
with items as (
    select
        store_id,
        id as order_id,
        _payload_sha256,
        _loaded_at,
        {{ json_elements(woo_meta_value('meta_data', '_wc_shipment_tracking_items')) }} as item
    from {{ source('woocommerce', 'orders') }}
    where meta_data like '%"_wc_shipment_tracking_items"%'
),

named as (
    select
        store_id,
        order_id,
        coalesce(
            nullif({{ json_member('item', 'tracking_id') }}, ''), {{ json_member('item', 'tracking_number') }}
        ) as shipment_id,
        coalesce(
            nullif({{ json_member('item', 'tracking_provider') }}, ''),
            nullif({{ json_member('item', 'custom_tracking_provider') }}, '')
        ) as carrier,
        nullif({{ json_member('item', 'tracking_number') }}, '') as tracking_number,
        nullif({{ json_member('item', 'custom_tracking_link') }}, '') as tracking_url,
        {{ regex_capture(json_member('item', 'date_shipped'), '^([0-9]{9,10})$') }} as shipped_epoch,
        {{ json_member('item', 'products_list') }} as shipped_items,
        _payload_sha256 as payload_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at,
        row_number() over (
            partition by
                store_id, order_id,
                coalesce(
                    nullif({{ json_member('item', 'tracking_id') }}, ''), {{ json_member('item', 'tracking_number') }}
                )
            order by item
        ) as occurrence
    from items
)

select
    store_id || ':' || cast(order_id as varchar) || ':' || shipment_id as shipment_key,
    store_id || ':' || cast(order_id as varchar) as order_key,
    store_id,
    order_id,
    shipment_id,
    carrier,
    tracking_number,
    tracking_url,
    {{ epoch_to_utc('cast(shipped_epoch as bigint)') }} as shipped_at,
    shipped_items,
    payload_sha256,
    loaded_at
from named
where shipment_id is not null and occurrence = 1
