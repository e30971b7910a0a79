{#- What engines do differently, one dispatched macro each. Timestamps in models are UTC without a zone. -#}

{#- A timestamp with time zone as a UTC timestamp without one. -#}
{% macro utc_timestamp(column) -%}{{ adapter.dispatch("utc_timestamp", "retail")(column) }}{%- endmacro %}
{% macro default__utc_timestamp(column) -%}cast(timezone('UTC', {{ column }}) as timestamp){%- endmacro %}

{#- Unix seconds as a UTC timestamp. -#}
{% macro epoch_to_utc(column) -%}{{ adapter.dispatch("epoch_to_utc", "retail")(column) }}{%- endmacro %}
{% macro default__epoch_to_utc(column) -%}timezone('UTC', to_timestamp({{ column }})){%- endmacro %}
{% macro duckdb__epoch_to_utc(column) -%}make_timestamp(cast({{ column }} as bigint) * 1000000){%- endmacro %}

{#- The calendar day of a UTC timestamp in a time zone (an expression): the accounting date. -#}
{% macro local_date(column, zone) -%}{{ adapter.dispatch("local_date", "retail")(column, zone) }}{%- endmacro %}
{% macro default__local_date(column, zone) -%}
    cast(timezone({{ zone }}, timezone('UTC', {{ column }})) as date)
{%- endmacro %}

{#- A UTC timestamp or a date, some days later (a column or a number). -#}
{% macro add_days(column, days) -%}{{ adapter.dispatch("add_days", "retail")(column, days) }}{%- endmacro %}
{% macro default__add_days(column, days) -%}({{ column }} + {{ days }} * interval '1 day'){%- endmacro %}

{#- Whole days from one date to another. -#}
{% macro days_between(first, last) -%}{{ adapter.dispatch("days_between", "retail")(first, last) }}{%- endmacro %}
{% macro default__days_between(first, last) -%}(cast({{ last }} as date) - cast({{ first }} as date)){%- endmacro %}

{#- Seconds from one timestamp to another. -#}
{% macro seconds_between(first, last) -%}{{ adapter.dispatch("seconds_between", "retail")(first, last) }}{%- endmacro %}
{% macro default__seconds_between(first, last) -%}
    cast(extract(epoch from ({{ last }} - {{ first }})) as bigint)
{%- endmacro %}

{#- The first group of a regular expression; null without a match. -#}
{% macro regex_capture(column, pattern) -%}{{ adapter.dispatch("regex_capture", "retail")(column, pattern) }}{%- endmacro %}
{% macro default__regex_capture(column, pattern) -%}substring({{ column }} from '{{ pattern }}'){%- endmacro %}
{% macro duckdb__regex_capture(column, pattern) -%}
    nullif(regexp_extract({{ column }}, '{{ pattern }}', 1), '')
{%- endmacro %}

{#- A text without what a regular expression matches at its first place. -#}
{% macro regex_remove(column, pattern) -%}{{ adapter.dispatch("regex_remove", "retail")(column, pattern) }}{%- endmacro %}
{% macro default__regex_remove(column, pattern) -%}regexp_replace({{ column }}, '{{ pattern }}', ''){%- endmacro %}

{#- SHA-256 of a text, lower-case hexadecimal. -#}
{% macro sha256_text(column) -%}{{ adapter.dispatch("sha256_text", "retail")(column) }}{%- endmacro %}
{% macro default__sha256_text(column) -%}encode(sha256(convert_to({{ column }}, 'UTF8')), 'hex'){%- endmacro %}
{% macro duckdb__sha256_text(column) -%}sha256({{ column }}){%- endmacro %}

{#- The distinct values of a text expression in one text, sorted, so that the same rows give the same bytes. -#}
{% macro sorted_list(expression, separator=", ") -%}{{ adapter.dispatch("sorted_list", "retail")(expression, separator) }}{%- endmacro %}
{% macro default__sorted_list(expression, separator) -%}
    string_agg(distinct {{ expression }}, '{{ separator }}' order by {{ expression }})
{%- endmacro %}

{#- One row per word of a text: an expression for the select list. A word ends where no letter, digit or _ stands. -#}
{% macro words_of(column) -%}{{ adapter.dispatch("words_of", "retail")(column) }}{%- endmacro %}
{% macro default__words_of(column) -%}regexp_split_to_table({{ column }}, '[^A-Za-z0-9_]+'){%- endmacro %}
{% macro duckdb__words_of(column) -%}
    unnest(string_split_regex({{ column }}, '[^A-Za-z0-9_]+'))
{%- endmacro %}

{#- The same for what stands between blanks. -#}
{% macro tokens_of(column) -%}{{ adapter.dispatch("tokens_of", "retail")(column) }}{%- endmacro %}
{% macro default__tokens_of(column) -%}regexp_split_to_table({{ column }}, ' +'){%- endmacro %}
{% macro duckdb__tokens_of(column) -%}
    unnest(string_split_regex({{ column }}, ' +'))
{%- endmacro %}

{#- A reference as it is compared: capitals, without punctuation, of which banks keep some and drop some. -#}
{% macro bare_reference(column) -%}upper(regexp_replace({{ column }}, '[^A-Za-z0-9_]', '', 'g')){%- endmacro %}

{#- A JSON object as text, from pairs of a name and a text, number or boolean expression; amounts go in as text. -#}
{% macro json_text(pairs) -%}{{ adapter.dispatch("json_text", "retail")(pairs) }}{%- endmacro %}
{% macro default__json_text(pairs) -%}
    {#- json_build_object puts blanks around colons; an array of one takes a value of any type. -#}
    concat('{', {% for name, value in pairs %}'"{{ name }}":', json_build_array({{ value }}) -> 0, {{ "',', " if not loop.last }}{% endfor %}'}')
{%- endmacro %}
{% macro duckdb__json_text(pairs) -%}
    cast(json_object({% for name, value in pairs %}'{{ name }}', {{ value }}{{ ", " if not loop.last }}{% endfor %}) as varchar)
{%- endmacro %}

{#- One value of WooCommerce's meta_data, by its key. It is a list of {id, key, value}; some plugins make the list an
    object with numbers for names. The text test first spares most rows the parsing. -#}
{% macro woo_meta_value(column, key) -%}{{ adapter.dispatch("woo_meta_value", "retail")(column, key) }}{%- endmacro %}
{% macro default__woo_meta_value(column, key) -%}
    case
        when strpos({{ column }}, '"{{ key }}"') > 0
            then (
                select element.item ->> 'value'
                from unnest({{ default__json_items(column) }}) with ordinality as element (item, place)
                where element.item ->> 'key' = '{{ key }}'
                order by element.place
                limit 1
            )
    end
{%- endmacro %}
{#- What is in a JSON list or object, as an array. Not jsonb, which writes what is nested in another way. -#}
{% macro default__json_items(column) -%}
    case left(ltrim({{ column }}), 1)
        when '[' then array(select item from json_array_elements(cast({{ column }} as json)) as element (item))
        when '{' then array(select item from json_each(cast({{ column }} as json)) as element (name, item))
    end
{%- endmacro %}
{% macro duckdb__woo_meta_value(column, key) -%}
    case
        when not contains({{ column }}, '"{{ key }}"') then null
        when starts_with({{ column }}, '[')
            then list_extract(
                list_filter(
                    from_json({{ column }}, '[{"key": "VARCHAR", "value": "VARCHAR"}]'), lambda item : item.key = '{{ key }}'
                ), 1
            ).value
        else json_extract_string(
            list_extract(
                list_filter(
                    json_extract({{ column }}, '$.*'), lambda item : json_extract_string(item, '$.key') = '{{ key }}'
                ), 1
            ), '$.value'
        )
    end
{%- endmacro %}

{#- An amount times part / whole (of the same kind, above zero), to four decimals, half away from zero; exact, as DuckDB's
    "/" is not. -#}
{% macro proportion(amount, part, whole) -%}{{ adapter.dispatch("proportion", "retail")(amount, part, whole) }}{%- endmacro %}
{% macro default__proportion(amount, part, whole) -%}
    cast(round(({{ amount }}) * ({{ part }}) / ({{ whole }}), 4) as decimal(18, 4))
{%- endmacro %}
{% macro duckdb__proportion(amount, part, whole) -%}
    {%- set amount = "cast((" ~ amount ~ ") * 10000 as hugeint)" -%}
    {%- set part = "cast((" ~ part ~ ") * 10000 as hugeint)" -%}
    {%- set whole = "cast((" ~ whole ~ ") * 10000 as hugeint)" -%}
    {{ from_minor(
        "(2 * abs(" ~ amount ~ ") * " ~ part ~ " + " ~ whole ~ ") // (2 * " ~ whole ~ ") * sign(" ~ amount ~ ")", 4
    ) }}
{%- endmacro %}

{#- One row per day from one timestamp to another: an expression for the select list. -#}
{% macro each_day(first, last) -%}{{ adapter.dispatch("each_day", "retail")(first, last) }}{%- endmacro %}
{% macro default__each_day(first, last) -%}
    generate_series(date_trunc('day', {{ first }}), date_trunc('day', {{ last }}), interval '1 day')
{%- endmacro %}
{% macro duckdb__each_day(first, last) -%}
    unnest(generate_series(date_trunc('day', {{ first }}), date_trunc('day', {{ last }}), interval 1 day))
{%- endmacro %}
