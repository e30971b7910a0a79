select
    activity_date,
    entity_code,
    store_id,
    gateway_id,
    currency_code,
    cast(gross_sales_amount as double) as gross_sales,
    cast(discount_amount as double) as discounts,
    cast(charged_amount as double) as charged,
    cast(refund_amount as double) as refunded,
    cast(dispute_amount as double) as disputed,
    cast(fee_amount as double) as fees,
    cast(net_amount as double) as net,
    cast(in_bank_amount as double) as in_bank,
    cast(in_transit_amount as double) as in_transit,
    cast(balance_held_amount as double) as held
from rec_gross_to_net
