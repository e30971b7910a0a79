select
    gateway_id || ':' || line_id as settlement_line_key,
    gateway_id,
    passed_through_amount
from {{ ref('stg_adyen__lines') }}
where is_clearing and source_type not in ('MerchantPayout', 'Fee')
