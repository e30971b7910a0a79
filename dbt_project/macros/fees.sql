{#- Where a card is from, seen from a country: domestic, eea or international; null when the card does not say. -#}
{% macro card_region(card_country, home_country) -%}
    case
        when {{ card_country }} is null then cast(null as varchar)
        when {{ card_country }} = {{ home_country }} then 'domestic'
        when {{ card_country }} in (
            'AT', 'BE', 'BG', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GR', 'HR', 'HU', 'IE', 'IS', 'IT', 'LI',
            'LT', 'LU', 'LV', 'MT', 'NL', 'NO', 'PL', 'PT', 'RO', 'SE', 'SI', 'SK'
        ) then 'eea'
        else 'international'
    end
{%- endmacro %}
