"""The invariants that must hold before anything of an entity is posted, each as a query for what breaks it.

A query takes the entity's code as its only parameter and returns ``offending_key, difference_amount`` rows; ``counted``
says over how many rows it looked.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Invariant:
    """One invariant: the mart it is checked on, what it promises, and the queries that prove or refute it."""

    name: str
    mart: str
    promise: str
    counted: str
    offenders: str


INVARIANTS: Final = (
    Invariant(
        name="keys_unique",
        mart="fct_settlement_lines",
        promise="Every order, settlement line and journal line occurs once.",
        counted="""
            select
                (select count(*) from marts.fct_orders where entity_code = $entity)
                + (select count(*) from marts.fct_settlement_lines where entity_code = $entity)
                + (select count(*) from marts.acc_journal_lines where entity_code = $entity)
        """,
        offenders="""
            with keys as (
                select order_key as offending_key from marts.fct_orders where entity_code = $entity
                union all
                select settlement_line_key from marts.fct_settlement_lines where entity_code = $entity
                union all
                select entry_id || ' line ' || line_no from marts.acc_journal_lines where entity_code = $entity
            )

            select offending_key, count(*) - 1 as difference_amount
            from keys
            group by offending_key
            having count(*) > 1
        """,
    ),
    Invariant(
        name="payouts_foot",
        mart="rec_settlements",
        promise="Every payout is explained to the cent: its lines plus a named residual are the payout.",
        counted="select count(*) from marts.rec_settlements where entity_code = $entity",
        offenders="""
            with footed as (
                select
                    settlements.settlement_key,
                    settlements.is_itemised and settlements.residual_amount <> 0 as has_residual,
                    settlements.residual_amount,
                    settlements.gross_amount - settlements.fee_amount - settlements.refund_amount
                    - settlements.dispute_amount + settlements.reserve_amount + settlements.other_amount
                    + settlements.unlisted_amount + settlements.residual_amount - settlements.net_amount
                        as unexplained_amount,
                    exceptions.exception_id
                from marts.rec_settlements as settlements
                left join marts.rec_exceptions as exceptions
                    on
                        exceptions.settlement_key = settlements.settlement_key
                        and exceptions.exception_type = 'payout_residual'
                where settlements.entity_code = $entity
            )

            select
                settlement_key as offending_key,
                case when unexplained_amount <> 0 then unexplained_amount else residual_amount end as difference_amount
            from footed
            where unexplained_amount <> 0 or (has_residual and exception_id is null)
        """,
    ),
    Invariant(
        name="clearing_rolls_forward",
        mart="rec_clearing",
        promise="What the ledger says a gateway holds is what the gateway says it holds.",
        counted="select count(*) from marts.rec_clearing where entity_code = $entity and has_balance",
        offenders="""
            select gateway_id || ' ' || currency_code as offending_key, difference_amount
            from marts.rec_clearing
            where entity_code = $entity and has_balance and (difference_amount is null or difference_amount <> 0)
        """,
    ),
    Invariant(
        name="entries_balance",
        mart="acc_journal_entries",
        promise="Every journal entry has lines and balances, in each document currency and in base currency.",
        counted="select count(*) from marts.acc_journal_entries where entity_code = $entity",
        offenders="""
            with sides as (
                select
                    entry_id,
                    currency_code,
                    sum(debit_amount - credit_amount) as document_difference,
                    sum(base_debit_amount - base_credit_amount) as base_difference
                from marts.acc_journal_lines
                group by entry_id, currency_code
            ),

            balances as (
                select
                    entry_id,
                    max(abs(document_difference)) as document_difference,
                    abs(sum(base_difference)) as base_difference
                from sides
                group by entry_id
            )

            select
                entries.entry_id as offending_key,
                greatest(balances.document_difference, balances.base_difference) as difference_amount
            from marts.acc_journal_entries as entries
            left join balances on balances.entry_id = entries.entry_id
            where
                entries.entity_code = $entity
                and (
                    balances.entry_id is null
                    or balances.document_difference <> 0
                    or balances.base_difference <> 0
                )
        """,
    ),
    Invariant(
        name="one_entity_per_entry",
        mart="acc_journal_lines",
        promise="Every journal entry belongs to one entity and is kept in that entity's own currency.",
        counted="select count(*) from marts.acc_journal_lines where entity_code = $entity",
        offenders="""
            select
                lines.entry_id || ' line ' || lines.line_no as offending_key,
                lines.base_debit_amount + lines.base_credit_amount as difference_amount
            from marts.acc_journal_lines as lines
            left join marts.acc_journal_entries as entries on entries.entry_id = lines.entry_id
            left join marts.dim_entities as entities on entities.entity_code = entries.entity_code
            where
                $entity in (lines.entity_code, entries.entity_code)
                and (
                    entries.entry_id is null
                    or lines.entity_code <> entries.entity_code
                    or entities.base_currency_code is null
                    or lines.base_currency_code <> entities.base_currency_code
                )
        """,
    ),
    Invariant(
        name="no_canary",
        mart="acc_journal_entries",
        promise="No synthetic order stands in or behind an entry.",
        counted="select count(*) from marts.acc_journal_entries where entity_code = $entity",
        # The lineage of the models has none; this looks at their rows, whatever somebody has changed in them.
        offenders="""
            with canaries as (
                select distinct canary_order_key from marts.mon_canaries where canary_order_key is not null
            ),

            named as (
                select entry_id, order_key from marts.acc_journal_entries
                union all
                select entry_id, order_key from marts.acc_events
                union all
                select entry_id, source_key as order_key from marts.acc_journal_line_sources
            ),

            found as (
                select distinct named.entry_id, named.order_key
                from named
                inner join canaries on canaries.canary_order_key = named.order_key
            )

            select
                found.entry_id || ' of ' || found.order_key as offending_key,
                entries.base_total_amount as difference_amount
            from found
            left join marts.acc_journal_entries as entries on entries.entry_id = found.entry_id
            -- What belongs to no entry holds everybody: nobody knows whose it is.
            where coalesce(entries.entity_code, $entity) = $entity
        """,
    ),
)
