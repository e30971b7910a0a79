select
    entity_code,
    tax_jurisdiction,
    period_month,
    currency_code,
    cast(sum(store_tax_amount) as decimal(18, 4)) as store_tax_amount,
    cast(sum(case when has_engine then engine_tax_amount end) as decimal(18, 4)) as engine_tax_amount,
    cast(sum(ledger_tax_amount) as decimal(18, 4)) as ledger_tax_amount,
    cast(sum(case when has_engine then store_difference_amount end) as decimal(18, 4)) as store_difference_amount,
    cast(sum(case when has_engine then ledger_difference_amount end) as decimal(18, 4)) as ledger_difference_amount,
    -- Part of the difference to the ledger that is no error: sales that are not recognised yet.
    cast(sum(case when ledger_status = 'not_booked' then ledger_difference_amount else 0 end) as decimal(18, 4))
        as not_booked_amount,
    cast(sum(case when has_engine then 0 else store_tax_amount end) as decimal(18, 4)) as uncovered_tax_amount,
    count(*) as compared_count,
    count(case when store_status = 'amount_diff' then 1 end) as store_difference_count,
    count(case when ledger_status = 'amount_diff' then 1 end) as ledger_difference_count,
    case
        when count(case when store_status = 'amount_diff' then 1 end) > 0 then 'store_vs_engine'
        when count(case when ledger_status = 'amount_diff' then 1 end) > 0 then 'engine_vs_ledger'
        when count(case when store_status = 'timing' or ledger_status = 'timing' then 1 end) > 0 then 'timing'
        when count(case when has_engine then 1 end) = 0 then 'no_engine'
        when count(case when store_status = 'matched_tolerance' or ledger_status = 'matched_tolerance' then 1 end) > 0
            then 'matched_tolerance'
        else 'matched'
    end as tax_status
from {{ ref('int_tax_compared') }}
group by entity_code, tax_jurisdiction, period_month, currency_code
