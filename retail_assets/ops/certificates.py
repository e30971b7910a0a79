"""Certificates: what was posted, on what evidence and under which rules, as one text under its own hash.

A certificate covers the postings of an entity that the audit log notes after one entry, up to another, and the next one
goes on from there: so each posting is in exactly one, even if a worker died before it could certify what it had posted.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select

from retail_assets.ops import audit
from retail_assets.ops.audit import AuditEntry
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.models import audit_log, certificates
from retail_assets.ops.store import reading, writing

ISSUED: Final = "certificate.issued"
FOLDER: Final = "certificates"
ISSUED_FILE: Final = "issued.jsonl"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A row of the table; ``body`` is canonical JSON."""

    certificate_id: str
    entity_code: str
    run_id: str
    issued_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class Uncertified:
    """An entity's postings that no certificate covers, and where the last one ended."""

    previous: str | None
    audit_from: int
    entries: tuple[AuditEntry, ...]


def uncertified(engine: Engine, entity_code: str) -> Uncertified:
    """What the next certificate of an entity has to cover; hold the entity's posting lock."""
    with reading(engine) as connection:
        previous, audit_from = _last(connection, entity_code)
        columns = [audit_log.c[name] for name in AuditEntry.__dataclass_fields__]
        statement = (
            select(*columns)
            .where(audit_log.c.seq > audit_from, audit_log.c.action == "posting.posted")
            .order_by(audit_log.c.seq)
        )
        found = (AuditEntry(*row) for row in connection.execute(statement))
        entries = tuple(entry for entry in found if entry.content()["entity_code"] == entity_code)
    return Uncertified(previous, audit_from, entries)


def issue(engine: Engine, body: Mapping[str, Any], *, actor: str, now: datetime) -> Certificate:
    """Keep a certificate and note it in the audit log.

    Args:
        body: with ``entity_code``, ``run_id``, ``audit_from``, ``audit_to`` and ``postings_root`` among the rest.
    """
    text = canonical_json(dict(body))
    made = Certificate(sha256_hex(text), body["entity_code"], body["run_id"], now, text)
    named = ("entity_code", "run_id", "audit_from", "audit_to", "previous", "postings_root")
    details = {name: body[name] for name in named}
    with writing(engine) as connection:
        connection.execute(insert(certificates).values(**{name: getattr(made, name) for name in _NAMES}))
        audit.append(connection, at=now, actor=actor, action=ISSUED, subject=made.certificate_id, details=details)
    return made


def rows(engine: Engine) -> list[Certificate]:
    """Every certificate, oldest first."""
    statement = select(*(certificates.c[name] for name in _NAMES))
    with reading(engine) as connection:
        found = [Certificate(*row) for row in connection.execute(statement)]
    return sorted(found, key=lambda each: (each.issued_at, each.certificate_id))


def issued_entry(engine: Engine, certificate_id: str) -> AuditEntry:
    """The audit entry that says a certificate was issued."""
    (entry,) = audit.entries(engine, action=ISSUED, subject=certificate_id)
    return entry


def write_files(engine: Engine, folder: Path, certificate: Certificate) -> Path:
    """Write the body to ``<folder>/<id>.json``, all of it or nothing, and the audit entry's hash to ``issued.jsonl``.

    Both are for whoever checks them without us; proofs of single postings end at that hash.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{certificate.certificate_id}.json"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(certificate.body.encode())
    temporary.replace(path)
    entry = issued_entry(engine, certificate.certificate_id)
    line = {"certificate_id": certificate.certificate_id, "seq": entry.seq, "entry_hash": entry.entry_hash}
    with (folder / ISSUED_FILE).open("a", encoding="utf-8") as file:
        file.write(canonical_json(line) + "\n")
    return path


_NAMES: Final = tuple(Certificate.__dataclass_fields__)


def _last(connection: Connection, entity_code: str) -> tuple[str | None, int]:
    statement = (
        select(audit_log.c.subject, audit_log.c.details)
        .where(audit_log.c.action == ISSUED)
        .order_by(audit_log.c.seq.desc())
    )
    for row in connection.execute(statement):
        details = json.loads(row.details)
        if details["entity_code"] == entity_code:
            return row.subject, details["audit_to"]
    return None, 0
