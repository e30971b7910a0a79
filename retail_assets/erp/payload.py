"""A journal entry as canonical JSON, for the outbox, and back."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

from retail_assets.erp.protocol import JournalEntry, JournalLine
from retail_assets.ops.canonical import canonical_json

_AMOUNTS = ("debit", "credit", "base_debit", "base_credit", "exchange_rate")


def to_payload(entry: JournalEntry) -> str:
    """The entry as RFC 8785 text, amounts as strings: equal entries have equal text."""
    # Not ``asdict``: it copies every amount.
    return canonical_json(_fields(entry) | {"lines": [_fields(line) for line in entry.lines]})


def _fields(record: JournalEntry | JournalLine) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in record.__slots__}
    # What was written before there were cost centres, and what has none, reads the same.
    if not fields.get("cost_centre", True):
        del fields["cost_centre"]
    return fields


def from_payload(payload: str) -> JournalEntry:
    """The entry that ``to_payload`` wrote down."""
    fields = json.loads(payload)
    lines = (
        JournalLine(**line | {name: Decimal(line[name]) for name in _AMOUNTS})  # pyright: ignore[reportArgumentType]
        for line in fields["lines"]
    )
    return JournalEntry(**fields | {"posting_date": date.fromisoformat(fields["posting_date"]), "lines": tuple(lines)})
