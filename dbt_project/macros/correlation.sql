{#- An address for comparison: no scheme, no www, no trailing slash, lower case. -#}
{% macro normalised_url(column) -%}
    rtrim({{ regex_remove("lower(" ~ column ~ ")", "^https?://(www[.])?") }}, '/')
{%- endmacro %}

{#- What the first so many passes found: one row per pair of a charge and an order. -#}
{% macro earlier_pairs(pass_count) -%}
    {% for name in var("correlation_passes")[:pass_count] -%}
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

{#- CTEs that each pass starts with: earlier_pairs, and open_payments, the captured payments that no earlier pass decided.
    Leaves a comma at the end. -#}
{% macro pass_input(earlier) -%}
earlier_pairs as (
    {{ earlier_pairs(earlier) | indent(4) }}
),

open_payments as (
    select payments.*
    from {{ ref('int_payments_prepared') }} as payments
    left join (select distinct payment_key from earlier_pairs) as decided on payments.payment_key = decided.payment_key
    where decided.payment_key is null and payments.is_payment and payments.is_live
),
{%- endmacro %}

{#- The verdict on each candidate pair of a pass (CTE candidates: payment_key, order_key). A key that is used twice, on
    either side, leaves both sides ambiguous; a charge for an order that an earlier pass matched is a duplicate. -#}
{% macro pass_output(rule) -%}
decided_orders as (
    select
        earlier_pairs.order_key,
        count(case when earlier_pairs.verdict in ('matched', 'combined') then 1 end) > 0 as is_matched
    from earlier_pairs
    where earlier_pairs.order_key in (select candidates.order_key from candidates)
    group by earlier_pairs.order_key
),

counted as (
    select
        payment_key,
        order_key,
        count(*) over (partition by payment_key) as orders_of_payment,
        count(*) over (partition by order_key) as payments_of_order
    from candidates
)

select
    counted.payment_key,
    counted.order_key,
    '{{ rule }}' as match_rule,
    case
        when counted.orders_of_payment > 1 then 'ambiguous'
        when decided_orders.is_matched then 'duplicate'
        when decided_orders.order_key is not null then 'ambiguous'
        when counted.payments_of_order > 1 then 'ambiguous'
        else 'matched'
    end as verdict
from counted
left join decided_orders on counted.order_key = decided_orders.order_key
{%- endmacro %}

{#- Whether a text may name several orders, as cheaply as can be told. -#}
{% macro lists_orders(column) -%}
    (
        {{ column }} like '%,%' or {{ column }} like '%;%' or {{ column }} like '%&%' or {{ column }} like '%+%'
        or {{ column }} like '%|%'
    )
{%- endmacro %}
