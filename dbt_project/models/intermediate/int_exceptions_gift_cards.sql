{{ config(materialized='view') }}

-- Where the sub-ledger of gift cards and its liability do not agree: one exception for each entity, currency and cause.
-- A cause is open while the latest month shows it; a difference to the ledger, in whatever month it is. And one for
-- each order whose lines do not add up to what was paid and what its cards paid.
with latest as (
    select
        entity_code,
        currency_code,
        max(period_month) as period_month
    from {{ ref('int_gift_cards_rolled_forward') }}
    group by entity_code, currency_code
),

causes as (
    select
        months.entity_code,
        months.currency_code,
        'overdrawn' as cause,
        'more was redeemed than was issued' as reason,
        months.period_month,
        case when latest.period_month is not null then -months.closing_amount end as latest_difference_amount,
        -months.closing_amount as difference_amount
    from {{ ref('int_gift_cards_rolled_forward') }} as months
    left join latest
        on
            months.entity_code = latest.entity_code
            and months.currency_code = latest.currency_code
            and months.period_month = latest.period_month
    where months.is_overdrawn
    union all
    select
        months.entity_code,
        months.currency_code,
        'erp' as cause,
        'others than this platform booked another amount on the account than was owed at the beginning' as reason,
        months.period_month,
        case when latest.period_month is not null then months.erp_difference_amount end as latest_difference_amount,
        months.erp_difference_amount as difference_amount
    from {{ ref('int_gift_cards_rolled_forward') }} as months
    left join latest
        on
            months.entity_code = latest.entity_code
            and months.currency_code = latest.currency_code
            and months.period_month = latest.period_month
    where months.has_erp_difference
    union all
    select
        entity_code,
        currency_code,
        'ledger' as cause,
        'the ledger moved by another amount than the cards' as reason,
        period_month,
        ledger_difference_amount as latest_difference_amount,
        ledger_difference_amount as difference_amount
    from {{ ref('int_gift_cards_rolled_forward') }}
    where has_ledger_difference
),

summed as (
    select
        entity_code,
        currency_code,
        cause,
        min(reason) as reason,
        min(period_month) as first_month,
        count(*) as month_count,
        sum(abs(latest_difference_amount)) as amount_at_risk
    from causes
    group by entity_code, currency_code, cause
    having sum(abs(latest_difference_amount)) > 0
)

select
    'gift_card_imbalance' as exception_type,
    entity_code || ':' || currency_code || ':' || cause as subject_key,
    entity_code,
    cast(null as varchar) as store_id,
    cast(null as varchar) as gateway_id,
    cast(null as varchar) as order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(amount_at_risk as decimal(18, 4)) as amount_at_risk,
    currency_code,
    cast(first_month as timestamp) as opened_at,
    {{ json_text([
        ("reason", "reason"),
        ("difference", "cast(cast(amount_at_risk as decimal(18, 4)) as varchar)"),
        ("since", "substring(cast(first_month as varchar) from 1 for 7)"),
        ("months", "month_count"),
    ]) }} as evidence
from summed

union all
select
    'gift_card_imbalance' as exception_type,
    order_key as subject_key,
    entity_code,
    store_id,
    cast(null as varchar) as gateway_id,
    order_key,
    cast(null as varchar) as settlement_key,
    cast(null as varchar) as settlement_line_key,
    cast(null as varchar) as bank_line_key,
    cast(gift_card_amount as decimal(18, 4)) as amount_at_risk,
    currency_code,
    coalesce(paid_at, created_at) as opened_at,
    {{ json_text([
        ("reason", "'the order is not the sum of what was paid and what its gift cards paid, so it is not booked'"),
        ("order_number", "order_number"),
        ("order_total", "cast(total_amount as varchar)"),
        ("gift_cards", "cast(gift_card_amount as varchar)"),
        ("goods", "cast(lines_amount as varchar)"),
        ("shipping", "cast(shipping_amount as varchar)"),
        ("fees", "cast(fees_amount as varchar)"),
        ("tax", "cast(tax_amount as varchar)"),
    ]) }} as evidence
from {{ ref('int_orders_enriched') }}
where is_paid_in_store and not is_trashed and gift_card_amount <> 0 and not amounts_foot
