"""Reading what changed, and noticing what is gone, for ERPs whose records have numbers as ids (Odoo, Tryton).

A list is walked by id, so that a record which changes meanwhile neither moves nor hides another one. The newest change
is asked for before the walk, and the next load starts there less an overlap: changes are stamped when their transaction
starts and appear when it ends. Records that are deleted leave no trace, so all ids are compared now and then with those
that were seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import dlt

from retail_assets.contracts import table
from retail_assets.erp.errors import NotOfferedError
from retail_assets.sources.erp import ids as idsets
from retail_assets.sources.erp.rows import Record, take
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import from_rows

OVERLAP: Final = timedelta(minutes=10)
_CURSOR: Final = "modified"
#: Where a first load that is taken in portions stands, and what was the newest change when it began.
_PORTION: Final = "portion"
_KNOWN, _GONE, _WANTED, _COMPARED = "known", "gone", "wanted", "compared_at"
# A user who lost a right sees less, and nothing was deleted: below this many missing records it is believed.
_FEW: Final = 10

Row = tuple[Record, bytes]
#: Where a walk can go on: what its ``Records`` need for that, as JSON.
Position = list[Any]


class Records(Protocol):
    """One kind of record of one ERP."""

    def newest(self) -> str | None:
        """The latest change, by the ERP's clock; None if there are no records."""
        ...

    def pages(self, since: str | None, after: Position | None = None) -> Iterator[tuple[list[Row], Position]]:
        """Everything that changed at or after ``since``, in order of id, each page with the position behind it."""
        ...

    def by_ids(self, ids: Iterable[str]) -> Iterator[list[Row]]:
        """These records, as far as they exist."""
        ...

    def ids(self) -> set[str]:
        """The ids of all records there are."""
        ...


@dataclass
class Memory:
    """Which ids a source has seen, by table; kept in the source's state between loads."""

    _known: dict[str, set[str]] = field(default_factory=dict)

    def known(self, name: str) -> set[str]:
        """Ids that were seen and not found gone; the set itself, to be added to."""
        if name not in self._known:
            self._known[name] = idsets.decode(_shared(_KNOWN).get(name, []))
        return self._known[name]

    def save(self, name: str) -> None:
        """Write the known ids of a table into the state."""
        _shared(_KNOWN)[name] = idsets.encode(self.known(name))


def _shared(part: str) -> dict[str, Any]:
    return dlt.current.source_state().setdefault(part, {})


def not_offered(intake: Intake, name: str, error: NotOfferedError) -> None:
    """Say clearly that a table is not filled, and why; the others are."""
    intake.counts_of(name).notes.append(f"{name} of {intake.instance} are not loaded: {error}")


def changed(intake: Intake, name: str, records: Records, memory: Memory) -> Iterator[Any]:
    """Records changed since the last load, and those that a comparison found to be missing.

    A reading of all records may stop behind any page and go on there. What changes meanwhile, before or behind that
    place, is left to the next load, since the cursor becomes the newest change when the reading began.
    """
    state = dlt.current.resource_state()
    known = memory.known(name)
    wanted = idsets.decode(_shared(_WANTED).pop(name, []))
    try:
        newest = records.newest()
        portion: dict[str, Any] = state.pop(_PORTION, {})
        since = None if portion else _since(intake, name, state.get(_CURSOR), newest)
        newest = portion.get("newest", newest)
        for page, position in records.pages(since, portion.get("after")):
            known.update(row["id"] for row, _ in page if isinstance(row.get("id"), str))
            yield from take(intake, name, page, f"{name} from id {page[0][0].get('id')}")
            if since is None and intake.portion_full():
                state[_PORTION] = {"after": position, "newest": newest}
                _shared(_WANTED)[name] = idsets.encode(wanted)
                memory.save(name)
                intake.more(name)
                return
        for page in records.by_ids(sorted(wanted - known)) if wanted else ():
            known.update(row["id"] for row, _ in page if isinstance(row.get("id"), str))
            yield from take(intake, name, page, f"{name} found by comparison, from id {page[0][0].get('id')}")
    except NotOfferedError as error:
        not_offered(intake, name, error)
        return
    memory.save(name)
    state[_CURSOR] = newest


