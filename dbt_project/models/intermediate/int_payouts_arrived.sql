-- Bank lines of payouts, with the base value at which these stand in cash in transit: an entry for each pair.
with pairs as (
    select
        matched.settlement_key,
        matched.bank_line_key,
        matched.matched_amount,
        entries.currency_code,
        entries.value_date,
        entries.payload_sha256,
        count(*) over (partition by matched.settlement_key) as lines_of_payout
    from {{ ref('int_payouts_matched_to_bank') }} as matched
    inner join {{ ref('stg_bank__entries') }} as entries on matched.bank_line_key = entries.bank_line_key
),

arrived as (
    select
        'bank/' || settlements.settlement_key
        || case when pairs.lines_of_payout > 1 then '/' || pairs.bank_line_key else '' end as entry_id,
        settlements.settlement_key,
        settlements.gateway_id,
        settlements.gateway_system,
        settlements.source_table,
        settlements.entity_code,
        pairs.bank_line_key,
        settlements.payout_id,
        pairs.currency_code,
        pairs.matched_amount as bank_amount,
        settlements.base_currency_code,
        pairs.value_date as posting_date,
        base_digits.exponent as base_digits,
        entities.erp_id,
        sent.base_exchange_rate as sent_exchange_rate,
        settlements.payload_sha256,
        pairs.payload_sha256 as bank_payload_sha256
    from pairs
    inner join {{ ref('int_settlements_footed') }} as settlements on pairs.settlement_key = settlements.settlement_key
    inner join {{ ref('stg_ops__entities') }} as entities on settlements.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as base_digits
        on settlements.base_currency_code = base_digits.currency_code and base_digits.provider = 'iso'
    left join {{ ref('int_settlement_lines_booked') }} as sent
        on settlements.settlement_key = sent.settlement_key and sent.entry_type = 'payout'
    where settlements.settlement_status not in ('failed', 'canceled')
)

select
    arrived.entry_id,
    arrived.settlement_key,
    arrived.gateway_id,
    arrived.gateway_system,
    arrived.source_table,
    arrived.entity_code,
    arrived.bank_line_key,
    arrived.payout_id,
    arrived.currency_code,
    arrived.bank_amount,
    arrived.base_currency_code,
    arrived.base_digits,
    arrived.posting_date,
    case
        when arrived.currency_code = arrived.base_currency_code then cast(1 as decimal(28, 12))
        else rates.exchange_rate
    end as exchange_rate,
    case
        when arrived.currency_code = arrived.base_currency_code then cast(1 as decimal(28, 12))
        else coalesce(arrived.sent_exchange_rate, rates.exchange_rate)
    end as sent_exchange_rate,
    arrived.payload_sha256,
    arrived.bank_payload_sha256
from arrived
left join {{ ref('int_exchange_rates_dated') }} as rates
    on
        arrived.erp_id = rates.erp_id
        and arrived.currency_code = rates.from_currency_code
        and arrived.base_currency_code = rates.to_currency_code
        and arrived.posting_date >= rates.valid_from
        and (arrived.posting_date < rates.valid_until or rates.valid_until is null)
