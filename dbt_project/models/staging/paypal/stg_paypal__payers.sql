-- Who paid: the account's address. A payment has several rows where fees or conversions are rows of their own.
with named as (
    select
        gateway_id,
        transaction_id,
        payer_email
    from {{ source('paypal', 'transactions') }}
    union all
    select
        gateway_id,
        transaction_id,
        payers_account_id as payer_email
    from {{ source('paypal', 'report_transactions') }}
)

select
    gateway_id || ':' || trim(transaction_id) as payment_key,
    min(lower(trim(payer_email))) as payer_email
from named
where payer_email like '%@%'
group by gateway_id || ':' || trim(transaction_id)
