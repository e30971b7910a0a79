-- The lines of disputes, with the payment in dispute: a chargeback refers to the sale, its reversal to the sale or to
-- the chargeback. A dispute goes by the sale; PayPal's reports have no case id.
with lines as (
    select
        gateway_id,
        line_id,
        transaction_id,
        reference_id,
        event_code,
        line_type,
        currency_code,
        gross_amount,
        booked_at,
        payload_sha256,
        loaded_at
    from {{ ref('stg_paypal__lines') }}
    where line_type in ('dispute', 'dispute_reversal')
),

-- Once each: a chargeback may come in parts.
referred as (
    select
        gateway_id,
        transaction_id,
        min(reference_id) as reference_id
    from lines
    where line_type = 'dispute' and transaction_id <> '' and reference_id is not null
    group by gateway_id, transaction_id
)

select
    lines.gateway_id,
    lines.line_id,
    coalesce(referred.reference_id, lines.reference_id, lines.transaction_id) as dispute_id,
    coalesce(referred.reference_id, lines.reference_id) as payment_id,
    lines.event_code,
    lines.line_type,
    lines.currency_code,
    lines.gross_amount,
    lines.booked_at,
    lines.payload_sha256,
    lines.loaded_at
from lines
left join referred on lines.gateway_id = referred.gateway_id and lines.reference_id = referred.transaction_id
