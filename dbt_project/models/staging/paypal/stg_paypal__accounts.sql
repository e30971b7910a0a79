-- Which PayPal account each gateway has read. An account that two gateways read is counted twice.
select distinct
    gateway_id,
    account_id
from {{ ref('stg_paypal__lines') }}
where account_id <> ''
