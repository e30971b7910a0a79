"""Certificates follow one another over the audit log, on each database."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from retail_assets.ops import audit, certificates
from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.certificates import Certificate
from retail_assets.ops.store import writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def posted(store: Engine, *keys: str, entity: str = "US") -> None:
    with writing(store) as connection:
        for key in keys:
            audit.append(
                connection, at=NOW, actor="ann", action="posting.posted", subject=key, details={"entity_code": entity}
            )


def issue(store: Engine, entity: str = "US") -> Certificate:
    found = certificates.uncertified(store, entity)
    body = {"entity_code": entity, "run_id": "run", "previous": found.previous, "audit_from": found.audit_from}
    body |= {"audit_to": found.entries[-1].seq, "postings_root": "0" * 64}
    return certificates.issue(store, body, actor="ann", now=NOW)


def waiting(store: Engine, entity: str = "US") -> list[str]:
    return [entry.subject for entry in certificates.uncertified(store, entity).entries]


def test_each_goes_on_where_the_last_one_of_its_entity_ended(store: Engine) -> None:
    """With one clock for all runs the order of certificates is in the audit log alone."""
    posted(store, "a#1", "b#1")
    posted(store, "c#1", entity="DE")
    assert waiting(store) == ["a#1", "b#1"]
    first = issue(store)
    assert (waiting(store), waiting(store, "DE")) == ([], ["c#1"])
    issue(store, "DE")
    posted(store, "d#1")
    found = certificates.uncertified(store, "US")
    assert ([entry.subject for entry in found.entries], found.previous) == (["d#1"], first.certificate_id)
    issue(store)
    assert len(certificates.rows(store)) == 3
    assert audit.verify(store) == []


def test_its_file_is_its_body(store: Engine, tmp_path: Path) -> None:
    """Whoever checks it without us hashes the file."""
    posted(store, "a#1")
    made = issue(store)
    path = certificates.write_files(store, tmp_path / "certificates", made)
    assert sha256_hex(path.read_text(encoding="utf-8")) == made.certificate_id == path.stem
    assert sorted(each.name for each in path.parent.iterdir()) == sorted((path.name, "issued.jsonl"))
    assert certificates.issued_entry(store, made.certificate_id).entry_hash in (
        path.with_name("issued.jsonl").read_text(encoding="utf-8")
    )
