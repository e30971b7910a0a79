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
        sum(case when account_role = 'rounding' then abs(base_amount) else 0 end) as rounding_amount
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

{#- Fails for each account, currency and day of an entity that posts summaries, of which these have other debits or
    credits than the entries in them. -#}
{% test totals_are_those_of_the_lines(model, entries) %}

with summarising as (
    select entity_code
    from {{ ref('stg_ops__entities') }}
    where posting = 'summary'
),

posted as (
    select
        heads.posting_date,
        lines.entity_code,
        lines.account_code,
        lines.currency_code,
        sum(lines.debit_amount) as debit_amount,
        sum(lines.credit_amount) as credit_amount,
        sum(lines.base_debit_amount) as base_debit_amount,
        sum(lines.base_credit_amount) as base_credit_amount
    from summarising
    inner join {{ model }} as lines on summarising.entity_code = lines.entity_code
    inner join {{ entries }} as heads on lines.entry_id = heads.entry_id
    group by heads.posting_date, lines.entity_code, lines.account_code, lines.currency_code
),

evidence as (
    select
        heads.posting_date,
        lines.entity_code,
        lines.account_code,
        lines.currency_code,
        sum(greatest(lines.amount, 0)) as debit_amount,
        sum(greatest(-lines.amount, 0)) as credit_amount,
        sum(greatest(lines.base_amount, 0)) as base_debit_amount,
        sum(greatest(-lines.base_amount, 0)) as base_credit_amount
    from summarising
    inner join {{ ref('int_journal_lines_balanced') }} as lines on summarising.entity_code = lines.entity_code
    inner join {{ ref('int_journal_entries_judged') }} as heads on lines.entry_id = heads.entry_id
    group by heads.posting_date, lines.entity_code, lines.account_code, lines.currency_code
)

select
    coalesce(posted.entity_code, evidence.entity_code) as entity_code,
    coalesce(posted.posting_date, evidence.posting_date) as posting_date,
    coalesce(posted.account_code, evidence.account_code) as account_code
from posted
full outer join evidence
    on
        posted.entity_code = evidence.entity_code
        and posted.posting_date = evidence.posting_date
        and coalesce(posted.account_code, '') = coalesce(evidence.account_code, '')
        and posted.currency_code = evidence.currency_code
where
    coalesce(posted.debit_amount, 0) <> coalesce(evidence.debit_amount, 0)
    or coalesce(posted.credit_amount, 0) <> coalesce(evidence.credit_amount, 0)
    or coalesce(posted.base_debit_amount, 0) <> coalesce(evidence.base_debit_amount, 0)
    or coalesce(posted.base_credit_amount, 0) <> coalesce(evidence.base_credit_amount, 0)

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

{#- Fails for each order of which more was earned and given back than was deposited, or whose revenue and shipping are
    not what was earned. -#}
{% test no_deposit_is_overdrawn(model) %}

with used as (
    select
        order_key,
        sum(returned_amount + released_amount) as used_amount,
        sum(released_amount - revenue_amount - shipping_amount) as unsplit_amount
    from {{ model }}
    group by order_key
)

select used.order_key
from used
inner join {{ ref('int_sales_recognised') }} as sales on used.order_key = sales.order_key
where
    abs(used.used_amount) > abs(sales.revenue_amount + sales.shipping_amount)
    or used.unsplit_amount <> 0

{% endtest %}
