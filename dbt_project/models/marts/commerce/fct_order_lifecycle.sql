with charge_lines as (
    select
        order_key,
        min(settlement_line_key) as settlement_line_key,
        min(settlement_key) as settlement_key
    from {{ ref('int_settlement_lines_judged') }}
    where line_type = 'charge' and is_matched
    group by order_key
),

refunds as (
    select
        order_key,
        min(coalesce(store_refunded_at, gateway_refunded_at)) as first_refunded_at,
        max(coalesce(store_refunded_at, gateway_refunded_at)) as last_refunded_at,
        min(refund_key) as refund_key
    from {{ ref('int_refunds_joined') }}
    where order_key is not null
    group by order_key
),

disputes as (
    select
        payments.order_key,
        min(disputes.created_at) as disputed_at,
        min(disputes.dispute_key) as dispute_key
    from {{ ref('int_disputes_unioned') }} as disputes
    inner join {{ ref('int_payments_correlated') }} as payments
        on disputes.gateway_id = payments.gateway_id and disputes.payment_id = payments.payment_id
    where payments.is_matched
    group by payments.order_key
),

invoices as (
    select
        order_key,
        min(posting_date) as invoiced_on,
        min(erp_document_key) as erp_document_key
    from {{ ref('fct_erp_documents') }}
    where document_type = 'sales_invoice' and document_status = 'submitted' and order_key is not null
    group by order_key
),

credit_notes as (
    select
        order_key,
        min(posting_date) as credited_on,
        min(erp_document_key) as credit_note_key
    from {{ ref('fct_erp_documents') }}
    where document_type = 'credit_note' and document_status = 'submitted' and order_key is not null
    group by order_key
)

select
    orders.order_key,
    orders.store_id,
    orders.entity_code,
    judged.order_status,
    orders.created_at,
    orders.paid_at,
    judged.authorised_at,
    judged.captured_at,
    judged.payment_key,
    shipped.first_shipped_at,
    shipped.first_shipped_on,
    shipped.last_shipped_on,
    shipped.shipment_key,
    shipped.delivered_at,
    orders.completed_at,
    refunds.first_refunded_at,
    refunds.last_refunded_at,
    refunds.refund_key,
    disputes.disputed_at,
    disputes.dispute_key,
    charge_lines.settlement_line_key,
    settlements.created_at as paid_out_at,
    charge_lines.settlement_key,
    settlements.bank_value_date as in_bank_on,
    settlements.bank_line_key,
    invoices.invoiced_on,
    invoices.erp_document_key,
    credit_notes.credited_on,
    credit_notes.credit_note_key
from {{ ref('int_orders_enriched') }} as orders
inner join {{ ref('int_orders_judged') }} as judged on orders.order_key = judged.order_key
left join charge_lines on orders.order_key = charge_lines.order_key
left join {{ ref('int_settlements_footed') }} as settlements on charge_lines.settlement_key = settlements.settlement_key
left join refunds on orders.order_key = refunds.order_key
left join disputes on orders.order_key = disputes.order_key
left join invoices on orders.order_key = invoices.order_key
left join credit_notes on orders.order_key = credit_notes.order_key
left join {{ ref('int_orders_shipped') }} as shipped on orders.order_key = shipped.order_key
