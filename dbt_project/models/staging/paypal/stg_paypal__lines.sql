{{ config(materialized='table') }}

-- Every movement of the balance once, from Transaction Search and from settlement reports in one shape: an account is
-- read by one or the other. A table, since all other models of PayPal read it and the numbering below costs a sort.
with listed as (
    select
        gateway_id,
        'transactions' as source_table,
        '' as report_id,
        cast(0 as bigint) as row_number_in_file,
        trim(transaction_id) as transaction_id,
        upper(trim(transaction_event_code)) as event_code,
        upper(currency) as currency_code,
        cast(amount as decimal(18, 4)) as gross_amount,
        cast(coalesce(fee_amount, 0) as decimal(18, 4)) as fee_movement,
        upper(coalesce(nullif(trim(fee_currency), ''), currency)) as fee_currency_code,
        transaction_status,
        nullif(trim(paypal_reference_id), '') as reference_id,
        nullif(trim(invoice_id), '') as invoice_id,
        nullif(trim(custom_field), '') as custom_field,
        nullif(trim(transaction_subject), '') as subject,
        nullif(trim(bank_reference_id), '') as bank_reference_id,
        nullif(trim(instrument_type), '') as instrument_type,
        account_number as account_id,
        {{ utc_timestamp('initiated_at') }} as initiated_at,
        {{ utc_timestamp('initiated_at') }} as booked_at,
        _payload_sha256 as payload_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at
    from {{ source('paypal', 'transactions') }}
),

-- Hundredths without sign, also of yen; DR and CR are from the account owner's side.
reported as (
    select
        gateway_id,
        'report_lines' as source_table,
        report_id,
        row_number as row_number_in_file,
        trim(transaction_id) as transaction_id,
        upper(trim(transaction_event_code)) as event_code,
        gross_transaction_currency as currency_code,
        cast(
            {{ from_minor('gross_transaction_amount', '2') }}
            * case transaction_debit_or_credit when 'DR' then -1 else 1 end as decimal(18, 4)
        ) as gross_amount,
        cast(
            {{ from_minor('coalesce(fee_amount, 0)', '2') }} * case fee_debit_or_credit when 'DR' then -1 else 1 end
            as decimal(18, 4)
        ) as fee_movement,
        coalesce(nullif(fee_currency, ''), gross_transaction_currency) as fee_currency_code,
        'S' as transaction_status,
        nullif(trim(paypal_reference_id), '') as reference_id,
        nullif(trim(invoice_id), '') as invoice_id,
        nullif(trim(custom_field), '') as custom_field,
        cast(null as varchar) as subject,
        nullif(trim(bank_reference_id), '') as bank_reference_id,
        cast(null as varchar) as instrument_type,
        account_id,
        {{ utc_timestamp('coalesce(transaction_initiation_date, transaction_completion_date)') }} as initiated_at,
        {{ utc_timestamp('coalesce(transaction_completion_date, transaction_initiation_date)') }} as booked_at,
        file_sha256 as payload_sha256,
        {{ utc_timestamp('_loaded_at') }} as loaded_at
    from {{ source('paypal', 'report_lines') }}
),

-- The natural key, with a number for rows of one report that are alike in all of it: they are real.
numbered as (
    select
        movements.*,
        row_number() over (
            partition by
                gateway_id, report_id, transaction_id, event_code, currency_code, gross_amount, fee_movement,
                initiated_at
            order by row_number_in_file
        ) as copy_number
    from (
        select * from listed
        union all
        select * from reported
    ) as movements
),

-- The same row in two reports (delivered again under another period) is one movement.
deduplicated as (
    select
        *,
        row_number() over (
            partition by
                gateway_id, transaction_id, event_code, currency_code, gross_amount, fee_movement, initiated_at,
                copy_number
            order by loaded_at desc, report_id desc
        ) as delivery_number
    from numbered
),

