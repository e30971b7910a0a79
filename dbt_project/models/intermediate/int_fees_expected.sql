-- What each sale should have cost by the contract of its gateway account; only accounts that have one. Rules are chosen
-- for each kind of sale, not for each sale. Names in rules are lower-case.
with contracts as (
    select distinct gateway_id
    from {{ ref('stg_ops__gateway_fees') }}
),

-- An older Stripe books a partial capture as the whole and a part of it back: the fee is for what is left.
reversals as (
    select
        payment_key,
        sum(gross_amount) as gross_amount,
        sum(fee_amount) as fee_amount
    from {{ ref('int_settlement_lines_judged') }}
    where line_type = 'partial_capture_reversal' and payment_key is not null
    group by payment_key
),

-- Of several charges of one payment nobody knows which was taken back.
reversed_charges as (
    select
        lines.payment_key,
        min(reversals.gross_amount) as gross_amount,
        min(reversals.fee_amount) as fee_amount
    from {{ ref('int_settlement_lines_judged') }} as lines
    inner join reversals on lines.payment_key = reversals.payment_key
    where lines.line_type = 'charge'
    group by lines.payment_key
    having count(*) = 1
),

charges as (
    select
        lines.settlement_line_key,
        lines.gateway_id,
        lines.entity_code,
        lines.currency_code,
        digits.exponent as currency_digits,
        lines.accounting_date,
        lines.booked_at,
        coalesce(lower(payments.payment_method_type), '') as payment_method_type,
        coalesce(lower(payments.card_brand), '') as card_brand,
        upper(payments.card_country) as card_country,
        coalesce({{ card_region('upper(payments.card_country)', 'entities.country_code') }}, '') as card_region,
        {{ minor_units('entities.tolerance_minor_units', 'digits.exponent') }} as tolerance_amount,
        cast(lines.gross_amount + coalesce(reversed_charges.gross_amount, 0) as decimal(18, 4)) as basis_amount,
        cast(lines.fee_amount + coalesce(reversed_charges.fee_amount, 0) as decimal(18, 4)) as actual_fee_amount,
        passed_through.passed_through_amount
    from {{ ref('int_settlement_lines_judged') }} as lines
    inner join contracts on lines.gateway_id = contracts.gateway_id
    inner join {{ ref('stg_ops__entities') }} as entities on lines.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as digits
        on lines.currency_code = digits.currency_code and digits.provider = 'iso'
    left join {{ ref('int_payments_correlated') }} as payments on lines.payment_key = payments.payment_key
    left join reversed_charges on lines.payment_key = reversed_charges.payment_key
    left join {{ ref('int_fee_parts_unioned') }} as passed_through
        on lines.settlement_line_key = passed_through.settlement_line_key
    where lines.line_type = 'charge' and lines.is_clearing
),

kinds as (
    select distinct
        gateway_id,
        currency_code,
        payment_method_type,
        card_brand,
        card_region,
        accounting_date
    from charges
),

ruled as (
    select
        kinds.*,
        rules.fee_rule_id,
        rules.fee_rate,
        rules.fixed_amount,
        rules.minimum_amount,
        rules.maximum_amount,
        rules.adds_interchange,
        row_number() over (
            partition by
                kinds.gateway_id, kinds.currency_code, kinds.payment_method_type, kinds.card_brand, kinds.card_region,
                kinds.accounting_date
            order by
                rules.specificity desc, case when rules.card_region = kinds.card_region then 0 else 1 end,
                rules.fee_rule_id
        ) as preference
    from kinds
    inner join {{ ref('stg_ops__gateway_fees') }} as rules
        on
            kinds.gateway_id = rules.gateway_id
            and (rules.currency_code is null or kinds.currency_code = rules.currency_code)
            and (rules.payment_method is null or kinds.payment_method_type = rules.payment_method)
            and (rules.card_brand is null or kinds.card_brand = rules.card_brand)
            and (
                rules.card_region is null or kinds.card_region = rules.card_region
                or (rules.card_region = 'international' and kinds.card_region = 'eea')
            )
            and (rules.valid_from is null or kinds.accounting_date >= rules.valid_from)
            and (rules.valid_to is null or kinds.accounting_date <= rules.valid_to)
),

priced as (
    select
        charges.*,
        ruled.fee_rule_id,
        ruled.adds_interchange,
        ruled.minimum_amount,
        ruled.maximum_amount,
        {{ round_money(
            'charges.basis_amount * ruled.fee_rate + ruled.fixed_amount', 'charges.currency_digits'
        ) }} as rule_amount
    from charges
    left join ruled
        on
            charges.gateway_id = ruled.gateway_id
            and charges.currency_code = ruled.currency_code
            and charges.payment_method_type = ruled.payment_method_type
            and charges.card_brand = ruled.card_brand
            and charges.card_region = ruled.card_region
            and charges.accounting_date = ruled.accounting_date
            and ruled.preference = 1
),

-- What schemes and issuers take is nobody's contract: it is what the gateway says, and counted only where it does.
expected as (
    select
        *,
        cast(
            greatest(least(rule_amount, coalesce(maximum_amount, rule_amount)), coalesce(minimum_amount, rule_amount))
            + case when adds_interchange then passed_through_amount else 0 end
            as decimal(18, 4)
        ) as expected_fee_amount
    from priced
)

select
    settlement_line_key,
    gateway_id,
    entity_code,
    fee_rule_id,
    case
        when expected_fee_amount is null then 'no_contract'
        when actual_fee_amount = expected_fee_amount then 'matched'
        when abs(actual_fee_amount - expected_fee_amount) <= tolerance_amount then 'matched_tolerance'
        else 'fee_variance'
    end as fee_status,
    nullif(payment_method_type, '') as payment_method_type,
    nullif(card_brand, '') as card_brand,
    card_country,
    nullif(card_region, '') as card_region,
    currency_code,
    basis_amount,
    expected_fee_amount,
    actual_fee_amount,
    cast(actual_fee_amount - expected_fee_amount as decimal(18, 4)) as difference_amount,
    accounting_date,
    booked_at
from expected
