"""The certificate of what a run has posted: its inputs, code, rules and checks, and the arithmetic in integers."""

import hashlib
import importlib.metadata
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from retail_assets.accounting.control import models_hash, policy_hash, seed_hashes
from retail_assets.accounting.inclusion import postings_root
from retail_assets.accounting.plan import Plan
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.erp.payload import from_payload
from retail_assets.money import AMOUNT_SCALE, exponent
from retail_assets.ops import audit, certificates, outbox
from retail_assets.ops.audit import AuditEntry
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.certificates import Certificate
from retail_assets.ops.store import exclusive, reading
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

_FORMAT: Final = 2
_CHUNK: Final = 500
_WAIT_SECONDS: Final = 600
_FOOTING: Final = {
    "gross": "gross_amount",
    "fees": "fee_amount",
    "refunds": "refund_amount",
    "disputes": "dispute_amount",
    "reserves": "reserve_amount",
    "other": "other_amount",
    "residual": "residual_amount",
    "unlisted": "unlisted_amount",
    "net": "net_amount",
    "bank": "bank_amount",
    "bank_difference": "bank_difference_amount",
}
_SETTLEMENTS: Final = f"""
    with posted as (
        select unnest(?) as entry_id
    ),

    touched as (
        select entries.settlement_key
        from posted
        inner join marts.acc_journal_entries as entries on posted.entry_id = entries.entry_id
        union
        select lines.settlement_key
        from posted
        inner join marts.acc_journal_line_sources as sources on posted.entry_id = sources.entry_id
        inner join marts.fct_settlement_lines as lines on sources.source_key = lines.settlement_line_key
    )

    select settlement_key, settlement_status, currency_code, {", ".join(_FOOTING.values())}
    from marts.rec_settlements
    where settlement_key in (select settlement_key from touched)
    order by settlement_key
"""  # noqa: S608 - the names of our own columns
_RECORDS: Final = """
    select distinct source_system, source_table, source_key, payload_sha256
    from marts.acc_journal_line_sources
    where entry_id in (select unnest(?))
    order by all
"""


def certify(
    settings: Settings, operations: Engine, plan: Plan, *, run_id: str, batch_id: str, actor: str
) -> Certificate | None:
    """Issue a certificate for what was posted for the plan's entity since its last one; None if nothing was.

    Args:
        plan: what the run set out to post.
        run_id: the run that certifies; each posting names its own.
        batch_id: the very materializations on which the gate's checks have passed.
        actor: who is answerable for it.

    Raises:
        AnchorMismatchError: the operations store is not the one that was anchored.
    """
    now, entity_code = settings.now(), plan.entity_code
    with exclusive(operations, outbox.posting_lock_name(entity_code), wait_seconds=_WAIT_SECONDS):
        found = certificates.uncertified(operations, entity_code)
        if not found.entries:
            return None
        audit.require_anchor_holds(operations, settings.audit_anchor_path)
        postings = [_posting(entry) for entry in found.entries]
        body = {
            "format": _FORMAT,
            "entity_code": entity_code,
            "erp_id": plan.books.erp_id,
            "company": plan.books.company,
            "base_currency_code": plan.books.base_currency_code,
            "decimals": exponent(plan.books.base_currency_code),
            "run_id": run_id,
            "issued_at": now,
            "previous": found.previous,
            "audit_from": found.audit_from,
            "audit_to": found.entries[-1].seq,
            "plan_digest": plan.digest(),
            "postings": postings,
            "postings_root": postings_root(postings),
            "totals": _totals(operations, found.entries, plan),
            **_evidence(settings, sorted({_entry_id(entry) for entry in found.entries})),
            "code": {"version": importlib.metadata.version("retail-assets"), "commit": _commit(settings.checkout)},
            "rules": _rules(settings, entity_code),
            "checks": {"batch": batch_id, "passed": [f"{each.mart}.{each.name}" for each in INVARIANTS]},
        }
        made = certificates.issue(operations, body, actor=actor, now=now)
    certificates.write_files(operations, settings.audit_anchor_path.with_name(certificates.FOLDER), made)
    audit.write_anchor(operations, settings.audit_anchor_path, now=now)
    return made


