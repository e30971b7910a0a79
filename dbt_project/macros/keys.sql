{#- The customer of an order: the account, or for a guest the hash of the e-mail address; null without either. -#}
{% macro customer_key(orders) -%}
    case
        when {{ orders }}.customer_id > 0
            then {{ orders }}.store_id || ':' || cast({{ orders }}.customer_id as varchar)
        when {{ orders }}.billing_email <> ''
            then {{ orders }}.store_id || ':guest:' || {{ sha256_text("lower(trim(" ~ orders ~ ".billing_email))") }}
    end
{%- endmacro %}
