-- What the plugin's types mean here: those of its list, and what Stripe calls such lines, since WooPayments is Stripe
-- underneath. The list is open: a type that is not here stays unknown. Payouts are made from the list of deposits.
select
    'woopayments' as gateway_system,
    types.source_category,
    types.line_type
from (
    values
    ('adjustment', 'adjustment'),
    ('card_reader_fee', 'fee'),
    ('charge', 'charge'),
    ('dispute', 'dispute'),
    ('dispute_reversal', 'dispute_reversal'),
    ('fee', 'fee'),
    ('financing_paydown', 'financing'),
    ('financing_paydown_reversal', 'financing'),
    ('financing_payout', 'financing'),
    ('financing_payout_reversal', 'financing'),
    ('payment', 'charge'),
    ('payment_failure_refund', 'charge_failure'),
    ('payment_refund', 'refund'),
    ('payment_reversal', 'charge_failure'),
    ('payout', 'payout'),
    ('payout_reversal', 'payout_reversal'),
    ('refund', 'refund'),
    ('refund_failure', 'refund_failure')
) as types (source_category, line_type)
