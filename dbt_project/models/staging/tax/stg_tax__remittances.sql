select
    tax_engine_id || ':' || upper(jurisdiction) || ':' || cast(period_start as varchar) || ':'
    || cast(period_end as varchar) || ':' || reference as remittance_key,
    tax_engine_id,
    upper(jurisdiction) as tax_jurisdiction,
    period_start as period_start_date,
    period_end as period_end_date,
    nullif(reference, '') as remittance_reference,
    filed_at as filed_date,
    due_date,
    paid_at as paid_date,
    upper(currency) as currency_code,
    cast(due_amount as decimal(18, 4)) as due_amount,
    cast(coalesce(discount_amount, 0) as decimal(18, 4)) as discount_amount,
    cast(coalesce(paid_amount, 0) as decimal(18, 4)) as paid_amount,
    paid_at is not null as is_paid,
    file_name,
    file_sha256,
    {{ utc_timestamp('_loaded_at') }} as loaded_at
from {{ source('tax', 'remittances') }}
