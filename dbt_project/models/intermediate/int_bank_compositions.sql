-- All ways in which payouts sum exactly to a bank line, or bank lines to a payout, one row per part. Only what is the
-- one way for everything in it is decided; parts are walked from large to small, a sum that cannot fit is given up.
with recursive parts as (
    select
        direction,
        target_key,
        target_amount,
        part_key,
        part_number,
        part_amount,
        rest_amount
    from {{ ref('int_bank_parts') }}
    where part_count <= {{ var('bank_composition_parts') }}
),

sums as (
    select
        direction,
        target_key,
        target_amount,
        part_number as last_number,
        part_amount as sum_amount,
        cast(1 as bigint) << (part_number - 1) as members
    from parts
    where part_amount <= target_amount and rest_amount >= target_amount
    union all
    select
        sums.direction,
        sums.target_key,
        sums.target_amount,
        parts.part_number as last_number,
        cast(sums.sum_amount + parts.part_amount as decimal(18, 4)) as sum_amount,
        sums.members | (cast(1 as bigint) << (parts.part_number - 1)) as members
    from sums
    inner join parts on sums.direction = parts.direction and sums.target_key = parts.target_key
    where
        parts.part_number > sums.last_number
        and sums.sum_amount + parts.part_amount <= sums.target_amount
        and sums.sum_amount + parts.rest_amount >= sums.target_amount
),

solutions as (
    select
        sums.direction || ':' || sums.target_key || ':' || cast(sums.members as varchar) as solution_key,
        sums.direction,
        case when sums.direction = 'deposit' then parts.part_key else sums.target_key end as settlement_key,
        case when sums.direction = 'deposit' then sums.target_key else parts.part_key end as bank_line_key
    from sums
    inner join parts on sums.direction = parts.direction and sums.target_key = parts.target_key
    where sums.sum_amount = sums.target_amount and ((sums.members >> (parts.part_number - 1)) & 1) = 1
),

payout_uses as (
    select
        settlement_key,
        count(distinct solution_key) as solution_count
    from solutions
    group by settlement_key
),

line_uses as (
    select
        bank_line_key,
        count(distinct solution_key) as solution_count
    from solutions
    group by bank_line_key
),

-- Parts that may also be in something that was not walked: there may be more ways.
unwalked as (
    select distinct
        direction,
        part_key
    from {{ ref('int_bank_parts') }}
    where part_count > {{ var('bank_composition_parts') }}
),

contested as (
    select
        solutions.solution_key,
        max(greatest(payout_uses.solution_count, line_uses.solution_count)) as most_uses,
        count(unwalked.part_key) as unwalked_parts
    from solutions
    inner join payout_uses on solutions.settlement_key = payout_uses.settlement_key
    inner join line_uses on solutions.bank_line_key = line_uses.bank_line_key
    left join unwalked
        on
            solutions.direction = unwalked.direction
            and case when solutions.direction = 'deposit' then solutions.settlement_key else solutions.bank_line_key end
            = unwalked.part_key
    group by solutions.solution_key
)

select
    solutions.solution_key,
    solutions.direction,
    solutions.settlement_key,
    solutions.bank_line_key,
    cast(
        case when solutions.direction = 'deposit' then payouts.payout_amount else bank_lines.bank_amount end
        as decimal(18, 4)
    ) as matched_amount,
    contested.most_uses = 1 and contested.unwalked_parts = 0 as is_decided
from solutions
inner join contested on solutions.solution_key = contested.solution_key
inner join {{ ref('int_bank_payouts') }} as payouts on solutions.settlement_key = payouts.settlement_key
inner join {{ ref('stg_bank__entries') }} as bank_lines on solutions.bank_line_key = bank_lines.bank_line_key