def _posting(entry: AuditEntry) -> dict[str, Any]:
    details = entry.content()
    names = ("document", "entry_id", "revision", "kind", "erp_id", "payload_hash", "content_hash", "run_id")
    return {"posting_key": entry.subject, **{name: details[name] for name in names}}


def _entry_id(entry: AuditEntry) -> str:
    return entry.content()["entry_id"]


def _totals(operations: Engine, entries: Sequence[AuditEntry], plan: Plan) -> dict[str, list[int]]:
    """Debits and credits of each account in minor units of the books, as they were sent."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    decimals = exponent(plan.books.base_currency_code)
    keys, entry_ids = {entry.subject for entry in entries}, sorted({_entry_id(entry) for entry in entries})
    for start in range(0, len(entry_ids), _CHUNK):
        with reading(operations) as connection:
            histories = outbox.histories(connection, entry_ids[start : start + _CHUNK])
        for posting in (row for rows in histories.values() for row in rows if row.posting_key in keys):
            for line in from_payload(posting.payload).lines:
                totals[line.account_code][0] += _integer(line.base_debit, decimals)
                totals[line.account_code][1] += _integer(line.base_credit, decimals)
    return totals


def _evidence(settings: Settings, entry_ids: Sequence[str]) -> dict[str, Any]:
    """The records that the posted entries stand on, and the settlements they belong to."""
    with opened(settings.warehouse_path) as connection:
        digest, count = hashlib.sha256(), 0
        records = connection.execute(_RECORDS, [entry_ids])
        while some := records.fetchmany(10_000):
            for row in some:
                digest.update(canonical_json(list(row)).encode() + b"\n")
            count += len(some)
        cursor = connection.execute(_SETTLEMENTS, [entry_ids])
        names = [column[0] for column in cursor.description or ()]
        settlements = [_settlement(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    entries = sha256_hex(canonical_json(list(entry_ids)))
    inputs = {"entries_sha256": entries, "records": count, "records_sha256": digest.hexdigest()}
    return {"inputs": inputs, "settlements": settlements}


def _settlement(row: dict[str, Any]) -> dict[str, Any]:
    """Promise 4 in integers. Where a gateway charges parts of a minor unit, all of it is in such parts."""
    amounts = {name: row[column] for name, column in _FOOTING.items()}
    decimals = exponent(row["currency_code"])
    if not _fits((amount for amount in amounts.values() if amount is not None), decimals):
        decimals = AMOUNT_SCALE
    return {
        "settlement_key": row["settlement_key"],
        "settlement_status": row["settlement_status"],
        "currency_code": row["currency_code"],
        "decimals": decimals,
        **{name: None if amount is None else _integer(amount, decimals) for name, amount in amounts.items()},
    }


def _rules(settings: Settings, entity_code: str) -> dict[str, Any]:
    policy = settings.configuration.policy(entity_code)
    return {
        "approval_limit": policy.approval_limit,
        "write_off_limit": policy.write_off_limit,
        "policy_sha256": policy_hash(settings, entity_code),
        "seeds_sha256": seed_hashes(settings),
        "models_sha256": models_hash(settings),
    }


def _fits(amounts: Iterable[Decimal], decimals: int) -> bool:
    return all(amount.scaleb(decimals) == amount.scaleb(decimals).to_integral_value() for amount in amounts)


def _integer(amount: Decimal, decimals: int) -> int:
    scaled = amount.scaleb(decimals)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {decimals} decimals")
    return int(scaled)


@cache
def _commit(checkout: Path) -> str | None:
    """The commit that is checked out; None where there is no repository."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - no input
    return done.stdout.strip() or None
