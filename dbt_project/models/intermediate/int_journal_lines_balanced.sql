-- All journal lines with their accounts: what moves nothing in base currency is left out. What converting and rounding
-- line by line leaves over is a line of its own, in base currency (and in the document where the store keeps more
-- decimals than the currency has), never hidden in another.
with lines as (
    {% for model in ["sales", "revenue", "refunds", "settlement", "disputes", "arrivals"] -%}
    select
        entry_id,
        line_no,
        entity_code,
        account_role,
        gateway_id,
        tax_jurisdiction,
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
    lines.gateway_id,
    lines.tax_jurisdiction,
    mapping.account_code,
    lines.amount,
    lines.currency_code,
    cast(lines.exchange_rate as decimal(28, 12)) as exchange_rate,
    lines.base_amount,
    lines.base_currency_code,
    lines.description
from lines
left join {{ ref('account_mapping') }} as mapping
    on
        lines.entity_code = mapping.entity_code
        and lines.account_role = mapping.account_role
        and coalesce(mapping.gateway_id, '')
        = case
            when lines.account_role in ('gateway_clearing', 'gateway_fees', 'dispute_fees', 'cash_in_transit')
                then lines.gateway_id
            else ''
        end
        and coalesce(mapping.tax_jurisdiction, '') = coalesce(lines.tax_jurisdiction, '')
