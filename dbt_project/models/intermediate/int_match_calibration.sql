-- How often the last pass would be right, by the evidence it has: payments that a certain pass has matched are given to
-- it as if nothing were known of them, with every order of the retailer to choose from.
with decided as (
    select
        payment_key,
        order_key,
        gateway_id,
        currency_code,
        captured_amount,
        created_at
    from {{ ref('int_payments_correlated') }}
    where is_matched and not is_split and not is_combined
    -- By its hash: a sample that is the same whenever the evidence is.
    order by payload_sha256, payment_key
    limit {{ var('match_calibration_payments') }}
),

payments as (
    select
        payment_key,
        gateway_id,
        currency_code,
        captured_amount,
        created_at
    from decided
),

orders as (
    select
        order_key,
        currency_code,
        currency_digits,
        total_amount,
        billing_email,
        created_at
    from {{ ref('int_orders_enriched') }}
    where total_amount > 0
),

{{ suggested_orders() }},

counted as (
    select
        suggested.evidence_class,
        suggested.payer_evidence,
        suggested.time_evidence,
        suggested.candidate_evidence,
        count(*) as suggestion_count,
        count(case when suggested.order_key = decided.order_key then 1 end) as right_count
    from suggested
    inner join decided on suggested.payment_key = decided.payment_key
    group by
        suggested.evidence_class, suggested.payer_evidence, suggested.time_evidence, suggested.candidate_evidence
)

select
    evidence_class,
    payer_evidence,
    time_evidence,
    candidate_evidence,
    suggestion_count,
    right_count,
    cast(right_count / cast(suggestion_count as double precision) as decimal(5, 4)) as precision_share,
    case
        when suggestion_count >= 30 then cast({{ wilson_lower('right_count', 'suggestion_count') }} as decimal(5, 4))
    end as confidence
from counted