def whole(intake: Intake, name: str, records: Records, memory: Memory) -> Iterator[Any]:
    """All records, each time: for states, whose changes an ERP does not always stamp; what is missing is gone."""
    present: set[str] = set()
    try:
        for page, _ in records.pages(None):
            present.update(row["id"] for row, _ in page if isinstance(row.get("id"), str))
            yield from take(intake, name, page, f"{name} from id {page[0][0].get('id')}")
    except NotOfferedError as error:
        not_offered(intake, name, error)
        return
    yield from settle(intake, name, memory, memory.known(name) - present, present, largest_share=1)
    memory.known(name).update(present)
    memory.save(name)


def compared(
    intake: Intake,
    present_ids: Mapping[str, Callable[[], set[str]]],
    memory: Memory,
    hours: int,
) -> Iterator[Any]:
    """Tombstones for records that are gone without a trace, where a comparison is due.

    Args:
        present_ids: by table, how to list all ids.
        hours: how often; 0 for always.
    """
    intake.counts_of("deletions")
    state = dlt.current.resource_state()
    last = state.get(_COMPARED)
    if last is not None and not _is_due(last, intake.now, hours):
        return
    for name, list_ids in present_ids.items():
        # Before the list is asked for: what another resource reads after that is not missing from it.
        known = set(memory.known(name))
        try:
            present = list_ids()
        except NotOfferedError:
            continue  # The table's own resource says so.
        if known:
            _shared(_WANTED)[name] = idsets.encode(present - known)
        yield from settle(intake, name, memory, known - present, present, largest_share=0.5)
        memory.save(name)
    state[_COMPARED] = intake.now.isoformat()


def settle(
    intake: Intake, name: str, memory: Memory, missing: set[str], present: set[str], *, largest_share: float
) -> Iterator[Any]:
    """Tombstones for ``missing``; those of former loads that are present again are withdrawn."""
    known = memory.known(name)
    gone = idsets.decode(_shared(_GONE).get(name, []))
    if len(missing) > max(_FEW, largest_share * len(known)) or (len(missing) > _FEW and not present):
        intake.counts_of("deletions").notes.append(
            f"{len(missing)} of {len(known)} known {name} cannot be seen any more; that many are taken for a lost "
            "right of our user, not for deletions: nothing is marked as deleted"
        )
        missing = set()
    back = gone & present
    known.difference_update(missing)
    _shared(_GONE)[name] = idsets.encode((gone | missing) - back)
    rows = [*_tombstones(name, missing, True), *_tombstones(name, back, False)]
    yield from deletion_rows(intake, rows)


def deletion_rows(intake: Intake, rows: list[Record]) -> Iterator[Any]:
    """Rows of ``raw_erp.deletions`` for dlt, counted."""
    if not rows:
        return
    counts = intake.counts_of("deletions")
    counts.received += len(rows)
    counts.loaded += len(rows)
    contract = table("erp", "deletions")
    payloads = [b"{}"] * len(rows)
    yield merge_item(
        contract,
        from_rows(contract, rows, instance=intake.instance, loaded_at=intake.now, payloads=payloads),
    )


def _tombstones(name: str, ids: set[str], is_deleted: bool) -> Iterator[Record]:
    for identity in sorted(ids):
        yield {"table_name": name, "id": identity, "is_deleted": is_deleted, "found_by": "comparison"}


def _since(intake: Intake, name: str, cursor: str | None, newest: str | None) -> str | None:
    """Where to start; from the beginning if the newest change lies before the last one that was read."""
    if cursor is None or newest is None:
        return None
    if newest < cursor:
        intake.counts_of(name).notes.append(
            f"the newest change ({newest}) lies before the last one read ({cursor}), as after a restore: all are read"
        )
        return None
    return overlapped(cursor)


def overlapped(cursor: str) -> str:
    """The cursor less the overlap, in the same form."""
    start = datetime.fromisoformat(cursor) - OVERLAP
    return start.isoformat(" ", "microseconds" if "." in cursor else "seconds")


def _is_due(last: str, now: datetime, hours: int) -> bool:
    moment = datetime.fromisoformat(last)
    # A time in the future is none of ours: compare, and write a true one.
    return now < moment or now - moment >= timedelta(hours=hours)
