-- Exports name no charge, only the order: where it has one charge, that is what its refunds and disputes are about.
select
    gateway_id,
    order_reference,
    max(line_id) as payment_id
from {{ ref('stg_woopayments__transactions') }}
where charge_id is null and source_category in ('charge', 'payment') and order_reference is not null
group by gateway_id, order_reference
having count(*) = 1
