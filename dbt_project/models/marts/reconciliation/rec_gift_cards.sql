{{ config(materialized='view') }}

select
    entity_code,
    period_month,
    currency_code,
    opening_amount,
    issued_amount,
    redeemed_amount,
    voided_amount,
    returned_amount,
    closing_amount,
    is_opening_known,
    ledger_amount,
    not_booked_amount,
    ledger_difference_amount,
    erp_other_amount,
    erp_difference_amount,
    gift_card_status
from {{ ref('int_gift_cards_rolled_forward') }}
