-- Who paid, as far as the plugin tells.
with named as (
    select
        gateway_id,
        coalesce(nullif(charge_id, ''), transaction_id) as payment_id,
        customer_email
    from {{ source('woopayments', 'transactions') }}
    union all
    select
        gateway_id,
        transaction_id as payment_id,
        customer_email
    from {{ source('woopayments', 'report_lines') }}
)

select
    gateway_id || ':' || payment_id as payment_key,
    min(lower(trim(customer_email))) as payer_email
from named
where customer_email like '%@%'
group by gateway_id || ':' || payment_id
