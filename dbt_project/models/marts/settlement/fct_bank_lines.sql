with matched as (
    select
        pairs.bank_line_key,
        count(*) as payout_count,
        min(pairs.settlement_key) as settlement_key,
        min(pairs.match_rule) as match_rule,
        max(
            case
                when payouts.payout_status = 'failed' and pairs.matched_amount = -payouts.payout_amount then 1
                else 0
            end
        ) as is_return,
        max(
            case
                when
                    payouts.payout_amount <> settlements.bank_amount
                    or payouts.currency_code <> settlements.bank_currency_code
                    then 1
                else 0
            end
        ) as has_difference
    from {{ ref('int_payouts_matched_to_bank') }} as pairs
    inner join {{ ref('int_bank_payouts') }} as payouts on pairs.settlement_key = payouts.settlement_key
    inner join {{ ref('int_settlements_footed') }} as settlements on pairs.settlement_key = settlements.settlement_key
    group by pairs.bank_line_key
),

settlement_accounts as (
    select distinct bank_id
    from {{ ref('stg_ops__gateways') }}
    where bank_id is not null
)

select
    entries.bank_line_key,
    entries.statement_key,
    entries.bank_id,
    banks.entity_code,
    entries.account_id,
    entries.statement_id,
    cast(entries.entry_number as integer) as entry_number,
    case when matched.payout_count = 1 then matched.settlement_key end as settlement_key,
    cast(coalesce(matched.payout_count, 0) as integer) as payout_count,
    case
        when matched.is_return = 1 then 'returned'
        when matched.has_difference = 1 then 'amount_diff'
        when matched.bank_line_key is not null then 'matched'
        when undecided.match_status is not null then undecided.match_status
        when entries.is_reversal then 'needs_review'
        when settlement_accounts.bank_id is null then 'non_order'
        else 'unexplained'
    end as match_status,
    matched.match_rule,
    undecided.rivals,
    entries.bank_reference,
    entries.end_to_end_id,
    entries.remittance_text,
    entries.counterparty,
    entries.is_reversal,
    entries.currency_code,
    entries.bank_amount,
    entries.booking_date,
    entries.value_date,
    entries.payload_sha256
from {{ ref('stg_bank__entries') }} as entries
left join {{ ref('stg_ops__banks') }} as banks on entries.bank_id = banks.bank_id
left join matched on entries.bank_line_key = matched.bank_line_key
left join {{ ref('int_bank_undecided') }} as undecided
    on entries.bank_line_key = undecided.subject_key and undecided.subject_type = 'bank_line'
left join settlement_accounts on entries.bank_id = settlement_accounts.bank_id
