{#- As regex_capture, but the pattern is an expression too: it is a setting of each gateway. -#}
{% macro regex_capture_by(text, pattern) -%}{{ adapter.dispatch("regex_capture_by", "retail")(text, pattern) }}{%- endmacro %}
{% macro default__regex_capture_by(text, pattern) -%}substring({{ text }} from {{ pattern }}){%- endmacro %}
{% macro duckdb__regex_capture_by(text, pattern) -%}
    nullif(regexp_extract({{ text }}, {{ pattern }}, 1), '')
{%- endmacro %}
