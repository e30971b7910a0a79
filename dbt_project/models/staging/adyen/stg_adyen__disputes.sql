select
    gateway_id || ':' || dispute_id as dispute_key,
    gateway_id,
    'adyen' as gateway_system,
    dispute_id,
    min(payment_id) as payment_id,
    cast(null as varchar) as intent_id,
    cast(null as varchar) as reason,
    min(case when is_second then 'SecondChargeback' when is_reversed then 'ChargebackReversed' else 'Chargeback' end)
        as source_status,
    -- The report tells of a loss only when the bank disputes a second time.
    min(case when is_second then 'lost' when is_reversed then 'won' else 'open' end) as dispute_status,
    min(presentment_currency_code) as currency_code,
    cast(
        coalesce(
            -sum(case when line_type = 'dispute' and source_type not like 'Second%' then presentment_amount end),
            -sum(case when line_type = 'dispute' then presentment_amount end),
            sum(presentment_amount)
        ) as decimal(18, 4)
    ) as dispute_amount,
    min(created_at) as created_at,
    cast(null as timestamp) as evidence_due_at,
    max(file_sha256) as payload_sha256,
    max(loaded_at) as loaded_at
from (
    select
        disputed.*,
        max(case when disputed.source_type like 'Second%' then 1 else 0 end) over (
            partition by disputed.gateway_id, disputed.dispute_id
        ) = 1 as is_second,
        max(case when disputed.line_type = 'dispute_reversal' then 1 else 0 end) over (
            partition by disputed.gateway_id, disputed.dispute_id
        ) = 1 as is_reversed
    from {{ ref('stg_adyen__disputed_lines') }} as disputed
    where disputed.is_clearing
) as disputed
group by gateway_id, dispute_id
