-- One row per charge: the order it belongs to, by which rule, and how far the amounts agree. Parts of an order that was
-- captured in several are judged together.
with paired as (
    select
        payment_key,
        min(verdict) as verdict,
        min(match_rule) as match_rule,
        case when min(verdict) not in ('ambiguous', 'combined') then min(order_key) end as order_key
    from {{ ref('int_payment_pairs') }}
    group by payment_key
),

-- Only where there are rivals: a sorted list costs more than all else here.
rivals as (
    select
        pairs.payment_key,
        {{ sorted_list('pairs.order_key') }} as rival_order_keys
    from {{ ref('int_payment_pairs') }} as pairs
    inner join paired on pairs.payment_key = paired.payment_key
    where paired.verdict = 'ambiguous'
    group by pairs.payment_key
),

decided as (
    select
        paired.payment_key,
        case when splits.order_key is not null then 'matched' else paired.verdict end as verdict,
        paired.match_rule,
        coalesce(splits.order_key, paired.order_key) as order_key,
        case when splits.order_key is null then rivals.rival_order_keys end as rival_order_keys,
        splits.order_key is not null as is_split,
        coalesce(splits.is_earlier_part, false) as is_earlier_part,
        splits.order_captured_amount
    from paired
    left join rivals on paired.payment_key = rivals.payment_key
    left join {{ ref('int_payments_split') }} as splits on paired.payment_key = splits.payment_key
),

-- A charge for several orders is judged by all of them; it belongs to none of them alone.
combined as (
    select
        payment_key,
        min(store_id) as store_id,
        min(currency_code) as currency_code,
        sum(part_amount) as total_amount,
        count(*) = count(case when is_paid_in_store then 1 end) as is_paid_in_store
    from {{ ref('int_payments_combined') }}
    group by payment_key
),

-- Money that came and bounced later (a bank debit, for one).
bounced as (
    select distinct
        gateway_id,
        source_id as payment_id
    from {{ ref('int_settlement_lines_unioned') }}
    where line_type = 'charge_failure'
),

compared as (
    select
        payments.*,
        decided.verdict,
        decided.match_rule,
        decided.order_key,
        decided.rival_order_keys,
        coalesce(decided.is_split, false) as is_split,
        coalesce(decided.is_earlier_part, false) as is_earlier_part,
        coalesce(decided.order_captured_amount, payments.captured_amount) as judged_amount,
        combined.payment_key is not null as is_combined,
        coalesce(orders.store_id, combined.store_id) as store_id,
        coalesce(orders.currency_code, combined.currency_code) as order_currency_code,
        coalesce(orders.total_amount, combined.total_amount) as order_total_amount,
        coalesce(orders.is_paid_in_store or orders.is_trashed, combined.is_paid_in_store) as is_paid_in_store,
        bounced.payment_id is not null as is_bounced,
        cast(
            coalesce(decided.order_captured_amount, payments.captured_amount)
            - {{ round_money('coalesce(orders.total_amount, combined.total_amount)', 'payments.currency_digits') }}
            as decimal(18, 4)
        ) as difference_amount,
        {{ minor_units('payments.tolerance_minor_units', 'payments.currency_digits') }} as tolerance_amount
    from {{ ref('int_payments_prepared') }} as payments
    left join decided on payments.payment_key = decided.payment_key
    left join {{ ref('int_orders_enriched') }} as orders on decided.order_key = orders.order_key
    left join combined on payments.payment_key = combined.payment_key
    left join bounced on payments.gateway_id = bounced.gateway_id and payments.payment_id = bounced.payment_id
)

select
    payment_key,
    gateway_id,
    gateway_system,
    source_table,
    entity_code,
    store_id,
    time_zone,
    base_currency_code,
    payment_id,
    intent_id,
    payment_status,
    order_key,
    match_rule,
    case
        when not is_payment then 'non_order'
        when not is_live then 'test_data'
        when verdict = 'ambiguous' then 'ambiguous'
        when verdict = 'duplicate' then 'duplicate'
        when verdict is null and is_recent then 'timing'
        when verdict is null then 'missing_in_store'
        when currency_code <> order_currency_code then 'needs_review'
        when is_bounced then 'amount_diff'
        -- The store still holds the order for unpaid: a late webhook at first, wrong later.
        when not is_paid_in_store and is_recent then 'timing'
        when not is_paid_in_store then 'amount_diff'
        when difference_amount = 0 and judged_amount = order_total_amount then 'matched'
        when abs(difference_amount) <= tolerance_amount then 'matched_tolerance'
        when captured_amount < authorised_amount and difference_amount < 0 then 'partial'
        else 'amount_diff'
    end as match_status,
    rival_order_keys,
    currency_code,
    currency_digits,
    authorised_amount,
    captured_amount,
    refunded_amount,
    order_currency_code,
    order_total_amount,
    case when verdict in ('matched', 'combined') and currency_code = order_currency_code then difference_amount end
        as difference_amount,
    failure_code,
    payment_method_type,
    card_brand,
    card_country,
    coalesce(verdict in ('matched', 'combined'), false) as is_matched,
    is_live,
    is_captured,
    is_disputed,
    is_payment,
    is_bounced,
    is_split,
    is_earlier_part,
    is_combined,
    created_at,
    captured_at,
    accounting_date,
    payload_sha256
from compared
