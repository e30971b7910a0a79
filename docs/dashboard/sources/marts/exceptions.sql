select
    exception_id,
    exception_type,
    exception_class,
    severity,
    owner,
    entity_code,
    currency_code,
    opened_at,
    due_at,
    suggested_action,
    cast(amount_at_risk as double) as at_risk
from rec_exceptions
where status = 'open'
