-- The sub-ledger of gift cards rolled forward month by month, against the ledger's account and what others booked
-- on the ERP's. Months in which nothing moved have no row.
with openings as (
    select
        stores.entity_code,
        openings.currency_code,
        sum(openings.opening_amount) as opening_amount
    from {{ ref('stg_ops__gift_card_openings') }} as openings
    inner join {{ ref('stg_ops__stores') }} as stores on openings.store_id = stores.store_id
    group by stores.entity_code, openings.currency_code
),

-- All issues are known where every store that moved cards has said what it owed before.
coverage as (
    select
        movements.entity_code,
        movements.currency_code,
        count(case when movements.store_id is not null and openings.store_id is null then 1 end) = 0 as is_opening_known
    from {{ ref('int_gift_card_movements') }} as movements
    left join {{ ref('stg_ops__gift_card_openings') }} as openings
        on movements.store_id = openings.store_id and movements.currency_code = openings.currency_code
    group by movements.entity_code, movements.currency_code
),

-- The ERP's account is in base currency, so it says something about cards only where they all are.
in_base_currency as (
    select
        coverage.entity_code,
        min(coverage.currency_code) as currency_code
    from coverage
    inner join {{ ref('stg_ops__entities') }} as entities on coverage.entity_code = entities.entity_code
    group by coverage.entity_code
    having count(case when coverage.currency_code <> entities.base_currency_code then 1 end) = 0
),

erp as (
    select
        movements.entity_code,
        in_base_currency.currency_code,
        movements.period_month,
        movements.erp_other_amount
    from {{ ref('int_gift_cards_in_erp') }} as movements
    inner join in_base_currency on movements.entity_code = in_base_currency.entity_code
),

in_erp as (
    select
        entity_code,
        currency_code
    from erp
    group by entity_code, currency_code
),

sides as (
    select
        entity_code,
        currency_code,
        cast(date_trunc('month', moved_on) as date) as period_month,
        issued_amount,
        redeemed_amount,
        voided_amount,
        returned_amount,
        issued_amount - redeemed_amount - voided_amount + returned_amount as change_amount,
        ledger_amount,
        case
            when is_booked then 0
            else issued_amount - redeemed_amount - voided_amount + returned_amount
        end as not_booked_amount,
        0 as erp_other_amount
    from {{ ref('int_gift_card_movements') }}
    union all
    select
        entity_code,
        currency_code,
        period_month,
        0 as issued_amount,
        0 as redeemed_amount,
        0 as voided_amount,
        0 as returned_amount,
        0 as change_amount,
        0 as ledger_amount,
        0 as not_booked_amount,
        erp_other_amount
    from erp
    where period_month is not null
),

months as (
    select
        entity_code,
        currency_code,
        period_month,
        sum(issued_amount) as issued_amount,
        sum(redeemed_amount) as redeemed_amount,
        sum(voided_amount) as voided_amount,
        sum(returned_amount) as returned_amount,
        sum(change_amount) as change_amount,
        sum(ledger_amount) as ledger_amount,
        sum(not_booked_amount) as not_booked_amount,
        sum(erp_other_amount) as erp_other_amount
    from sides
    group by entity_code, currency_code, period_month
),

rolled as (
    select
        months.*,
        coverage.is_opening_known,
        in_erp.entity_code is not null as is_in_erp,
        case when coverage.is_opening_known then coalesce(openings.opening_amount, 0) else 0 end as first_amount,
        sum(months.change_amount) over (
            partition by months.entity_code, months.currency_code order by months.period_month
            rows between unbounded preceding and current row
        ) as changes_amount,
        sum(months.erp_other_amount) over (
            partition by months.entity_code, months.currency_code order by months.period_month
            rows between unbounded preceding and current row
        ) as erp_others_amount,
        {{ minor_units('entities.tolerance_minor_units', 'digits.exponent') }} as tolerance_amount
    from months
    inner join coverage
        on months.entity_code = coverage.entity_code and months.currency_code = coverage.currency_code
    inner join {{ ref('stg_ops__entities') }} as entities on months.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on months.currency_code = digits.currency_code and digits.provider = 'iso'
    left join openings
        on months.entity_code = openings.entity_code and months.currency_code = openings.currency_code
    left join in_erp
        on months.entity_code = in_erp.entity_code and months.currency_code = in_erp.currency_code
),

compared as (
    select
        *,
        change_amount - not_booked_amount - ledger_amount as ledger_difference_amount,
        -- Our own postings are what the ledger says, or will be; what others booked must be what was owed before.
        case when is_in_erp and is_opening_known then erp_others_amount - first_amount end as erp_difference_amount
    from rolled
)

select
    entity_code,
    currency_code,
    period_month,
    is_opening_known,
    cast(first_amount + changes_amount - change_amount as decimal(18, 4)) as opening_amount,
    cast(issued_amount as decimal(18, 4)) as issued_amount,
    cast(redeemed_amount as decimal(18, 4)) as redeemed_amount,
    cast(voided_amount as decimal(18, 4)) as voided_amount,
    cast(returned_amount as decimal(18, 4)) as returned_amount,
    cast(first_amount + changes_amount as decimal(18, 4)) as closing_amount,
    cast(ledger_amount as decimal(18, 4)) as ledger_amount,
    cast(not_booked_amount as decimal(18, 4)) as not_booked_amount,
    cast(ledger_difference_amount as decimal(18, 4)) as ledger_difference_amount,
    cast(case when is_in_erp then erp_other_amount end as decimal(18, 4)) as erp_other_amount,
    cast(erp_difference_amount as decimal(18, 4)) as erp_difference_amount,
    case
        when abs(ledger_difference_amount) > tolerance_amount then 'ledger_difference'
        when is_opening_known and first_amount + changes_amount < -tolerance_amount then 'overdrawn'
        when abs(coalesce(erp_difference_amount, 0)) > tolerance_amount then 'erp_difference'
        when not_booked_amount <> 0 then 'not_booked'
        else 'matched'
    end as gift_card_status,
    is_opening_known and first_amount + changes_amount < -tolerance_amount as is_overdrawn,
    abs(ledger_difference_amount) > tolerance_amount as has_ledger_difference,
    abs(coalesce(erp_difference_amount, 0)) > tolerance_amount as has_erp_difference
from compared
