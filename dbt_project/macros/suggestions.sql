{#- CTEs of the last pass, which only suggests: for each payment of CTE payments (payment_key, gateway_id, currency_code,
    captured_amount, created_at) the likeliest order at its gateway of the same amount within a week, and how much speaks
    for it. Leaves a CTE suggested, no comma. -#}
{% macro suggested_orders() -%}
offered as (
    select
        matchable.order_key,
        matchable.gateway_id,
        orders.currency_code,
        cast({{ round_money('orders.total_amount', 'orders.currency_digits') }} as decimal(18, 4)) as total_amount,
        orders.created_at,
        lower(trim(orders.billing_email)) as email
    from orders
    inner join {{ ref('int_orders_matchable') }} as matchable on orders.order_key = matchable.order_key
),

paired as (
    select
        payments.payment_key,
        offered.order_key,
        abs({{ seconds_between('offered.created_at', 'payments.created_at') }}) as seconds_apart,
        case
            when payers.payer_email is null or coalesce(offered.email, '') = '' then 'payer unknown'
            when payers.payer_email = offered.email then 'same payer'
            else 'another payer'
        end as payer_evidence
    from payments
    inner join offered
        on
            payments.gateway_id = offered.gateway_id
            and payments.currency_code = offered.currency_code
            and payments.captured_amount = offered.total_amount
    left join {{ ref('int_payers_unioned') }} as payers on payments.payment_key = payers.payment_key
    where offered.created_at between {{ add_days('payments.created_at', '-7') }} and {{ add_days('payments.created_at', '7') }}
),

ranked as (
    select
        payment_key,
        order_key,
        seconds_apart,
        payer_evidence,
        case
            when seconds_apart <= 900 then 'within minutes'
            when seconds_apart <= 86400 then 'within a day'
            else 'within a week'
        end as time_evidence,
        count(*) over (partition by payment_key) as candidate_count,
        row_number() over (
            partition by payment_key
            order by
                case payer_evidence when 'same payer' then 0 when 'payer unknown' then 1 else 2 end,
                seconds_apart,
                order_key
        ) as place
    from paired
),

suggested as (
    select
        payment_key,
        order_key,
        seconds_apart,
        payer_evidence,
        time_evidence,
        case when candidate_count = 1 then 'only candidate' else 'several candidates' end as candidate_evidence,
        candidate_count,
        payer_evidence || ', ' || time_evidence || ', '
        || case when candidate_count = 1 then 'only candidate' else 'several candidates' end as evidence_class
    from ranked
    where place = 1
)
{%- endmacro %}

{#- The lower end of the 95 % interval of a share (Wilson, 1927): what few cases prove is little, however good. -#}
{% macro wilson_lower(hits, cases) -%}
    (
        {{ hits }} / cast({{ cases }} as double precision) + 1.9207 / {{ cases }}
        - 1.96 * sqrt(
            {{ hits }} / cast({{ cases }} as double precision) * (1 - {{ hits }} / cast({{ cases }} as double precision)) / {{ cases }}
            + 0.9604 / (cast({{ cases }} as double precision) * {{ cases }})
        )
    ) / (1 + 3.8416 / {{ cases }})
{%- endmacro %}
