-- Which account each kind of line uses: of the mapping's rows that fit, the one that says most about it. Where the
-- ERP's chart is loaded, the account must be in it and open.
with kinds (entry_type) as (
    values
    ('sale'), ('revenue'), ('refund'), ('settlement_line'), ('payout'), ('payout_arrival'), ('dispute_loss'),
    ('write_off')
),

gateways as (
    select
        entity_code,
        gateway_id
    from {{ ref('stg_ops__gateways') }}
    union all
    select
        entity_code,
        '' as gateway_id
    from {{ ref('stg_ops__entities') }}
),

jurisdictions as (
    select tax_jurisdiction from {{ ref('int_tax_split_by_jurisdiction') }}
    union
    select '' as tax_jurisdiction
),

classes as (
    select product_class from {{ ref('product_classes') }}
    union
    select '' as product_class
),

fitting as (
    select
        mapping.entity_code,
        mapping.account_role,
        kinds.entry_type,
        gateways.gateway_id,
        jurisdictions.tax_jurisdiction,
        classes.product_class,
        mapping.account_code,
        case when mapping.entry_type is null then 0 else 1 end
        + case when mapping.gateway_id is null then 0 else 1 end
        + case when mapping.tax_jurisdiction is null then 0 else 1 end
        + case when mapping.product_class is null then 0 else 1 end as conditions
    from {{ ref('account_mapping') }} as mapping
    inner join gateways
        on
            mapping.entity_code = gateways.entity_code
            and coalesce(mapping.gateway_id, gateways.gateway_id) = gateways.gateway_id
    inner join kinds on coalesce(mapping.entry_type, kinds.entry_type) = kinds.entry_type
    -- Of tax alone it is known who gets it.
    inner join jurisdictions
        on
            coalesce(mapping.tax_jurisdiction, jurisdictions.tax_jurisdiction) = jurisdictions.tax_jurisdiction
            and (mapping.account_role = 'tax_payable' or jurisdictions.tax_jurisdiction = '')
    -- Of revenue alone it is known what was sold.
    inner join classes
        on
            coalesce(mapping.product_class, classes.product_class) = classes.product_class
            and (mapping.account_role = 'revenue' or classes.product_class = '')
),

most as (
    select
        entity_code,
        account_role,
        entry_type,
        gateway_id,
        tax_jurisdiction,
        product_class,
        max(conditions) as conditions
    from fitting
    group by entity_code, account_role, entry_type, gateway_id, tax_jurisdiction, product_class
),

chosen as (
    select
        fitting.entity_code,
        fitting.account_role,
        fitting.entry_type,
        fitting.gateway_id,
        fitting.tax_jurisdiction,
        fitting.product_class,
        min(fitting.account_code) as account_code,
        max(fitting.account_code) as other_account_code
    from fitting
    inner join most
        on
            fitting.entity_code = most.entity_code
            and fitting.account_role = most.account_role
            and fitting.entry_type = most.entry_type
            and fitting.gateway_id = most.gateway_id
            and fitting.tax_jurisdiction = most.tax_jurisdiction
            and fitting.product_class = most.product_class
            and fitting.conditions = most.conditions
    group by
        fitting.entity_code, fitting.account_role, fitting.entry_type, fitting.gateway_id, fitting.tax_jurisdiction,
        fitting.product_class
),

charts as (
    select
        companies.entity_code,
        coalesce(accounts.account_code, accounts.erp_account) as account_code,
        count(case when not accounts.is_group then 1 end) as account_count,
        count(case when not accounts.is_group and not accounts.is_disabled then 1 end) as open_count
    from {{ ref('stg_ops__erps') }} as companies
    inner join {{ ref('stg_erp__accounts') }} as accounts
        on
            companies.erp_id = accounts.erp_id
            and coalesce(accounts.company, companies.company) = companies.company
    group by companies.entity_code, coalesce(accounts.account_code, accounts.erp_account)
),

entities_with_chart as (
    select distinct entity_code
    from charts
),

judged as (
    select
        chosen.*,
        case
            when chosen.account_code <> chosen.other_account_code
                then
                    'account_mapping.csv has two rows that fit equally well, for ' || chosen.account_code || ' and '
                    || chosen.other_account_code
            when entities_with_chart.entity_code is null then null
            when charts.account_code is null then 'the ERP has no account ' || chosen.account_code
            when charts.account_count = 0 then 'account ' || chosen.account_code || ' is a heading at the ERP'
            when charts.open_count = 0 then 'account ' || chosen.account_code || ' is closed at the ERP'
        end as account_problem
    from chosen
    left join entities_with_chart on chosen.entity_code = entities_with_chart.entity_code
    left join charts on chosen.entity_code = charts.entity_code and chosen.account_code = charts.account_code
)

select
    entity_code,
    account_role,
    entry_type,
    gateway_id,
    tax_jurisdiction,
    product_class,
    case when account_problem is null then account_code end as account_code,
    account_problem
from judged
