-- Payouts that the bank has booked, with the base value at which they stand in cash in transit.
with arrived as (
    select
        settlements.settlement_key,
        settlements.gateway_id,
        settlements.gateway_system,
        settlements.source_table,
        settlements.entity_code,
        settlements.bank_line_key,
        settlements.payout_id,
        settlements.bank_currency_code as currency_code,
        settlements.bank_amount,
        settlements.base_currency_code,
        settlements.bank_value_date as posting_date,
        settlements.settlement_status,
        base_digits.exponent as base_digits,
        entities.erp_id,
        sent.base_exchange_rate as sent_exchange_rate,
        settlements.payload_sha256,
        settlements.bank_payload_sha256
    from {{ ref('int_settlements_footed') }} as settlements
    inner join {{ ref('stg_ops__entities') }} as entities on settlements.entity_code = entities.entity_code
    left join {{ ref('stg_ops__currency_exponents') }} as base_digits
        on settlements.base_currency_code = base_digits.currency_code and base_digits.provider = 'iso'
    left join {{ ref('int_settlement_lines_booked') }} as sent
        on settlements.settlement_key = sent.settlement_key and sent.entry_type = 'payout'
    where settlements.bank_line_key is not null and settlements.settlement_status not in ('failed', 'canceled')
)

select
    'bank/' || arrived.settlement_key as entry_id,
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
