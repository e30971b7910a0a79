-- Which record stands behind each line: the end of every drill-back.
with sources as (
    select
        'sale/' || order_key as entry_id,
        'sale_captured' as event_type,
        'woocommerce' as source_system,
        'orders' as source_table,
        order_key as source_key,
        order_payload_sha256 as payload_sha256,
        false as is_receivables_only
    from {{ ref('int_sales_recognised') }}
    union all
    -- The capture is why the sale may be booked: it stands behind the claim on the customer.
    select
        'sale/' || order_key as entry_id,
        'sale_captured' as event_type,
        gateway_system as source_system,
        payment_source_table as source_table,
        payment_key as source_key,
        payment_payload_sha256 as payload_sha256,
        true as is_receivables_only
    from {{ ref('int_sales_recognised') }}
    where payment_key is not null
    union all
    select
        entry_id,
        event_type,
        'woocommerce' as source_system,
        'orders' as source_table,
        order_key as source_key,
        order_payload_sha256 as payload_sha256,
        false as is_receivables_only
    from {{ ref('int_revenue_recognised') }}
    union all
    -- The shipments that made it revenue, as those reported them that knew best.
    select distinct
        revenue.entry_id,
        revenue.event_type,
        case shipments.reported_by when 'provider' then 'fulfilment' when 'erp' then 'erp' else 'woocommerce' end
            as source_system,
        case shipments.reported_by
            when 'provider' then 'shipments'
            when 'erp' then 'deliveries'
            when 'store' then 'order_fulfillments'
            else 'orders'
        end as source_table,
        {{ regex_remove('shipments.shipment_key', '^[a-z_]+:') }} as source_key,
        shipments.payload_sha256,
        false as is_receivables_only
    from {{ ref('int_revenue_recognised') }} as revenue
    inner join {{ ref('int_goods_delivered') }} as goods
        on revenue.order_key = goods.order_key and revenue.posting_date = goods.delivered_on
    inner join {{ ref('int_fulfilments_unioned') }} as shipments
        on goods.fulfilment_line_key = shipments.fulfilment_line_key
    union all
    select
        'refund/' || refund_key as entry_id,
        'refund_approved' as event_type,
        'woocommerce' as source_system,
        'refunds' as source_table,
        refund_key as source_key,
        payload_sha256,
        false as is_receivables_only
    from {{ ref('int_refunds_recognised') }}
    union all
    select
        entry_id,
        case entry_type when 'payout' then 'payout_sent' else 'settlement_line_booked' end as event_type,
        gateway_system as source_system,
        source_table,
        settlement_line_key as source_key,
        payload_sha256,
        false as is_receivables_only
    from {{ ref('int_settlement_lines_booked') }}
    union all
    -- A lost dispute is what its lines took.
    select
        disputes.entry_id,
        'dispute_lost' as event_type,
        lines.gateway_system as source_system,
        lines.source_table,
        lines.settlement_line_key as source_key,
        lines.payload_sha256,
        false as is_receivables_only
    from {{ ref('int_disputes_written_off') }} as disputes
    inner join {{ ref('int_settlement_lines_booked') }} as lines
        on disputes.dispute_key = lines.dispute_key and lines.other_role = 'disputes_receivable'
    union all
    select
        entry_id,
        'exception_written_off' as event_type,
        gateway_system as source_system,
        source_table,
        settlement_line_key as source_key,
        payload_sha256,
        false as is_receivables_only
    from {{ ref('int_exceptions_written_off') }}
    union all
    select
        entry_id,
        'payout_arrived' as event_type,
        'bank' as source_system,
        'entries' as source_table,
        bank_line_key as source_key,
        bank_payload_sha256 as payload_sha256,
        false as is_receivables_only
    from {{ ref('int_payouts_arrived') }}
    union all
    select
        entry_id,
        'payout_arrived' as event_type,
        gateway_system as source_system,
        source_table,
        settlement_key as source_key,
        payload_sha256,
        false as is_receivables_only
    from {{ ref('int_payouts_arrived') }}
),

summarised as (
    select
        entry_id,
        summary_id
    from {{ ref('int_journal_entries_judged') }}
    where summary_id is not null
)

select
    coalesce(summaries.entry_id, lines.entry_id) as entry_id,
    coalesce(summaries.line_no, lines.line_no) as line_no,
    sources.event_type || ':' || lines.entry_id as event_id,
    sources.source_system,
    sources.source_table,
    sources.source_key,
    sources.payload_sha256
from {{ ref('int_journal_lines_balanced') }} as lines
inner join sources
    on lines.entry_id = sources.entry_id and (not sources.is_receivables_only or lines.account_role = 'receivables')
left join summarised on lines.entry_id = summarised.entry_id
left join {{ ref('int_journal_lines_summarised') }} as summaries
    on
        summarised.summary_id = summaries.entry_id
        and case when summarised.summary_id is not null then {{ summary_group('lines') }} end = summaries.line_group
