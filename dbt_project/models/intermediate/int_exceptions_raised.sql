-- All exceptions but those of the journals themselves, which depend on these for what is held.
with raised as (
    {{ union_exceptions([
        "int_exceptions_orders",
        "int_exceptions_settlement_lines",
        "int_exceptions_refunds",
        "int_exceptions_disputes",
        "int_exceptions_settlements",
        "int_exceptions_bank",
        "int_exceptions_fees",
        "int_exceptions_tax",
        "int_exceptions_gift_cards",
        "int_exceptions_duplicate_orders",
        "int_exceptions_stock",
        "int_exceptions_stock_delay",
        "int_exceptions_documents",
        "int_exceptions_records",
        "int_exceptions_attestations",
    ]) | indent(4) }}
)

select
    raised.exception_type || ':' || raised.subject_key as exception_id,
    raised.exception_type,
    raised.subject_key,
    raised.entity_code,
    raised.store_id,
    raised.gateway_id,
    raised.order_key,
    raised.settlement_key,
    raised.settlement_line_key,
    raised.bank_line_key,
    raised.amount_at_risk,
    raised.currency_code,
    raised.opened_at,
    raised.evidence,
    types.holds_posting
from raised
inner join {{ ref('exception_types') }} as types on raised.exception_type = types.exception_type
