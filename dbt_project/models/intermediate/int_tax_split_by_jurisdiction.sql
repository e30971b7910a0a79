-- Tax of orders and of refunds per jurisdiction: the rate's own country and state, or what its code says once the store
-- has deleted the rate. Several rates of one jurisdiction (state and city) make one row.
with tax_lines as (
    select
        'order' as subject,
        order_key as subject_key,
        store_id,
        rate_id,
        rate_code,
        line_tax_amount + shipping_tax_amount as tax_amount
    from {{ ref('stg_woocommerce__order_tax_lines') }}
    union all
    select
        'refund' as subject,
        refund_key as subject_key,
        store_id,
        rate_id,
        rate_code,
        -(line_tax_amount + shipping_tax_amount) as tax_amount
    from {{ ref('stg_woocommerce__refund_tax_lines') }}
),

placed as (
    select
        tax_lines.subject,
        tax_lines.subject_key,
        tax_lines.tax_amount,
        coalesce(
            rates.country_code, upper({{ regex_capture('tax_lines.rate_code', '^([A-Za-z]{2})-') }})
        ) as country_code,
        case
            when rates.country_code is not null then rates.state_code
            else upper({{ regex_capture('tax_lines.rate_code', '^[A-Za-z]{2}-([A-Z0-9]{1,3})-.+-[0-9]+$') }})
        end as state_code
    from tax_lines
    left join {{ ref('stg_woocommerce__tax_rates') }} as rates
        on tax_lines.store_id = rates.store_id and tax_lines.rate_id = rates.rate_id
)

select
    subject,
    subject_key,
    coalesce(country_code || coalesce('-' || state_code, ''), 'unknown') as tax_jurisdiction,
    cast(sum(tax_amount) as decimal(18, 4)) as tax_amount
from placed
group by subject, subject_key, country_code, state_code
