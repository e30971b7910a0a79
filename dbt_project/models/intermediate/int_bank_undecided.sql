-- Payouts and bank lines that evidence speaks for without deciding, with what it could be. Nothing of it is applied.
with matched_payouts as (
    select distinct settlement_key
    from {{ ref('int_payouts_matched_to_bank') }}
),

matched_lines as (
    select distinct bank_line_key
    from {{ ref('int_payouts_matched_to_bank') }}
),

named as (
    select
        named.settlement_key,
        named.bank_line_key,
        matched_payouts.settlement_key is null as is_payout_open,
        matched_lines.bank_line_key is null as is_line_open,
        named.payouts_of_line = 1 and named.bank_amount = -named.payout_amount as is_return
    from {{ ref('int_bank_named') }} as named
    left join matched_payouts on named.settlement_key = matched_payouts.settlement_key
    left join matched_lines on named.bank_line_key = matched_lines.bank_line_key
),

ways as (
    select
        solution_key,
        case
            when direction = 'deposit' then bank_lines || ' = ' || replace(payouts, ', ', ' + ')
            else payouts || ' = ' || replace(bank_lines, ', ', ' + ')
        end as way
    from (
        select
            solution_key,
            direction,
            {{ sorted_list('settlement_key') }} as payouts,
            {{ sorted_list('bank_line_key') }} as bank_lines
        from {{ ref('int_bank_compositions') }}
        where not is_decided
        group by solution_key, direction
    ) as listed
),

-- Each way is listed for everything in it, ten at most.
composed as (
    select
        subjects.subject_type,
        subjects.subject_key,
        ways.way,
        count(*) over (partition by subjects.subject_type, subjects.subject_key) as way_count,
        row_number() over (partition by subjects.subject_type, subjects.subject_key order by ways.way) as way_number
    from (
        select
            'payout' as subject_type,
            settlement_key as subject_key,
            solution_key
        from {{ ref('int_bank_compositions') }}
        where not is_decided
        union
        select
            'bank_line' as subject_type,
            bank_line_key as subject_key,
            solution_key
        from {{ ref('int_bank_compositions') }}
        where not is_decided
    ) as subjects
    inner join ways on subjects.solution_key = ways.solution_key
),

crowded as (
    select
        case when direction = 'deposit' then 'bank_line' else 'payout' end as subject_type,
        target_key as subject_key,
        max(part_count) as part_count
    from {{ ref('int_bank_parts') }}
    where part_count > {{ var('bank_composition_parts') }}
    group by direction, target_key
),

findings as (
    select
        'payout' as subject_type,
        settlement_key as subject_key,
        'ambiguous' as match_status,
        count(*) as rival_count,
        {{ sorted_list('bank_line_key') }} as rivals,
        true as is_walked,
        1 as precedence
    from named
    where is_payout_open
    group by settlement_key
    union all
    select
        'bank_line' as subject_type,
        bank_line_key as subject_key,
        case
            when max(case when is_payout_open then 1 else 0 end) = 1 then 'ambiguous'
            when max(case when is_return then 1 else 0 end) = 1 then 'returned'
            else 'unexplained'
        end as match_status,
        count(*) as rival_count,
        {{ sorted_list('settlement_key') }} as rivals,
        true as is_walked,
        1 as precedence
    from named
    where is_line_open
    group by bank_line_key
    union all
    select
        subject_type,
        subject_key,
        'ambiguous' as match_status,
        max(way_count) as rival_count,
        {{ sorted_list('way') }} as rivals,
        true as is_walked,
        2 as precedence
    from composed
    where way_number <= 10
    group by subject_type, subject_key
    union all
    select
        crowded.subject_type,
        crowded.subject_key,
        'ambiguous' as match_status,
        crowded.part_count as rival_count,
        'too many candidates' as rivals,
        false as is_walked,
        3 as precedence
    from crowded
    left join matched_payouts
        on crowded.subject_type = 'payout' and crowded.subject_key = matched_payouts.settlement_key
    left join matched_lines
        on crowded.subject_type = 'bank_line' and crowded.subject_key = matched_lines.bank_line_key
    where matched_payouts.settlement_key is null and matched_lines.bank_line_key is null
)

select
    subject_type,
    subject_key,
    match_status,
    cast(rival_count as integer) as rival_count,
    rivals,
    is_walked
from (
    select
        *,
        row_number() over (partition by subject_type, subject_key order by precedence) as finding_number
    from findings
) as ranked
where finding_number = 1
