{#- Fails for each entry whose lines do not balance, in document or in base currency. -#}
{% test entries_balance(model) %}

select
    entry_id,
    sum(debit_amount - credit_amount) as difference_amount,
    sum(base_debit_amount - base_credit_amount) as base_difference_amount
from {{ model }}
group by entry_id
having sum(debit_amount - credit_amount) <> 0 or sum(base_debit_amount - base_credit_amount) <> 0

{% endtest %}

{#- Fails for each entry that touches two entities, two base currencies, or books that are not its entity's. -#}
{% test one_entity_per_entry(model) %}

select
    lines.entry_id,
    count(distinct lines.entity_code) as entity_count
from {{ model }} as lines
left join {{ ref('acc_journal_entries') }} as entries
    on lines.entry_id = entries.entry_id and lines.entity_code = entries.entity_code
left join {{ ref('dim_entities') }} as entities on lines.entity_code = entities.entity_code
group by lines.entry_id
having
    count(distinct lines.entity_code) <> 1
    or count(entries.entry_id) <> count(*)
    or count(case when lines.base_currency_code = entities.base_currency_code then 1 end) <> count(*)

{% endtest %}

{#- Fails for each entry whose rounding line takes more than rounding line by line and the entity's tolerance can leave
    over. -#}
{% test rounding_is_small(model, minor_units_per_line) %}

with entries as (
    select
        entry_id,
        min(entity_code) as entity_code,
        min(base_currency_code) as base_currency_code,
        count(*) as line_count,
        sum(case when account_role = 'rounding' then base_debit_amount + base_credit_amount else 0 end) as rounding_amount
    from {{ model }}
    group by entry_id
)

select entries.entry_id
from entries
left join {{ ref('stg_ops__currency_exponents') }} as digits
    on entries.base_currency_code = digits.currency_code and digits.provider = 'iso'
left join {{ ref('dim_entities') }} as entities on entries.entity_code = entities.entity_code
where
    entries.rounding_amount > {{ minor_units(
        "(entries.line_count * " ~ minor_units_per_line ~ " + entities.tolerance_minor_units)", "digits.exponent"
    ) }}

{% endtest %}

{#- Fails for each journal line that cannot be traced to a record. -#}
{% test every_line_has_a_source(model, lines) %}

select
    lines.entry_id,
    lines.line_no
from {{ lines }} as lines
left join {{ model }} as sources on lines.entry_id = sources.entry_id and lines.line_no = sources.line_no
where sources.entry_id is null

{% endtest %}