-- A hold and its release share a transaction id; the two legs of a conversion may share id, code and second.
identified as (
    select
        *,
        coalesce(nullif(transaction_id, ''), '-')
        || ':' || event_code
        || ':' || case when gross_amount < 0 then 'DR' else 'CR' end
        || ':' || replace(
            replace(replace(substring(cast(initiated_at as varchar), 1, 19), '-', ''), ':', ''), ' ', ''
        ) as line_stem
    from deduplicated
    where delivery_number = 1
),

keyed as (
    select
        *,
        row_number() over (
            partition by gateway_id, line_stem
            order by currency_code, gross_amount, fee_movement, copy_number
        ) as stem_number
    from identified
),

lines as (
    select
        *,
        line_stem || case when stem_number > 1 then ':' || cast(stem_number as varchar) else '' end as line_id,
        substring(event_code, 1, 3) as event_group
    from keyed
),

-- A fee in another currency moves another balance, so it is a line of its own.
parted as (
    select
        gateway_id,
        source_table,
        account_id,
        line_id,
        transaction_id,
        event_code,
        event_group,
        currency_code,
        gross_amount,
        case when fee_currency_code = currency_code then -fee_movement else cast(0 as decimal(18, 4)) end as fee_amount,
        transaction_status,
        reference_id,
        invoice_id,
        custom_field,
        subject,
        bank_reference_id,
        instrument_type,
        initiated_at,
        booked_at,
        payload_sha256,
        loaded_at
    from lines
    union all
    select
        gateway_id,
        source_table,
        account_id,
        line_id || ':fee' as line_id,
        transaction_id,
        'T0107' as event_code,
        'T01' as event_group,
        fee_currency_code as currency_code,
        fee_movement as gross_amount,
        cast(0 as decimal(18, 4)) as fee_amount,
        transaction_status,
        transaction_id as reference_id,
        invoice_id,
        custom_field,
        subject,
        cast(null as varchar) as bank_reference_id,
        instrument_type,
        initiated_at,
        booked_at,
        payload_sha256,
        loaded_at
    from lines
    where fee_currency_code <> currency_code and fee_movement <> 0
),

categorised as (
    select
        parted.*,
        -- Some codes of a group mean something of their own; of T11 and T12 all do.
        case
            when codes.source_category is not null then parted.event_code
            when event_groups.source_category is not null then parted.event_group
            else parted.event_code
        end as category
    from parted
    left join {{ ref('stg_paypal__line_types') }} as codes on parted.event_code = codes.source_category
    left join {{ ref('stg_paypal__line_types') }} as event_groups on parted.event_group = event_groups.source_category
),

directed as (
    select
        categorised.*,
        coalesce(directions.source_category, categorised.category) as source_category
    from categorised
    left join {{ ref('stg_paypal__line_types') }} as directions
        on
            directions.source_category
            = categorised.category || case when categorised.gross_amount < 0 then ' DR' else ' CR' end
)

select
    directed.gateway_id,
    directed.source_table,
    directed.account_id,
    directed.line_id,
    directed.transaction_id,
    directed.event_code,
    directed.source_category,
    coalesce(line_types.line_type, 'unknown') as line_type,
    directed.currency_code,
    directed.gross_amount,
    directed.fee_amount,
    cast(directed.gross_amount - directed.fee_amount as decimal(18, 4)) as net_amount,
    directed.transaction_status,
    -- Authorisations and display-only records move nothing, nor does money that was promised (an e-cheque) or denied. A
    -- withdrawal leaves the balance at once, whatever becomes of it.
    case
        when directed.event_group in ('T13', 'T98') then false
        when directed.transaction_status = 'D' then false
        when directed.transaction_status = 'P' then directed.event_group not in ('T00', 'T03', 'T07', 'T30')
        else true
    end as is_clearing,
    directed.reference_id,
    directed.invoice_id,
    directed.custom_field,
    directed.subject,
    directed.bank_reference_id,
    directed.instrument_type,
    directed.initiated_at,
    directed.booked_at,
    directed.payload_sha256,
    directed.loaded_at
from directed
left join {{ ref('stg_paypal__line_types') }} as line_types
    on directed.source_category = line_types.source_category
