-- Independent control totals, one row per check and window: what there should be by a figure that is not ours (or of
-- another step than the one that is checked) against what is here.
with statements as (
    select
        *,
        -- A bank may start its numbers again each year; the balances still tell a gap then.
        coalesce(sequence_number > previous_sequence_number + 1, false)
        or coalesce(opening_balance_amount <> previous_closing_balance_amount, false)
        or coalesce(closing_balance_amount <> opening_balance_amount + entries_amount, false)
        or coalesce(entry_count <> loaded_entry_count, false) as is_broken,
        opening_balance_amount is not null and closing_balance_amount is not null as has_balances
    from {{ ref('int_bank_statements_chained') }}
),

sweeps as (
    select
        *,
        row_number() over (partition by store_id order by swept_at desc) as recency
    from {{ ref('stg_woocommerce__order_sweeps') }}
),

checks as (
    select
        'records_received' as check_name,
        system || ':' || instance_id || ':' || resource as subject_key,
        system as source_system,
        instance_id,
        resource,
        cast(null as timestamp) as window_start_at,
        loaded_at as window_end_at,
        cast(received as bigint) as expected_count,
        cast(loaded + quarantined as bigint) as actual_count,
        cast(null as varchar) as currency_code,
        cast(null as decimal(18, 4)) as expected_amount,
        cast(null as decimal(18, 4)) as actual_amount,
        cast(0 as decimal(18, 4)) as amount_at_risk,
        case when received = loaded + quarantined then 'proved' else 'gap' end as completeness_status,
        case when received = loaded + quarantined then loaded_at end as proved_complete_at,
        {{ json_text([
            ("received", "received"),
            ("loaded", "loaded"),
            ("quarantined", "quarantined"),
        ]) }} as evidence
    from {{ ref('stg_ops__load_status') }}
    union all
    select
        'balance_roll_forward' as check_name,
        windows.window_key as subject_key,
        gateways.gateway_system as source_system,
        windows.gateway_id as instance_id,
        'settlement_lines' as resource,
        windows.opened_at as window_start_at,
        windows.closed_at as window_end_at,
        cast(null as bigint) as expected_count,
        windows.line_count as actual_count,
        windows.currency_code,
        windows.closing_amount as expected_amount,
        cast(windows.opening_amount + windows.activity_amount - windows.paid_out_amount as decimal(18, 4))
            as actual_amount,
        cast(abs(windows.residual_amount) as decimal(18, 4)) as amount_at_risk,
        case when windows.proved_at is not null then 'proved' else 'gap' end as completeness_status,
        windows.proved_at as proved_complete_at,
        {{ json_text([
            ("gateway_balance", "cast(windows.closing_amount as varchar)"),
            ("opening_balance", "cast(windows.opening_amount as varchar)"),
            ("lines", "cast(windows.activity_amount as varchar)"),
            ("payouts", "cast(windows.paid_out_amount as varchar)"),
            ("difference", "cast(windows.residual_amount as varchar)"),
        ]) }} as evidence
    from {{ ref('int_balance_rollforward') }} as windows
    inner join {{ ref('stg_ops__gateways') }} as gateways on windows.gateway_id = gateways.gateway_id
    union all
    select
        'statement_chain' as check_name,
        statement_key as subject_key,
        'bank' as source_system,
        bank_id as instance_id,
        'entries' as resource,
        cast(opening_date as timestamp) as window_start_at,
        coalesce(cast(closing_date as timestamp), created_at, loaded_at) as window_end_at,
        cast(entry_count as bigint) as expected_count,
        cast(loaded_entry_count as bigint) as actual_count,
        currency_code,
        closing_balance_amount as expected_amount,
        cast(opening_balance_amount + entries_amount as decimal(18, 4)) as actual_amount,
        cast(
            greatest(
                abs(coalesce(opening_balance_amount - previous_closing_balance_amount, 0)),
                abs(coalesce(closing_balance_amount - opening_balance_amount - entries_amount, 0))
            ) as decimal(18, 4)
        ) as amount_at_risk,
        case when is_broken then 'gap' when has_balances then 'proved' else 'not_provable' end as completeness_status,
        case when not is_broken and has_balances then loaded_at end as proved_complete_at,
        {{ json_text([
            ("statement", "statement_id"),
            ("previous_statement", "previous_statement_id"),
            ("sequence_number", "sequence_number"),
            ("previous_sequence_number", "previous_sequence_number"),
            ("opening_balance", "cast(opening_balance_amount as varchar)"),
            ("previous_closing_balance", "cast(previous_closing_balance_amount as varchar)"),
            ("closing_balance", "cast(closing_balance_amount as varchar)"),
            ("entries_total", "cast(entries_amount as varchar)"),
            ("entries_expected", "entry_count"),
            ("entries_loaded", "loaded_entry_count"),
        ]) }} as evidence
    from statements
    union all
    -- The numbers of orders have gaps in every store (other posts take some), so what the store lists is counted.
    select
        'orders_listed' as check_name,
        sweeps.store_id || ':orders' as subject_key,
        'woocommerce' as source_system,
        sweeps.store_id as instance_id,
        'orders' as resource,
        cast(null as timestamp) as window_start_at,
        sweeps.swept_at as window_end_at,
        cast(sweeps.listed_count as bigint) as expected_count,
        cast(coalesce(held_orders.order_count, 0) + sweeps.unreadable_count as bigint) as actual_count,
        cast(null as varchar) as currency_code,
        cast(null as decimal(18, 4)) as expected_amount,
        cast(null as decimal(18, 4)) as actual_amount,
        cast(0 as decimal(18, 4)) as amount_at_risk,
        case
            when not sweeps.is_complete then 'not_provable'
            when coalesce(held_orders.order_count, 0) + sweeps.unreadable_count < sweeps.listed_count then 'gap'
            else 'proved'
        end as completeness_status,
        case
            when
                sweeps.is_complete
                and coalesce(held_orders.order_count, 0) + sweeps.unreadable_count >= sweeps.listed_count
                then sweeps.swept_at
        end as proved_complete_at,
        {{ json_text([
            ("orders_listed", "sweeps.listed_count"),
            ("orders_held", "coalesce(held_orders.order_count, 0)"),
            ("orders_unreadable", "sweeps.unreadable_count"),
            ("sweep", "sweeps.sweep_kind"),
            ("findings", "sweeps.finding_count"),
        ]) }} as evidence
    from sweeps
    left join {{ ref('stg_woocommerce__orders_held') }} as held_orders on sweeps.store_id = held_orders.store_id
    where sweeps.recency = 1
)

select
    check_name || ':' || subject_key as completeness_key,
    check_name,
    subject_key,
    source_system,
    instance_id,
    resource,
    window_start_at,
    window_end_at,
    expected_count,
    actual_count,
    currency_code,
    expected_amount,
    actual_amount,
    amount_at_risk,
    completeness_status,
    proved_complete_at,
    evidence
from checks
