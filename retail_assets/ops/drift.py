"""How the shape of each source's records changes: fields that come, go or change their type."""

from collections.abc import Container, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from sqlalchemy import Connection, Engine, select

from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.ops.models import observed_fields, source_drift
from retail_assets.ops.store import EXCLUDED, reading, upsert, writing

DriftKind = Literal["added", "dropped", "retyped"]

#: Below this many records the absence of a field says nothing.
ENOUGH_RECORDS: Final = 10


class SeenField(Protocol):
    """One field as it was seen in a load: in how many records, with which JSON types."""

    @property
    def count(self) -> int: ...

    @property
    def types(self) -> Set[str]: ...


class Observation(Protocol):
    """What a load saw of one table's records: how many were looked at, and their fields by dotted path."""

    @property
    def records(self) -> int: ...

    @property
    def fields(self) -> Mapping[str, SeenField]: ...


@dataclass(frozen=True, slots=True)
class Drift:
    """One change of one field, against what earlier loads of the same instance saw."""

    table_name: str
    field: str
    kind: DriftKind
    before: str
    after: str

    def __str__(self) -> str:
        if self.kind == "added":
            return f"{self.table_name}: new field {self.field} ({self.after})"
        if self.kind == "dropped":
            return f"{self.table_name}: field {self.field} ({self.before}) is in no record any more"
        return f"{self.table_name}: field {self.field} was {self.before}, is now {self.after}"


def record(
    engine: Engine, *, system: str, instance_id: str, observations: Mapping[str, Observation], now: datetime
) -> list[Drift]:
    """Compare what a load saw with what was seen before, and remember it.

    A field counts as dropped when every record had it before and, of at least ten looked at, none has it now; once
    reported it is forgotten, so that its return is news. The first load of a table only remembers.

    Args:
        observations: what was seen, by table.

    Returns:
        The changes; each is kept under an id of its own, and only once for as long as it is the same change.
    """
    found: list[Drift] = []
    with writing(engine) as connection:
        for table_name, observation in observations.items():
            if observation.records:
                key = {"system": system, "instance_id": instance_id, "table_name": table_name}
                found += _record_table(connection, key, observation, now)
    return found


def _record_table(
    connection: Connection, key: Mapping[str, str], observation: Observation, now: datetime
) -> list[Drift]:
    before = {
        row["field"]: dict(row)
        for row in connection.execute(
            select(observed_fields).where(*(observed_fields.c[name] == value for name, value in key.items()))
        ).mappings()
    }
    drifts = list(_compare(key["table_name"], before, observation)) if before else []
    gone = {drift.field for drift in drifts if drift.kind == "dropped"}
    remembered = [
        _remembered(key, name, before.get(name), observation, now) for name in {*before, *observation.fields} - gone
    ]
    changes: dict[str, Any] = dict.fromkeys(("json_types", "seen", "looked_at", "last_seen_at"), EXCLUDED)
    upsert(connection, observed_fields, remembered, changes)
    for name in sorted(gone):
        where = {**key, "field": name}
        connection.execute(observed_fields.delete().where(*(observed_fields.c[c] == v for c, v in where.items())))
    kept = [
        {
            "drift_id": _drift_id(key, drift),
            **key,
            "field": drift.field,
            "kind": drift.kind,
            "before": drift.before,
            "after": drift.after,
            "first_seen_at": now,
            "last_seen_at": now,
        }
        for drift in drifts
    ]
    upsert(connection, source_drift, kept, {"last_seen_at": EXCLUDED})
    return drifts


def rows(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every change that was ever noticed, with the columns of ``raw_ops.source_drift``."""
    statement = select(source_drift).order_by(source_drift.c.first_seen_at, source_drift.c.drift_id)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(statement).mappings()]
    yield from found


def _remembered(
    key: Mapping[str, str], name: str, before: Mapping[str, Any] | None, observation: Observation, now: datetime
) -> dict[str, Any]:
    seen = observation.fields.get(name)
    return {
        **key,
        "field": name,
        "json_types": ",".join(sorted(set(seen.types if seen else ()) | set(_types(before)))),
        "seen": (seen.count if seen else 0) + (before["seen"] if before else 0),
        "looked_at": observation.records + (before["looked_at"] if before else 0),
        "first_seen_at": before["first_seen_at"] if before else now,
        "last_seen_at": now if seen or before is None else before["last_seen_at"],
    }


def _compare(table_name: str, before: Mapping[str, Mapping[str, Any]], now: Observation) -> Iterator[Drift]:
    for name, seen in sorted(now.fields.items()):
        types = ",".join(sorted(seen.types)) or "empty"
        if name not in before:
            yield Drift(table_name, name, "added", "", types)
            continue
        known = set(_types(before[name]))
        if known and not set(seen.types) <= known:
            yield Drift(table_name, name, "retyped", ",".join(sorted(known)), types)
    if now.records < ENOUGH_RECORDS:
        return
    for name, row in sorted(before.items()):
        always = row["seen"] == row["looked_at"] and row["looked_at"] >= ENOUGH_RECORDS
        if name not in now.fields and always and not _is_nested(name, before):
            yield Drift(table_name, name, "dropped", row["json_types"] or "empty", "")


def _is_nested(name: str, known: Container[str]) -> bool:
    """A member of another field; a column of a file may have a dot in its name."""
    return "." in name and name.split(".")[0].removesuffix("[]") in known


def _types(row: Mapping[str, Any] | None) -> list[str]:
    return row["json_types"].split(",") if row and row["json_types"] else []


def _drift_id(key: Mapping[str, str], drift: Drift) -> str:
    parts = [key["system"], key["instance_id"], drift.table_name, drift.field, drift.kind, drift.before, drift.after]
    return sha256_hex(canonical_json(parts))[:32]
