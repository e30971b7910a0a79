-- Each line once, in major units. The same line may come in several files: unpaid, then with its payout, then in a
-- corrected file. A line with the sender's own id is known by that; of lines without one, the file that was loaded last
-- holds for its payout, as a whole.
with ranked as (
    select
        *,
        row_number() over (
            partition by gateway_id, line_id
            order by
                case when payout_id is null then 1 else 0 end, _loaded_at desc, file_name desc, file_sha256, row_number
        ) as version,
        first_value(file_sha256) over (
            partition by gateway_id, coalesce('payout:' || payout_id, 'file:' || file_name)
            order by _loaded_at desc, file_name desc, file_sha256
        ) as latest_file_sha256
    from {{ source('settlement_file', 'lines') }}
)

select
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id,
    line_id,
    payout_id,
    payout_date,
    cast(payout_amount as decimal(18, 4)) as payout_amount,
    payout_reference,
    type as source_type,
    category as source_category,
    upper(currency) as currency_code,
    cast(gross as decimal(18, 4)) as gross_amount,
    cast(fee as decimal(18, 4)) as fee_amount,
    cast(net as decimal(18, 4)) as net_amount,
    coalesce(payment_id, case when category = 'charge' then line_id end) as payment_id,
    case when category in ('refund', 'refund_failure') then coalesce(refund_id, line_id) end as refund_id,
    case when category in ('dispute', 'dispute_reversal') then coalesce(dispute_id, payment_id, line_id) end
        as dispute_id,
    nullif(trim(order_reference), '') as order_reference,
    nullif(trim(order_key), '') as order_key,
    nullif(trim(merchant_reference), '') as merchant_reference,
    description,
    payment_method,
    card_brand,
    upper(coalesce(presentment_currency, currency)) as presentment_currency_code,
    cast(coalesce(presentment_amount, gross) as decimal(18, 4)) as presentment_amount,
    cast(exchange_rate as decimal(28, 12)) as exchange_rate,
    {{ utc_timestamp('booked_at') }} as booked_at,
    file_name,
    row_number as file_row_number,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from ranked
where version = 1 and (has_own_id or file_sha256 = latest_file_sha256)
