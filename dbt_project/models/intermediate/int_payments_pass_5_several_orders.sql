-- Pass 5: the charge names several orders of one shop, and is what they come to together. Every name must be an order,
-- and no other charge may claim one of them. Where a reference lists them, sums that do not fit are ambiguous; in a
-- free text, which may hold other numbers, they are nothing.
with {{ pass_input(5) }}

listing as (
    select
        payment_key,
        gateway_id,
        currency_code,
        currency_digits,
        captured_amount,
        normalised_site_url,
        listed_in,
        {{ tokens_of("trim(regexp_replace(listed_references, '[,;+&|#]+', ' ', 'g'))") }} as name
    from open_payments
    where listed_references is not null
),

names as (
    select distinct
        listing.payment_key,
        listing.gateway_id,
        listing.currency_code,
        listing.currency_digits,
        listing.captured_amount,
        listing.normalised_site_url,
        listing.listed_in,
        case
            when gateways.reference_prefix <> '' and starts_with(listing.name, gateways.reference_prefix)
                then substring(listing.name, length(gateways.reference_prefix) + 1)
            else listing.name
        end as order_name
    from listing
    inner join {{ ref('stg_ops__gateways') }} as gateways on listing.gateway_id = gateways.gateway_id
    where listing.name not in ('', 'and')
),

named as (
    select
        names.payment_key,
        names.order_name,
        orders.order_key,
        orders.store_id
    from names
    inner join {{ ref('int_orders_matchable') }} as orders
        on
            names.gateway_id = orders.gateway_id
            and names.order_name = orders.order_reference
            and coalesce(names.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
    where names.listed_in = 'order_reference'
    union all
    select
        names.payment_key,
        names.order_name,
        orders.order_key,
        orders.store_id
    from names
    inner join {{ ref('int_orders_matchable') }} as orders
        on
            names.gateway_id = orders.gateway_id
            and names.order_name = orders.order_number
            and coalesce(names.normalised_site_url, orders.normalised_site_url) = orders.normalised_site_url
    where names.listed_in <> 'order_reference'
),

lists as (
    select
        names.payment_key,
        min(names.currency_code) as currency_code,
        min(names.captured_amount) as captured_amount,
        min(names.listed_in) as listed_in,
        count(distinct names.order_name) as name_count
    from names
    left join named on names.payment_key = named.payment_key and names.order_name = named.order_name
    group by names.payment_key
    having count(distinct names.order_name) > 1 and count(*) = count(named.order_key)
),

listed as (
    select
        named.payment_key,
        named.order_key,
        named.store_id
    from named
    inner join lists on named.payment_key = lists.payment_key
),

claimed as (
    select order_key
    from listed
    group by order_key
    having count(*) > 1
    union
    select earlier_pairs.order_key
    from earlier_pairs
    inner join listed on earlier_pairs.order_key = listed.order_key
),

sums as (
    select
        listed.payment_key,
        count(*) as order_count,
        count(distinct listed.store_id) as store_count,
        count(claimed.order_key) as claimed_count,
        min(orders.currency_code) as currency_code,
        max(orders.currency_code) as other_currency_code,
        sum({{ round_money('orders.total_amount', 'orders.currency_digits') }}) as total_amount
    from listed
    inner join {{ ref('int_orders_enriched') }} as orders on listed.order_key = orders.order_key
    left join claimed on listed.order_key = claimed.order_key
    group by listed.payment_key
),

judged as (
    select
        lists.payment_key,
        lists.listed_in,
        sums.order_count = lists.name_count
        and sums.store_count = 1
        and sums.claimed_count = 0
        and sums.currency_code = lists.currency_code
        and sums.other_currency_code = lists.currency_code
        and sums.total_amount = lists.captured_amount as is_sum
    from lists
    inner join sums on lists.payment_key = sums.payment_key
)

select
    listed.payment_key,
    listed.order_key,
    'several_orders' as match_rule,
    case when judged.is_sum then 'combined' else 'ambiguous' end as verdict
from listed
inner join judged on listed.payment_key = judged.payment_key
where judged.is_sum or judged.listed_in <> 'description'
