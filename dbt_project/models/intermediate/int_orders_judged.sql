{#- Cards keep an authorisation for seven days. -#}
{%- set authorisation_days = 7 %}
{%- set days_to_wait = 'entities.settlement_grace_days + coalesce(orders.reports_after_days, 0)' %}
-- What was expected of every order and what came, in the order's currency.
with payments as (
    select
        order_key,
        min(case when is_matched then payment_key end) as payment_key,
        min(case when is_matched then gateway_id end) as gateway_id,
        min(case when is_matched then match_rule end) as match_rule,
        min(case when is_matched then match_status end) as match_status,
        min(case when is_matched then currency_code end) as payment_currency_code,
        sum(case when is_matched then captured_amount else 0 end) as captured_amount,
        min(case when is_matched then created_at end) as authorised_at,
        min(case when is_matched then captured_at end) as captured_at,
        count(case when is_matched then 1 end) as payment_count,
        max(case when is_matched then currency_code end) as other_currency_code,
        count(case when is_matched and (is_bounced or match_status = 'timing') then 1 end) as unsettled_count,
        count(case when match_status = 'duplicate' then 1 end) as duplicate_count,
        sum(case when match_status = 'duplicate' then captured_amount - refunded_amount else 0 end) as duplicate_amount
    from {{ ref('int_payments_of_orders') }}
    group by order_key
),

ambiguous as (
    select
        order_key,
        {{ sorted_list('payment_key') }} as rival_payment_keys
    from {{ ref('int_payment_pairs') }}
    where verdict = 'ambiguous'
    group by order_key
),

refunds as (
    select
        order_key,
        sum(coalesce(store_refund_amount, 0)) as store_refunded_amount,
        sum(case when is_payment_matched and not is_failed then coalesce(gateway_refund_amount, 0) else 0 end)
            as refunded_amount
    from {{ ref('int_refunds_joined') }}
    where order_key is not null
    group by order_key
),

disputes as (
    select
        payments.order_key,
        sum(case when disputes.dispute_status in ('open', 'lost') then disputes.dispute_amount else 0 end)
            as disputed_amount,
        count(case when disputes.dispute_status = 'open' then 1 end) as open_count
    from {{ ref('int_disputes_unioned') }} as disputes
    inner join {{ ref('int_payments_correlated') }} as payments
        on disputes.gateway_id = payments.gateway_id and disputes.payment_id = payments.payment_id
    where payments.is_matched
    group by payments.order_key
),

-- A payment captured in several parts may be paid out in several; a converted one counts once all of it is.
settled_payments as (
    select
        payments.order_key,
        lines.payment_key,
        min(payments.captured_amount) as captured_amount,
        count(*) as line_count,
        count(case when settlements.settlement_status = 'reconciled' then 1 end) as settled_line_count,
        sum(
            case
                when
                    settlements.settlement_status = 'reconciled'
                    and lines.currency_code = payments.currency_code
                    and not coalesce(lines.is_combined, false)
                    then lines.gross_amount
                else 0
            end
        ) as settled_gross_amount
    from {{ ref('int_settlement_lines_judged') }} as lines
    inner join {{ ref('int_payments_of_orders') }} as payments on lines.payment_key = payments.payment_key
    left join {{ ref('int_settlements_footed') }} as settlements on lines.settlement_key = settlements.settlement_key
    where lines.line_type = 'charge' and lines.is_matched
    group by payments.order_key, lines.payment_key
),

settled as (
    select
        order_key,
        sum(line_count) as line_count,
        sum(settled_line_count) as settled_line_count,
        sum(
            case when line_count = settled_line_count then captured_amount else settled_gross_amount end
        ) as settled_amount
    from settled_payments
    group by order_key
),

-- The store's number is what the ERP's invoice quotes; one that two orders of an entity share is left out.
numbered_orders as (
    select
        entity_code,
        order_number,
        min(order_key) as order_key
    from {{ ref('int_orders_enriched') }}
    group by entity_code, order_number
    having count(*) = 1
),

invoices as (
    select
        orders.order_key,
        sum(documents.document_amount) as invoiced_amount,
        -sum(case when documents.is_credit_note then documents.document_amount else 0 end) as credited_amount,
        max(case when not documents.is_credit_note then documents.document_amount end) as largest_invoice_amount,
        count(case when not documents.is_credit_note then 1 end) as invoice_count
    from {{ ref('stg_erp__sales_invoices') }} as documents
    inner join {{ ref('stg_ops__erps') }} as companies
        on documents.erp_id = companies.erp_id and documents.company = companies.company
    inner join numbered_orders as orders
        on companies.entity_code = orders.entity_code and documents.order_number = orders.order_number
    where documents.docstatus = 1
    group by orders.order_key
),

joined as (
    select
        orders.*,
        payments.payment_key,
        coalesce(payments.gateway_id, orders.gateway_id) as paying_gateway_id,
        payments.match_rule,
        payments.match_status as one_match_status,
        payments.payment_currency_code,
        payments.authorised_at,
        payments.captured_at,
        payments.payment_count,
        payments.unsettled_count,
        case
            when
                payments.payment_currency_code = orders.currency_code
                and payments.other_currency_code = orders.currency_code
                then cast(
                    payments.captured_amount - {{ round_money('orders.total_amount', 'orders.currency_digits') }}
                    as decimal(18, 4)
                )
        end as difference_amount,
        {{ minor_units('entities.tolerance_minor_units', 'orders.currency_digits') }} as tolerance_amount,
        coalesce(payments.captured_amount, 0) as captured_amount,
        coalesce(payments.duplicate_count, 0) as duplicate_count,
        coalesce(payments.duplicate_amount, 0) as duplicate_amount,
        ambiguous.rival_payment_keys,
        coalesce(refunds.store_refunded_amount, 0) as store_refunded_amount,
        coalesce(refunds.refunded_amount, 0) as refunded_amount,
        coalesce(disputes.disputed_amount, 0) as disputed_amount,
        coalesce(disputes.open_count, 0) as open_dispute_count,
        coalesce(settled.line_count, 0) > 0 and settled.line_count = settled.settled_line_count as is_settled,
        coalesce(settled.settled_amount, 0) as settled_amount,
        invoices.invoiced_amount,
        invoices.credited_amount,
        case when invoices.invoice_count = 1 then invoices.largest_invoice_amount end as only_invoice_amount,
        shipped.fulfilment_status,
        shipped.shipped_quantity,
        shipped.shipped_amount,
        authorisations.payment_key as uncaptured_payment_key,
        authorisations.authorised_at as uncaptured_since,
        authorisations.is_released
        or authorisations.authorised_at
        < {{ add_days('clock.as_of', '-' ~ authorisation_days) }} as is_authorisation_lost,
        coalesce(orders.paid_at, orders.created_at)
        > {{ add_days('clock.as_of', '-(' ~ days_to_wait ~ ')') }} as is_recent
    from {{ ref('int_orders_enriched') }} as orders
    inner join {{ ref('stg_ops__entities') }} as entities on orders.entity_code = entities.entity_code
    cross join {{ ref('stg_ops__clock') }} as clock
    left join payments on orders.order_key = payments.order_key
    left join ambiguous on orders.order_key = ambiguous.order_key
    left join refunds on orders.order_key = refunds.order_key
    left join disputes on orders.order_key = disputes.order_key
    left join settled on orders.order_key = settled.order_key
    left join invoices on orders.order_key = invoices.order_key
    left join {{ ref('int_orders_shipped') }} as shipped on orders.order_key = shipped.order_key
    left join {{ ref('int_authorisations_uncaptured') }} as authorisations
        on orders.order_key = authorisations.order_key
),

-- Several captures of one order are judged by their sum.
summed as (
    select
        *,
        case
            when
                payment_count > 1
                and unsettled_count = 0
                and (is_paid_in_store or is_trashed)
                and difference_amount = 0
                then 'matched'
            when
                payment_count > 1
                and unsettled_count = 0
                and (is_paid_in_store or is_trashed)
                and abs(difference_amount) <= tolerance_amount
                then 'matched_tolerance'
            else one_match_status
        end as match_status
    from joined
)

select
    order_key,
    store_id,
    entity_code,
    paying_gateway_id as gateway_id,
    order_number,
    store_status,
    case
        when payment_key is null and rival_payment_keys is not null then 'ambiguous'
        when payment_key is null and not is_payment_expected then 'not_expected'
        when payment_key is null and is_recent then 'timing'
        when payment_key is null then 'payment_missing'
        when match_status = 'timing' then 'timing'
        when match_status = 'needs_review' then 'currency_mismatch'
        when match_status in ('amount_diff', 'partial') then 'amount_mismatch'
        when duplicate_amount > 0 then 'duplicate_payment'
        when open_dispute_count > 0 then 'disputed'
        when refunded_amount >= captured_amount then 'refunded'
        when is_settled then 'settled'
        else 'captured'
    end as order_status,
    payment_key,
    match_rule,
    match_status,
    case when payment_key is null then rival_payment_keys end as rival_payment_keys,
    currency_code,
    payment_currency_code,
    case
        when is_payment_expected or payment_key is not null then {{ round_money('total_amount', 'currency_digits') }}
        else cast(0 as decimal(18, 4))
    end as expected_amount,
    cast(captured_amount as decimal(18, 4)) as captured_amount,
    difference_amount,
    cast(store_refunded_amount as decimal(18, 4)) as store_refunded_amount,
    cast(refunded_amount as decimal(18, 4)) as refunded_amount,
    cast(disputed_amount as decimal(18, 4)) as disputed_amount,
    cast(duplicate_amount as decimal(18, 4)) as duplicate_amount,
    cast(invoiced_amount as decimal(18, 4)) as invoiced_amount,
    cast(credited_amount as decimal(18, 4)) as credited_amount,
    coalesce(fulfilment_status, 'not_shipped') as fulfilment_status,
    cast(coalesce(shipped_quantity, 0) as decimal(18, 4)) as shipped_quantity,
    cast(coalesce(shipped_amount, 0) as decimal(18, 4)) as shipped_amount,
    cast(settled_amount as decimal(18, 4)) as settled_amount,
    is_payment_expected,
    is_trashed,
    amounts_foot,
    -- Two signs that the total was another one when the customer paid: an invoice written of what was captured, or a
    -- change that no status, refund or dispute explains. A modification date alone proves nothing: completion moves it.
    coalesce(
        difference_amount <> 0
        and match_status in ('amount_diff', 'partial')
        and unsettled_count = 0
        and is_paid_in_store
        and modified_at > paid_at
        and (
            only_invoice_amount = captured_amount
            or (
                {{ seconds_between('paid_at', 'modified_at') }} > 300
                and completed_at is not null
                and {{ seconds_between('completed_at', 'modified_at') }} > 300
                and store_refunded_amount = 0
                and refunded_amount = 0
                and disputed_amount = 0
                and store_status = 'completed'
            )
        ),
        false
    ) as is_edited_after_payment,
    case
        when
            payment_key is null
            and rival_payment_keys is null
            and is_authorisation_lost
            and (is_payment_expected or store_status = 'on-hold')
            then uncaptured_payment_key
    end as stale_authorisation_key,
    uncaptured_since,
    total_amount,
    created_at,
    modified_at,
    paid_at,
    authorised_at,
    captured_at
from summed
