-- The lines of disputes with the dispute they belong to: the chargeback that they name, else the payment's first one.
with lines as (
    select
        lines.*,
        line_types.line_type
    from {{ ref('stg_adyen__lines') }} as lines
    inner join {{ ref('stg_adyen__line_types') }} as line_types on lines.source_type = line_types.source_category
    where line_types.line_type in ('dispute', 'dispute_reversal')
),

chargebacks as (
    select
        gateway_id,
        psp_reference,
        min(modification_reference) as first_reference
    from lines
    where source_type like 'Chargeback%' and line_type = 'dispute'
    group by gateway_id, psp_reference
),

named as (
    select distinct
        gateway_id,
        psp_reference,
        modification_reference
    from lines
    where source_type like 'Chargeback%' and line_type = 'dispute'
)

select
    lines.gateway_id,
    lines.line_id,
    lines.source_type,
    lines.line_type,
    lines.is_clearing,
    coalesce(
        named.modification_reference, chargebacks.first_reference, lines.modification_reference,
        lines.psp_reference, lines.line_id
    ) as dispute_id,
    lines.psp_reference as payment_id,
    lines.presentment_currency_code,
    lines.presentment_amount,
    lines.created_at,
    lines.file_sha256,
    lines.loaded_at
from lines
left join named
    on
        lines.gateway_id = named.gateway_id
        and lines.psp_reference = named.psp_reference
        and lines.modification_reference = named.modification_reference
left join chargebacks
    on lines.gateway_id = chargebacks.gateway_id and lines.psp_reference = chargebacks.psp_reference
