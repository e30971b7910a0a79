with line_types (source_category, line_type) as (
    values
    ('credit', 'charge'),
    ('credit_returned', 'charge_failure'),
    ('debit', 'refund'),
    ('debit_returned', 'refund_failure'),
    ('arrival', 'payout')
)

select
    'bank_transfer' as gateway_system,
    source_category,
    line_type
from line_types
