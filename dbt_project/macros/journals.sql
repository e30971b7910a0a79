{#- What an entry says of itself, by its type; in the head and in each line. -#}
{% macro entry_description(entry_type) -%}
    {%- set texts = {
        "sale": "'Sale ' || order_number || ' (' || store_id || ')'",
        "refund": "'Credit note for ' || order_number || ' (' || store_id || ')'",
        "settlement": "case entry_type when 'payout' then 'Payout ' else line_type || ' ' end"
            ~ " || line_id || ' (' || gateway_id || ')'",
        "revenue": "'Revenue of ' || order_number || ' (' || store_id || ')'",
        "payout_arrival": "'Payout ' || payout_id || ' on the bank (' || gateway_id || ')'",
        "dispute_loss": "'Dispute lost: ' || dispute_key",
        "write_off": "'Written off: ' || exception_id",
    } -%}
    {{ texts[entry_type] }}
{%- endmacro %}

{#- CTE lines: the lines of entries, numbered, with what converting and rounding line by line leaves over as the last.
    All of an entry is in one row, so nothing needs sorting, and its lines come out together, which compresses well. CTE
    entries has a row for each entry: entry_id, entity_code, store_id, gateway_id, currency_code, base_currency_code, exchange_rate,
    description, and of each piece two columns, <name>_amount and base_<name>_amount, signed. pieces: name and role (an
    expression) of each line, in order; a rate of its own, and when it is a line at all. The piece "tax" is made of
    several, of the CTE taxes: entry_id, tax_number (among those that are not zero), tax_jurisdiction, amount,
    base_amount; entries then has their count as tax_lines. So is the piece "class", of the CTE classes, with
    product_class. A line of zero is never posted and has no number. -#}
{% macro entry_lines(pieces) -%}
{% set several = {"tax": "taxes", "class": "classes"} -%}
{% set shown = [] -%}
{% set before = ["0"] -%}
{% for piece in pieces -%}
{% if piece.name not in several -%}
{% do shown.append({
    "slot": loop.index,
    "line_no": before | join(" + ") ~ " + lines_" ~ loop.index,
    "role": piece.role,
    "amount": piece.name ~ "_amount",
    "rate": piece.rate or "exchange_rate",
    "base": "base_" ~ piece.name ~ "_amount",
    "when": piece.when or "true",
}) -%}
{% endif -%}
{% do before.append("lines_" ~ loop.index) -%}
{% endfor -%}
{% do shown.append({
    "slot": 9,
    "line_no": before | join(" + ") ~ " + 1",
    "role": "'rounding'",
    "amount": "-left_amount",
    "rate": "exchange_rate",
    "base": "-base_left_amount",
    "when": "base_left_amount <> 0",
}) -%}
counted as (
    select
        *,
        {% for piece in pieces -%}
        {% if piece.name in several -%}
        coalesce({{ piece.name }}_lines, 0) as lines_{{ loop.index }},
        {% else -%}
        case when base_{{ piece.name }}_amount <> 0 then 1 else 0 end as lines_{{ loop.index }},
        {% endif -%}
        {% endfor -%}
        {% for piece in pieces -%}
        {{ "" if loop.first else "+ " }}coalesce(case when base_{{ piece.name }}_amount <> 0 then {{ piece.name }}_amount end, 0)
        {% endfor -%}
        as left_amount,
        {% for piece in pieces -%}
        {{ "" if loop.first else "+ " }}coalesce(base_{{ piece.name }}_amount, 0)
        {% endfor -%}
        as base_left_amount
    from entries
),

slots (slot) as (
    values
    {% for line in shown -%}
    ({{ line.slot }}){{ "," if not loop.last }}
    {% endfor -%}
),

lines as (
    select
        counted.entry_id,
        counted.entity_code,
        case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.line_no }} {% endfor %}end as line_no,
        case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.role }} {% endfor %}end as account_role,
        counted.store_id,
        case when slots.slot <> 9 then counted.gateway_id end as gateway_id,
        cast(null as varchar) as tax_jurisdiction,
        cast(null as varchar) as product_class,
        cast(
            case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.amount }} {% endfor %}end
            as decimal(18, 4)
        ) as amount,
        counted.currency_code,
        case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.rate }} {% endfor %}end as exchange_rate,
        cast(
            case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.base }} {% endfor %}end
            as decimal(18, 4)
        ) as base_amount,
        counted.base_currency_code,
        counted.description
    from counted
    cross join slots
    where case slots.slot {% for line in shown %}when {{ line.slot }} then {{ line.when }} {% endfor %}end
    {% for piece in pieces if piece.name in several -%}
    {% set pieces_cte = several[piece.name] -%}
    union all
    select
        counted.entry_id,
        counted.entity_code,
        {% for earlier in range(1, pieces.index(piece) + 1) %}counted.lines_{{ earlier }} + {% endfor %}{{ pieces_cte }}.{{ piece.name }}_number as line_no,
        {{ piece.role }} as account_role,
        counted.store_id,
        counted.gateway_id,
        {{ "taxes.tax_jurisdiction" if piece.name == "tax" else "cast(null as varchar) as tax_jurisdiction" }},
        {{ "classes.product_class" if piece.name == "class" else "cast(null as varchar) as product_class" }},
        {{ pieces_cte }}.amount,
        counted.currency_code,
        counted.exchange_rate,
        {{ pieces_cte }}.base_amount,
        counted.base_currency_code,
        counted.description
    from {{ pieces_cte }}
    inner join counted on {{ pieces_cte }}.entry_id = counted.entry_id
    {% endfor %}
)
{%- endmacro %}

{#- Revenue by class of goods of the entries of a kind, credits negative, and what of each entry has a class. -#}
{% macro revenue_classes(kind) -%}
classes as (
    select
        entry_id,
        product_class,
        -amount as amount,
        -base_amount as base_amount,
        count(case when base_amount <> 0 then 1 end) over (
            partition by entry_id order by product_class
        ) as class_number
    from {{ ref('int_revenue_classed') }}
    where entry_id like '{{ kind }}/%'
),

-- What converts to nothing stays with the revenue of no class.
class_totals as (
    select
        entry_id,
        count(case when base_amount <> 0 then 1 end) as class_lines,
        sum(case when base_amount <> 0 then amount else 0 end) as class_amount,
        sum(base_amount) as base_class_amount
    from classes
    group by entry_id
)
{%- endmacro %}
