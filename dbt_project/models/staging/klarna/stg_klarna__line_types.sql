-- Klarna's transaction types in our words, with the rows of a payout that only its totals tell of. The list is open: a
-- type that is not here stays unknown. Debt is carried from one payout to another: its two legs cancel out.
with line_types (source_category, line_type) as (
    values
    ('SALE', 'charge'),
    ('RETURN', 'refund'),
    ('REVERSAL', 'dispute'),
    ('REVERSAL_MERCHANT_PROTECTION', 'dispute_reversal'),
    ('CORRECTION_DISPUTE', 'dispute_reversal'),
    ('FEE', 'fee'),
    ('FEE_REFUND', 'fee'),
    ('FEE_CORRECTION', 'fee'),
    ('COMMISSION', 'fee'),
    ('COMMISSION_RETURN', 'fee'),
    ('TAX', 'fee_tax'),
    ('HOLDBACK', 'reserve'),
    ('RELEASE', 'reserve'),
    ('DEPOSIT', 'reserve'),
    ('REPAY', 'reserve'),
    ('CASH_ADVANCE', 'financing'),
    ('CORRECTION', 'adjustment'),
    ('CHARGE', 'adjustment'),
    ('CREDIT', 'adjustment'),
    ('PAYOUT', 'payout')
)

select
    'klarna' as gateway_system,
    source_category,
    line_type
from line_types
