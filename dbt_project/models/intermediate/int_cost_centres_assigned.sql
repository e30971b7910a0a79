-- The cost centre of each kind of journal line that has one: of finance's rows that fit, the first.
with places as (
    select
        entity_code,
        store_id
    from {{ ref('stg_ops__stores') }}
    union all
    select
        entity_code,
        '' as store_id
    from {{ ref('stg_ops__entities') }}
),

roles as (
    select distinct
        entity_code,
        account_role
    from {{ ref('account_mapping') }}
),

classes as (
    select product_class from {{ ref('product_classes') }}
    union
    select '' as product_class
),

first_rules as (
    select
        places.entity_code,
        places.store_id,
        roles.account_role,
        classes.product_class,
        min(rules.position) as position
    from {{ ref('cost_centres') }} as rules
    inner join places
        on
            coalesce(rules.entity_code, places.entity_code) = places.entity_code
            and coalesce(rules.store_id, places.store_id) = places.store_id
    inner join roles
        on
            places.entity_code = roles.entity_code
            and coalesce(rules.account_role, roles.account_role) = roles.account_role
    -- Of revenue alone it is known what was sold.
    inner join classes
        on
            coalesce(rules.product_class, classes.product_class) = classes.product_class
            and (roles.account_role = 'revenue' or classes.product_class = '')
    group by places.entity_code, places.store_id, roles.account_role, classes.product_class
)

select
    first_rules.entity_code,
    first_rules.store_id,
    first_rules.account_role,
    first_rules.product_class,
    rules.cost_centre
from first_rules
inner join {{ ref('cost_centres') }} as rules on first_rules.position = rules.position
