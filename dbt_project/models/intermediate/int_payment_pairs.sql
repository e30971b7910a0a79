{{ config(materialized='view') }}

-- Every pair of a charge and an order that a pass of the ladder found, with the verdict on it.
{% for name in var('correlation_passes') -%}
select
    payment_key,
    order_key,
    match_rule,
    verdict
from {{ ref(name) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
