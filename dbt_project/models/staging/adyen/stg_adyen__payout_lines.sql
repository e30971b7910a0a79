-- A batch is what is paid out together. Its payout is no part of it, nor is what another acquirer settled.
select
    gateway_id || ':' || payout_id as settlement_key,
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id
from {{ ref('stg_adyen__lines') }}
where is_clearing and source_type <> 'MerchantPayout'
