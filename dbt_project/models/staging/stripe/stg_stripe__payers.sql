-- Who paid, as far as Stripe was told.
select
    gateway_id || ':' || id as payment_key,
    lower(trim(billing_email)) as payer_email
from {{ source('stripe', 'charges') }}
where billing_email like '%@%'
