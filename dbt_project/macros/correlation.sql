{#- An address for comparison: no scheme, no trailing slash, lower case. -#}
{% macro normalised_url(column) -%}
    rtrim({{ regex_remove("lower(" ~ column ~ ")", "^https?://") }}, '/')
{%- endmacro %}

{#- The ladder of correlation, from certain to suggestive. -#}
{% macro correlation_passes() -%}
    {{ return([
        "int_payments_pass_1_gateway_id",
        "int_payments_pass_2_order_key",
        "int_payments_pass_3_order_reference",
        "int_payments_pass_4_merchant_reference",
        "int_payments_pass_5_description",
    ]) }}
{%- endmacro %}

{#- What the first so many passes found: one row per pair of a charge and an order. -#}
{% macro earlier_pairs(pass_count) -%}
    {% for name in correlation_passes()[:pass_count] -%}
    select
        payment_key,
        order_key,
        verdict
    from {{ ref(name) }}
    {% if not loop.last %}union all{% endif %}
    {% else -%}
    select
        cast(null as varchar) as payment_key,
        cast(null as varchar) as order_key,
        cast(null as varchar) as verdict
    where false
    {% endfor %}
{%- endmacro %}

{#- CTEs that each pass starts with: open_payments, which no earlier pass decided, and orders, all of them, with what an
    earlier pass decided about them (taken_as). Leaves a comma at the end. -#}
{% macro pass_input(earlier) -%}
earlier_pairs as (
    {{ earlier_pairs(earlier) | indent(4) }}
),

decided_orders as (
    select
        order_key,
        case when count(case when verdict = 'matched' then 1 end) > 0 then 'matched' else 'ambiguous' end as taken_as
    from earlier_pairs
    group by order_key
),

open_payments as (
    select payments.*
    from {{ ref('int_payments_prepared') }} as payments
    left join (select distinct payment_key from earlier_pairs) as decided on payments.payment_key = decided.payment_key
    where decided.payment_key is null and payments.is_payment and payments.is_live
),

orders as (
    select
        matchable.*,
        decided_orders.taken_as
    from {{ ref('int_orders_matchable') }} as matchable
    left join decided_orders on matchable.order_key = decided_orders.order_key
),
{%- endmacro %}

{#- The verdict on each candidate pair of a pass (CTE candidates: payment_key, order_key, taken_as). A key that is used
    twice, on either side, leaves both sides ambiguous; a charge for an order that an earlier pass matched is a duplicate. -#}
{% macro pass_output(rule) -%}
counted as (
    select
        payment_key,
        order_key,
        taken_as,
        count(*) over (partition by payment_key) as orders_of_payment,
        count(*) over (partition by order_key) as payments_of_order
    from candidates
)

select
    payment_key,
    order_key,
    '{{ rule }}' as match_rule,
    case
        when orders_of_payment > 1 then 'ambiguous'
        when taken_as = 'matched' then 'duplicate'
        when taken_as = 'ambiguous' then 'ambiguous'
        when payments_of_order > 1 then 'ambiguous'
        else 'matched'
    end as verdict
from counted
{%- endmacro %}
