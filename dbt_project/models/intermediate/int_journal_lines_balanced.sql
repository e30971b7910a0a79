-- All journal lines with their accounts and cost centres: what moves nothing in base currency is left out. What
-- converting and rounding line by line leaves over is a line of its own, in base currency (and in the document where
-- the store keeps more decimals than the currency has), never hidden in another.
with lines as (
    {% for model, entry_type in [
        ("sales", "'sale'"),
        ("revenue", "'revenue'"),
        ("refunds", "'refund'"),
        ("settlement", "case when entry_id like 'payout/%' then 'payout' else 'settlement_line' end"),
        ("disputes", "'dispute_loss'"),
        ("arrivals", "'payout_arrival'"),
        ("write_offs", "'write_off'"),
    ] -%}
    select
        entry_id,
        line_no,
        entity_code,
        {{ entry_type }} as entry_type,
        account_role,
        store_id,
        gateway_id,
        tax_jurisdiction,
        {{ 'product_class' if model in ('sales', 'revenue') else 'cast(null as varchar) as product_class' }},
        amount,
        currency_code,
        exchange_rate,
        base_amount,
        base_currency_code,
        description
    from {{ ref('int_journal_lines_' ~ model) }}
    where base_amount <> 0
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    lines.entry_id,
    lines.line_no,
    lines.entity_code,
    lines.account_role,
    lines.store_id,
    lines.gateway_id,
    lines.tax_jurisdiction,
    lines.product_class,
    cost_centres.cost_centre,
    mapping.account_code,
    mapping.account_problem,
    lines.amount,
    lines.currency_code,
    cast(lines.exchange_rate as decimal(28, 12)) as exchange_rate,
    lines.base_amount,
    lines.base_currency_code,
    lines.description
from lines
left join {{ ref('int_accounts_mapped') }} as mapping
    on
        lines.entity_code = mapping.entity_code
        and lines.account_role = mapping.account_role
        and lines.entry_type = mapping.entry_type
        and coalesce(lines.gateway_id, '') = mapping.gateway_id
        and coalesce(lines.tax_jurisdiction, '') = mapping.tax_jurisdiction
        and coalesce(lines.product_class, '') = mapping.product_class
left join {{ ref('int_cost_centres_assigned') }} as cost_centres
    on
        lines.entity_code = cost_centres.entity_code
        and coalesce(lines.store_id, '') = cost_centres.store_id
        and lines.account_role = cost_centres.account_role
        and coalesce(lines.product_class, '') = cost_centres.product_class
