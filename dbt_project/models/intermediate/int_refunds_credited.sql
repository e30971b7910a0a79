-- The ERP's credit note of a refund is the one of the same order and amount; equal ones pair in order of time, which
-- changes no figure.
with refunds as (
    select
        joined.*,
        coalesce(
            joined.accounting_date, {{ local_date('joined.gateway_refunded_at', 'entities.time_zone') }}
        ) as refunded_on,
        coalesce(joined.store_refund_amount, joined.gateway_refund_amount) as refund_amount,
        row_number() over (
            partition by joined.order_key, coalesce(joined.store_refund_amount, joined.gateway_refund_amount)
            order by coalesce(joined.store_refunded_at, joined.gateway_refunded_at), joined.refund_key
        ) as position
    from {{ ref('int_refunds_joined') }} as joined
    left join {{ ref('stg_ops__entities') }} as entities on joined.entity_code = entities.entity_code
),

credit_notes as (
    select
        order_key,
        erp_document_key,
        currency_code,
        posting_date,
        abs(document_amount) as credited_amount,
        row_number() over (
            partition by order_key, abs(document_amount)
            order by posting_date, erp_document_key
        ) as position
    from {{ ref('int_erp_documents_placed') }}
    where document_type = 'credit_note' and document_status = 'submitted' and order_key is not null
)

select
    refunds.refund_key,
    refunds.store_refund_key,
    refunds.gateway_refund_key,
    refunds.match_status,
    refunds.match_rule,
    refunds.order_key,
    refunds.payment_key,
    refunds.store_id,
    refunds.entity_code,
    refunds.gateway_id,
    refunds.gateway_status,
    refunds.currency_code,
    refunds.store_refund_amount,
    refunds.gateway_refund_amount,
    case
        when refunds.store_refund_key is not null and refunds.gateway_refund_key is not null
            then cast(refunds.gateway_refund_amount - refunds.store_refund_amount as decimal(18, 4))
    end as difference_amount,
    cast(credit_notes.credited_amount as decimal(18, 4)) as credited_amount,
    credit_notes.erp_document_key as credit_note_key,
    refunds.is_failed,
    refunds.store_refunded_at,
    refunds.gateway_refunded_at,
    credit_notes.posting_date as credited_on,
    cast({{ days_between('refunds.refunded_on', 'credit_notes.posting_date') }} as integer) as credit_delay_days
from refunds
left join credit_notes
    on
        refunds.order_key = credit_notes.order_key
        and refunds.refund_amount = credit_notes.credited_amount
        and refunds.currency_code = credit_notes.currency_code
        and refunds.position = credit_notes.position
