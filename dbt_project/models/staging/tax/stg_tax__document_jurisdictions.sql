-- Tax of each document by jurisdiction and tax. The jurisdiction is written as the chart of accounts has it: a national
-- tax belongs to the country, any other to its state, of which counties, cities and districts are a part.
with avatax as (
    select
        summaries.tax_engine_id || ':' || cast(summaries.transaction_id as varchar) as tax_document_key,
        summaries.tax_engine_id,
        'avatax' as tax_engine_system,
        summaries.position as line_number,
        upper(nullif(trim(summaries.country), '')) as country_code,
        upper(nullif(trim(summaries.region), '')) as state_code,
        case
            when summaries.juris_type in ('Country', 'CNT') then 'country'
            when summaries.juris_type in ('State', 'STA') then 'state'
            when summaries.juris_type in ('County', 'CTY') then 'county'
            when summaries.juris_type in ('City', 'CIT') then 'city'
            when summaries.juris_type in ('Special', 'STJ') then 'district'
            else 'unknown'
        end as jurisdiction_level,
        summaries.juris_code as jurisdiction_code,
        summaries.juris_name as jurisdiction_name,
        summaries.tax_type,
        summaries.tax_name,
        summaries.rate as tax_rate,
        upper(documents.currency_code) as currency_code,
        cast(summaries.taxable as decimal(18, 4)) as taxable_amount,
        cast(coalesce(summaries.exemption, 0) + coalesce(summaries.non_taxable, 0) as decimal(18, 4)) as exempt_amount,
        cast(summaries.tax as decimal(18, 4)) as tax_amount,
        {{ utc_timestamp('summaries._loaded_at') }} as loaded_at
    from {{ source('tax', 'avatax_summaries') }} as summaries
    -- A document that lost all its lines brings none that could replace the former ones.
    inner join {{ source('tax', 'avatax_transactions') }} as documents
        on
            summaries.tax_engine_id = documents.tax_engine_id
            and summaries.transaction_id = documents.id
            and summaries._loaded_at = documents._loaded_at
),

taxjar as (
    select
        source.tax_engine_id || ':' || source.kind || ':' || source.transaction_id as tax_document_key,
        source.tax_engine_id,
        'taxjar' as tax_engine_system,
        1 as line_number,
        upper(nullif(trim(source.to_country), '')) as country_code,
        upper(nullif(trim(source.to_state), '')) as state_code,
        case when upper(trim(source.to_country)) in ('US', 'CA') then 'combined' else 'country' end
            as jurisdiction_level,
        cast(null as varchar) as jurisdiction_code,
        cast(null as varchar) as jurisdiction_name,
        cast(null as varchar) as tax_type,
        cast(null as varchar) as tax_name,
        cast(null as decimal(28, 12)) as tax_rate,
        upper(source.currency) as currency_code,
        cast(null as decimal(18, 4)) as taxable_amount,
        cast(null as decimal(18, 4)) as exempt_amount,
        case
            when source.kind = 'refund' then -abs(cast(source.sales_tax as decimal(18, 4)))
            else cast(source.sales_tax as decimal(18, 4))
        end as tax_amount,
        {{ utc_timestamp('source._loaded_at') }} as loaded_at
    from {{ source('tax', 'taxjar_transactions') }} as source
),

stripe_tax as (
    select
        tax_engine_id || ':' || id as tax_document_key,
        tax_engine_id,
        'stripe_tax' as tax_engine_system,
        row_number() over (
            partition by tax_engine_id, id
            order by
                line_item_id asc, jurisdiction_level asc, jurisdiction_name asc, tax_name asc, occurrence asc
        ) as line_number,
        upper(nullif(trim(country_code), '')) as country_code,
        upper(nullif(trim(state_code), '')) as state_code,
        case
            when lower(trim(jurisdiction_level)) in ('country', 'state', 'county', 'city', 'district')
                then lower(trim(jurisdiction_level))
            else 'unknown'
        end as jurisdiction_level,
        cast(null as varchar) as jurisdiction_code,
        nullif(jurisdiction_name, '') as jurisdiction_name,
        cast(null as varchar) as tax_type,
        nullif(tax_name, '') as tax_name,
        tax_rate,
        upper(currency) as currency_code,
        cast(taxable_amount as decimal(18, 4)) as taxable_amount,
        cast(non_taxable_amount as decimal(18, 4)) as exempt_amount,
        cast(tax_amount as decimal(18, 4)) as tax_amount,
        {{ utc_timestamp('_loaded_at') }} as loaded_at
    from {{ source('tax', 'stripe_tax_rows') }}
),

unioned as (
    select * from avatax
    union all
    select * from taxjar
    union all
    select * from stripe_tax
)

select
    tax_document_key || ':' || cast(line_number as varchar) as tax_document_jurisdiction_key,
    tax_document_key,
    tax_engine_id,
    tax_engine_system,
    line_number,
    case
        when country_code is null then 'unknown'
        when jurisdiction_level = 'country' then country_code
        else country_code || coalesce('-' || state_code, '')
    end as tax_jurisdiction,
    country_code,
    state_code,
    jurisdiction_level,
    jurisdiction_code,
    jurisdiction_name,
    tax_type,
    tax_name,
    tax_rate,
    currency_code,
    taxable_amount,
    exempt_amount,
    tax_amount,
    loaded_at
from unioned
