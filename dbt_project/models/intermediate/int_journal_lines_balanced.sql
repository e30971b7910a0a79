-- All journal lines with their accounts. What converting and rounding line by line leaves over is a line of its own, in
-- base currency (and in the document where the store keeps more decimals than the currency has), never hidden in
-- another.
with drafted as (
    {% for model in ["sales", "refunds", "settlement", "disputes", "arrivals"] -%}
    select
        entry_id,
        line_order,
        account_role,
        gateway_id,
        tax_jurisdiction,
        amount,
        currency_code,
        exchange_rate,
        base_amount
    from {{ ref('int_journal_lines_' ~ model) }}
    where base_amount <> 0
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

differences as (
    select
        entry_id,
        min(currency_code) as currency_code,
        min(exchange_rate) as exchange_rate,
        -sum(amount) as amount,
        -sum(base_amount) as base_amount
    from drafted
    group by entry_id
    having sum(base_amount) <> 0
),

completed as (
    select
        entry_id,
        line_order,
        account_role,
        gateway_id,
        tax_jurisdiction,
        amount,
        currency_code,
        exchange_rate,
        base_amount
    from drafted
    union all
    select
        entry_id,
        9 as line_order,
        'rounding' as account_role,
        cast(null as varchar) as gateway_id,
        cast(null as varchar) as tax_jurisdiction,
        cast(amount as decimal(18, 4)) as amount,
        currency_code,
        exchange_rate,
        cast(base_amount as decimal(18, 4)) as base_amount
    from differences
)

select
    completed.entry_id,
    cast(
        row_number() over (
            partition by completed.entry_id order by completed.line_order, completed.tax_jurisdiction
        ) as integer
    ) as line_no,
    entries.entity_code,
    completed.account_role,
    completed.gateway_id,
    completed.tax_jurisdiction,
    mapping.account_code,
    completed.amount,
    completed.currency_code,
    cast(completed.exchange_rate as decimal(28, 12)) as exchange_rate,
    completed.base_amount,
    entries.base_currency_code,
    entries.description
from completed
inner join {{ ref('int_journal_entries_drafted') }} as entries on completed.entry_id = entries.entry_id
left join {{ ref('account_mapping') }} as mapping
    on
        entries.entity_code = mapping.entity_code
        and completed.account_role = mapping.account_role
        and coalesce(mapping.gateway_id, '')
        = case
            when completed.account_role in ('gateway_clearing', 'gateway_fees', 'dispute_fees', 'cash_in_transit')
                then completed.gateway_id
            else ''
        end
        and coalesce(mapping.tax_jurisdiction, '') = coalesce(completed.tax_jurisdiction, '')
