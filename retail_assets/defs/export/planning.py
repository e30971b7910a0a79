"""From the marts and the outbox to an entity's journal plan."""

from typing import Any, Final

import duckdb
from sqlalchemy import Engine

from retail_assets.accounting.control import control_for
from retail_assets.accounting.ledger import LedgerEntry, read_ledger
from retail_assets.accounting.plan import Books, Plan, plan_entity
from retail_assets.ops import approvals, audit, outbox, periods
from retail_assets.ops.store import writing
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

_ENTRIES: Final = """
    select
        entry_id, entity_code, posting_date, base_currency_code, base_total_amount, line_count, description,
        posting_status, hold_reason, held_by_exception_id
    from marts.acc_journal_entries
    where entity_code = ?
"""
_LINES: Final = """
    select
        entry_id, line_no, entity_code, account_code, debit_amount, credit_amount, currency_code,
        base_debit_amount, base_credit_amount, base_currency_code, exchange_rate, description, account_role,
        cost_centre
    from marts.acc_journal_lines
    where entity_code = ?
"""


def plan_for(settings: Settings, operations: Engine, entity_code: str) -> Plan:
    """What would be posted for an entity now: its desired ledger minus what the outbox says is posted.

    What belongs to a closed month is dated the first open day.
    """
    entity = settings.configuration.entity(entity_code)
    books = Books(
        entity.code,
        entity.erp,
        entity.company,
        entity.base_currency,
        open_from=periods.open_from(operations, entity_code),
    )
    control = control_for(settings, operations, entity_code)
    return plan_entity(books, desired_ledger(settings, entity_code), outbox.postings(operations), control)


def ask(settings: Settings, operations: Engine, plan: Plan) -> int:
    """Ask for the approvals that a plan waits for; returns how many nobody had asked for before."""
    with writing(operations) as connection:
        new = approvals.request(connection, plan.requests, requested_by=settings.actor, now=settings.now())
    if new:
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
    return new


def desired_ledger(settings: Settings, entity_code: str) -> list[LedgerEntry]:
    """An entity's desired ledger, as the marts have it."""
    with opened(settings.warehouse_path) as connection:
        return read_ledger(_rows(connection, _ENTRIES, entity_code), _rows(connection, _LINES, entity_code))


def _rows(connection: duckdb.DuckDBPyConnection, query: str, entity_code: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query, [entity_code])
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
