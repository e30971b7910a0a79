{#- Fails for each month that does not begin with what the month before it (same entity and currency) ended with. -#}
{% test opening_is_last_closing(model) %}

with months as (
    select
        entity_code,
        currency_code,
        period_month,
        opening_amount,
        lag(closing_amount) over (partition by entity_code, currency_code order by period_month) as last_closing_amount
    from {{ model }}
)

select
    entity_code,
    currency_code,
    period_month
from months
where opening_amount <> last_closing_amount

{% endtest %}
