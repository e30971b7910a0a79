-- What may add up: for each bank line that the passes left, the payouts that could be in it (deposit); for each payout,
-- the bank lines that could be its parts (split). Same account, currency, sign and days.
with taken as (
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_pass_0_key') }}
    union
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_named') }}
    union
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_pass_manual') }}
    union
    select
        settlement_key,
        bank_line_key
    from {{ ref('int_bank_pass_2_amount') }}
),

taken_payouts as (
    select distinct settlement_key
    from taken
),

taken_lines as (
    select distinct bank_line_key
    from taken
),

payouts as (
    select
        payouts.settlement_key,
        payouts.bank_id,
        payouts.currency_code,
        payouts.payout_amount,
        payouts.arrival_date,
        payouts.expected_until
    from {{ ref('int_bank_payouts') }} as payouts
    left join taken_payouts on payouts.settlement_key = taken_payouts.settlement_key
    where taken_payouts.settlement_key is null and payouts.payout_status not in ('failed', 'canceled')
),

bank_lines as (
    select
        entries.bank_line_key,
        entries.bank_id,
        entries.currency_code,
        entries.bank_amount,
        entries.value_date
    from {{ ref('stg_bank__entries') }} as entries
    left join taken_lines on entries.bank_line_key = taken_lines.bank_line_key
    where taken_lines.bank_line_key is null and not entries.is_reversal and entries.bank_amount <> 0
),

-- By way of the days, so that the join is on equal values.
days as (
    select distinct
        bank_id,
        currency_code,
        value_date
    from bank_lines
),

payout_days as (
    select
        payouts.settlement_key,
        payouts.bank_id,
        payouts.currency_code,
        payouts.payout_amount,
        days.value_date
    from payouts
    inner join days
        on
            payouts.bank_id = days.bank_id
            and payouts.currency_code = days.currency_code
            and payouts.arrival_date <= days.value_date
            and payouts.expected_until >= days.value_date
),

together as (
    select
        payout_days.settlement_key,
        bank_lines.bank_line_key,
        abs(payout_days.payout_amount) as payout_size,
        abs(bank_lines.bank_amount) as line_size
    from payout_days
    inner join bank_lines
        on
            payout_days.bank_id = bank_lines.bank_id
            and payout_days.currency_code = bank_lines.currency_code
            and payout_days.value_date = bank_lines.value_date
    where sign(payout_days.payout_amount) = sign(bank_lines.bank_amount)
),

parts as (
    select
        'deposit' as direction,
        bank_line_key as target_key,
        line_size as target_amount,
        settlement_key as part_key,
        payout_size as part_amount
    from together
    where payout_size <= line_size
    union all
    select
        'split' as direction,
        settlement_key as target_key,
        payout_size as target_amount,
        bank_line_key as part_key,
        line_size as part_amount
    from together
    where line_size < payout_size
),

-- Where even all parts are too little nothing adds up.
promising as (
    select
        direction,
        target_key,
        count(*) as part_count
    from parts
    group by direction, target_key
    having sum(part_amount) >= min(target_amount)
),

counted as (
    select
        parts.direction,
        parts.target_key,
        parts.part_key,
        cast(parts.target_amount as decimal(18, 4)) as target_amount,
        cast(parts.part_amount as decimal(18, 4)) as part_amount,
        cast(promising.part_count as integer) as part_count
    from parts
    inner join promising on parts.direction = promising.direction and parts.target_key = promising.target_key
)

select
    direction,
    target_key,
    part_key,
    target_amount,
    part_amount,
    part_count,
    cast(
        row_number() over (partition by direction, target_key order by part_amount desc, part_key) as integer
    ) as part_number,
    -- This part and all after it: what can still be added.
    cast(
        sum(part_amount) over (
            partition by direction, target_key
            order by part_amount, part_key desc
            rows between unbounded preceding and current row
        ) as decimal(18, 4)
    ) as rest_amount
from counted
where part_count <= {{ var('bank_composition_parts') }}
union all
-- Too many to walk.
select
    direction,
    target_key,
    part_key,
    target_amount,
    part_amount,
    part_count,
    cast(null as integer) as part_number,
    cast(null as decimal(18, 4)) as rest_amount
from counted
where part_count > {{ var('bank_composition_parts') }}
