{#- Plugin values of WooCommerce that are lists, one dispatched macro for each engine. -#}

{#- The elements of a JSON list as rows of JSON text. PHP writes a list from which an element was removed as an object
    with numbers for names; anything else gives no row. -#}
{% macro json_elements(column) -%}{{ adapter.dispatch("json_elements", "retail")(column) }}{%- endmacro %}
{% macro default__json_elements(column) -%}
    unnest({{ default__json_items(column) }}) #>> '{}'
{%- endmacro %}
{% macro duckdb__json_elements(column) -%}
    unnest(
        case left(ltrim({{ column }}), 1)
            when '[' then json_extract_string({{ column }}, '$[*]')
            when '{' then json_extract_string({{ column }}, '$.*')
        end
    )
{%- endmacro %}

{#- One member of a JSON object as text. -#}
{% macro json_member(column, name) -%}{{ adapter.dispatch("json_member", "retail")(column, name) }}{%- endmacro %}
{% macro default__json_member(column, name) -%}
    (cast({{ column }} as json) ->> '{{ name }}')
{%- endmacro %}
{% macro duckdb__json_member(column, name) -%}
    json_extract_string({{ column }}, '$.{{ name }}')
{%- endmacro %}

{#- Whether a record has a tombstone: one that is not older than the record, since a restored backup brings ids back. -#}
{% macro woo_has_tombstone(records, tombstones) -%}
    coalesce({{ tombstones }}.is_deleted and {{ tombstones }}._loaded_at >= {{ records }}._loaded_at, false)
{%- endmacro %}

{#- What of a fee line, of an order or a refund, is a tip that is owed to staff: by the names and policy of the entity. -#}
{% macro owed_tip(fees, entities) -%}
    case
        when
            {{ entities }}.tips = 'staff'
            and strpos({{ entities }}.tip_names, '|' || lower(trim({{ fees }}.line_name)) || '|') > 0
            then {{ fees }}.net_amount
        else 0
    end
{%- endmacro %}

{#- The condition that joins an order of raw to the canary it is: it carries a token of ours, for its store, and there is no
    money in it at all. One that has some is an order, whatever it carries: nobody hides a sale from the books by it. -#}
{% macro joins_canary(orders, canaries) -%}
    {{ orders }}.store_id = {{ canaries }}.store_id
        and {{ woo_meta_value(orders ~ '.meta_data', '_retail_canary') }} = {{ canaries }}.token
        and {{ orders }}.total = 0
        and coalesce({{ orders }}.total_tax, 0) = 0
        and coalesce({{ orders }}.shipping_total, 0) = 0
        and {{ orders }}.date_paid_gmt is null
        and coalesce(trim({{ orders }}.transaction_id), '') = ''
{%- endmacro %}
