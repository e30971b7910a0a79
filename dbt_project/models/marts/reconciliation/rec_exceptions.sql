with raised as (
    {{ union_exceptions([
        "int_exceptions_raised",
        "int_exceptions_journals",
        "int_exceptions_periods",
    ]) | indent(4) }}
)

select
    raised.exception_type || ':' || raised.subject_key as exception_id,
    raised.exception_type,
    types.exception_class,
    types.severity,
    types.owner,
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
    cast({{ add_days('raised.opened_at', 'types.due_days') }} as timestamp) as due_at,
    'open' as status,
    raised.evidence,
    types.suggested_action
from raised
inner join {{ ref('exception_types') }} as types on raised.exception_type = types.exception_type
