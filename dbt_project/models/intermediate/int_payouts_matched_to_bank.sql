-- Which bank line a payout became: by its id or trace in the bank's text, then by exact amount within its window.
with payouts as (
    select
        payouts.settlement_key,
        payouts.payout_id,
        payouts.trace_id,
        payouts.payout_status,
        payouts.currency_code,
        payouts.payout_amount,
        payouts.arrival_date,
        gateways.bank_id,
        entities.bank_grace_days
    from {{ ref('int_payouts_unioned') }} as payouts
    inner join {{ ref('stg_ops__gateways') }} as gateways on payouts.gateway_id = gateways.gateway_id
    inner join {{ ref('stg_ops__entities') }} as entities on gateways.entity_code = entities.entity_code
    where payouts.payout_amount <> 0
),

bank_lines as (
    select
        bank_line_key,
        bank_id,
        currency_code,
        bank_amount,
        is_reversal,
        value_date,
        coalesce(end_to_end_id, '') || ' ' || coalesce(remittance_text, '') as reference_text
    from {{ ref('stg_bank__entries') }}
),

payout_references as (
    select
        settlement_key,
        bank_id,
        currency_code,
        {{ bare_reference('payout_id') }} as reference
    from payouts
    union
    select
        settlement_key,
        bank_id,
        currency_code,
        {{ bare_reference('trace_id') }} as reference
    from payouts
    where trace_id is not null
),

-- Words in the narrow sense, and whatever stands between blanks: some references have dots or dashes inside.
bank_words as (
    select distinct
        bank_line_key,
        bank_id,
        currency_code,
        {{ bare_reference('word') }} as word
    from (
        select
            bank_line_key,
            bank_id,
            currency_code,
            {{ words_of('reference_text') }} as word
        from bank_lines
        where not is_reversal
        union all
        select
            bank_line_key,
            bank_id,
            currency_code,
            {{ tokens_of('reference_text') }} as word
        from bank_lines
        where not is_reversal
    ) as words
),

-- 1: the bank's text names the payout.
named_in_any_currency as (
    select distinct
        payout_references.settlement_key,
        bank_words.bank_line_key,
        payout_references.currency_code = bank_words.currency_code as is_same_currency
    from payout_references
    inner join bank_words
        on payout_references.bank_id = bank_words.bank_id and payout_references.reference = bank_words.word
),

-- Adyen's transfer has one reference for its payouts in several currencies.
named as (
    select
        settlement_key,
        bank_line_key
    from (
        select
            *,
            count(case when is_same_currency then 1 end) over (partition by bank_line_key) as same_currency_payouts
        from named_in_any_currency
    ) as counted
    where is_same_currency or same_currency_payouts = 0
),

-- A payout that came back is named twice, by the credit and by the debit: the line with its own amount is the one.
named_ranked as (
    select
        named.settlement_key,
        named.bank_line_key,
        count(*) over (partition by named.bank_line_key) as payouts_of_line,
        count(*) over (partition by named.settlement_key) as lines_of_payout,
        count(case when bank_lines.bank_amount = payouts.payout_amount then 1 end) over (
            partition by named.settlement_key
        ) as equal_lines_of_payout,
        bank_lines.bank_amount = payouts.payout_amount as is_equal
    from named
    inner join bank_lines on named.bank_line_key = bank_lines.bank_line_key
    inner join payouts on named.settlement_key = payouts.settlement_key
),

pairs_1 as (
    select
        settlement_key,
        bank_line_key
    from named_ranked
    where payouts_of_line = 1 and (lines_of_payout = 1 or (is_equal and equal_lines_of_payout = 1))
),

-- 2: exact amount, currency and account, from the arrival date on, and nothing else fits on either side.
candidates as (
    select
        payouts.settlement_key,
        bank_lines.bank_line_key,
        count(*) over (partition by payouts.settlement_key) as lines_of_payout,
        count(*) over (partition by bank_lines.bank_line_key) as payouts_of_line
    from payouts
    inner join bank_lines
        on
            payouts.bank_id = bank_lines.bank_id
            and payouts.currency_code = bank_lines.currency_code
            and payouts.payout_amount = bank_lines.bank_amount
            and payouts.arrival_date <= bank_lines.value_date
            and {{ add_days('payouts.arrival_date', 'payouts.bank_grace_days') }} >= bank_lines.value_date
    left join named as payout_named on payouts.settlement_key = payout_named.settlement_key
    left join named as line_named on bank_lines.bank_line_key = line_named.bank_line_key
    where
        payout_named.settlement_key is null
        and line_named.bank_line_key is null
        and not bank_lines.is_reversal
        and payouts.payout_status not in ('failed', 'canceled')
)

select
    settlement_key,
    bank_line_key,
    'payout_reference' as match_rule
from pairs_1
union all
select
    settlement_key,
    bank_line_key,
    'amount_and_date' as match_rule
from candidates
where lines_of_payout = 1 and payouts_of_line = 1
