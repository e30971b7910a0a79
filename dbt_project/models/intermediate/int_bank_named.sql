-- Which payouts the text of a bank line names, by id or trace, with what is needed to tell whether that is enough.
with payouts as (
    select
        payouts.settlement_key,
        payouts.bank_id,
        payouts.payout_id,
        payouts.trace_id,
        payouts.currency_code,
        payouts.payout_amount
    from {{ ref('int_bank_payouts') }} as payouts
    left join {{ ref('int_bank_pass_0_key') }} as keyed on payouts.settlement_key = keyed.settlement_key
    where keyed.settlement_key is null
),

bank_lines as (
    select
        entries.bank_line_key,
        entries.bank_id,
        entries.currency_code,
        entries.bank_amount,
        coalesce(entries.end_to_end_id, '') || ' ' || coalesce(entries.remittance_text, '') as reference_text
    from {{ ref('stg_bank__entries') }} as entries
    left join {{ ref('int_bank_pass_0_key') }} as keyed on entries.bank_line_key = keyed.bank_line_key
    where keyed.bank_line_key is null and not entries.is_reversal
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

-- A bank that books a batch in one amount may name its parts in the details only.
texts as (
    select
        bank_line_key,
        bank_id,
        currency_code,
        reference_text
    from bank_lines
    union all
    select
        bank_lines.bank_line_key,
        bank_lines.bank_id,
        bank_lines.currency_code,
        coalesce(details.end_to_end_id, '') || ' ' || coalesce(details.remittance_text, '') as reference_text
    from bank_lines
    inner join {{ ref('stg_bank__entry_details') }} as details on bank_lines.bank_line_key = details.bank_line_key
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
        from texts
        union all
        select
            bank_line_key,
            bank_id,
            currency_code,
            {{ tokens_of('reference_text') }} as word
        from texts
    ) as words
),

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
        bank_line_key,
        is_same_currency
    from (
        select
            *,
            count(case when is_same_currency then 1 end) over (partition by bank_line_key) as same_currency_payouts
        from named_in_any_currency
    ) as counted
    where is_same_currency or same_currency_payouts = 0
),

counted as (
    select
        named.settlement_key,
        named.bank_line_key,
        named.is_same_currency,
        payouts.payout_amount,
        bank_lines.bank_amount,
        named.is_same_currency and bank_lines.bank_amount = payouts.payout_amount as is_equal,
        count(*) over (partition by named.bank_line_key) as payouts_of_line,
        count(*) over (partition by named.settlement_key) as lines_of_payout,
        sum(payouts.payout_amount) over (partition by named.bank_line_key) as payouts_amount,
        sum(bank_lines.bank_amount) over (partition by named.settlement_key) as lines_amount
    from named
    inner join bank_lines on named.bank_line_key = bank_lines.bank_line_key
    inner join payouts on named.settlement_key = payouts.settlement_key
)

select
    settlement_key,
    bank_line_key,
    is_same_currency,
    is_equal,
    cast(payout_amount as decimal(18, 4)) as payout_amount,
    cast(bank_amount as decimal(18, 4)) as bank_amount,
    payouts_of_line,
    lines_of_payout,
    cast(payouts_amount as decimal(18, 4)) as payouts_amount,
    cast(lines_amount as decimal(18, 4)) as lines_amount,
    count(case when is_equal then 1 end) over (partition by settlement_key) as equal_lines_of_payout,
    max(payouts_of_line) over (partition by settlement_key) as most_payouts_of_a_line,
    max(lines_of_payout) over (partition by bank_line_key) as most_lines_of_a_payout
from counted
