{{ config(materialized='view') }}

-- The books' rates with the days they hold: from their date until the next one of the pair.
with latest as (
    select
        erp_id,
        from_currency_code,
        to_currency_code,
        exchange_rate,
        valid_from,
        row_number() over (
            partition by erp_id, from_currency_code, to_currency_code, valid_from
            order by erp_modified desc, rate_name desc
        ) as preference
    from {{ ref('stg_erp__exchange_rates') }}
)

select
    erp_id,
    from_currency_code,
    to_currency_code,
    exchange_rate,
    valid_from,
    lead(valid_from) over (
        partition by erp_id, from_currency_code, to_currency_code order by valid_from
    ) as valid_until
from latest
where preference = 1
