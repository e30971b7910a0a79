-- Heads of all entries, each ready to be posted or held; and, where the entity posts sums, the sum it goes into. What
-- is held goes into none, and what people look for one by one (payouts, their arrivals, lost disputes) stays by itself.
with totals as (
    select
        entry_id,
        sum(case when base_amount > 0 then base_amount else 0 end) as base_total_amount,
        count(*) as line_count,
        count(case when account_code is null then 1 end) as unmapped_count,
        min(
            case
                when account_code is null
                    then
                        'unmapped_account:' || entity_code || ':' || account_role
                        || case
                            when account_role in ('gateway_clearing', 'gateway_fees', 'dispute_fees', 'cash_in_transit')
                                then coalesce(':' || gateway_id, '')
                            else ''
                        end
                        || coalesce(':' || tax_jurisdiction, '') || coalesce(':' || product_class, '')
            end
        ) as unmapped_exception_id
    from {{ ref('int_journal_lines_balanced') }}
    group by entry_id
),

-- An open exception on an order holds its sale and its credit notes; what the gateway did is a fact and posts.
order_holds as (
    select
        order_key,
        min(exception_id) as exception_id
    from {{ ref('int_exceptions_raised') }}
    where holds_posting and order_key is not null
    group by order_key
),

settlement_holds as (
    select
        settlement_key,
        min(exception_id) as exception_id
    from {{ ref('int_exceptions_raised') }}
    where exception_type = 'bank_amount_mismatch'
    group by settlement_key
),

held as (
    select
        entries.*,
        totals.base_total_amount,
        totals.line_count,
        coalesce(
            totals.unmapped_exception_id, order_holds.exception_id, settlement_holds.exception_id
        ) as held_by_exception_id
    from {{ ref('int_journal_entries_drafted') }} as entries
    inner join totals on entries.entry_id = totals.entry_id
    left join order_holds
        on entries.order_key = order_holds.order_key and entries.entry_type in ('sale', 'revenue', 'refund')
    left join settlement_holds
        on entries.settlement_key = settlement_holds.settlement_key and entries.entry_type = 'payout_arrival'
)

select
    held.entry_id,
    held.entity_code,
    held.entry_type,
    held.posting_date,
    held.order_key,
    held.settlement_key,
    held.settlement_line_key,
    held.bank_line_key,
    held.refund_key,
    held.description,
    held.base_currency_code,
    cast(held.base_total_amount as decimal(18, 4)) as base_total_amount,
    cast(held.line_count as integer) as line_count,
    case when held.held_by_exception_id is null then 'ready' else 'held' end as posting_status,
    case when held.held_by_exception_id is not null then 'Open exception ' || held.held_by_exception_id end
        as hold_reason,
    held.held_by_exception_id,
    case
        when
            entities.posting = 'summary'
            and held.held_by_exception_id is null
            and held.entry_type in ('sale', 'revenue', 'refund', 'settlement_line')
            then
                'summary:' || held.entity_code || ':' || cast(held.posting_date as varchar) || ':'
                || coalesce(split_part(held.order_key, ':', 1), 'none') || ':' || coalesce(held.gateway_id, 'none')
                || ':' || held.currency_code || ':' || held.entry_type
    end as summary_id
from held
left join {{ ref('stg_ops__entities') }} as entities on held.entity_code = entities.entity_code
