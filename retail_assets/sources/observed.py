"""What fields records really have: looked at in a sample of what passes, to notice when a source changes its shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from retail_assets.contracts import Table
from retail_assets.ops.drift import ENOUGH_RECORDS

#: Of a long page only some records are looked at: enough for a change to be seen, few enough to cost nothing.
_LOOKED_AT: Final = 5
_SHORT_PAGE: Final = 20
#: Objects that are keyed by data (ids, dates) would have a new field with every record.
_MOST_FIELDS: Final = 400
_DECODER: Final = msgspec.json.Decoder()


@dataclass(slots=True)
class SeenField:
    """One field: in how many of the records looked at it was, and the JSON types its values had (null left out)."""

    count: int = 0
    types: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Observation:
    """The fields of one table's records in one load, by dotted path; elements of a list have ``[]`` behind its name."""

    records: int = 0
    fields: dict[str, SeenField] = field(default_factory=dict)

    def look_at(self, contract: Table, records: Sequence[bytes]) -> None:
        """Look at a sample of a page; what is no JSON object is left to those who refuse it."""
        opaque = {column.source_path for column in contract.columns if column.type == "json"}
        for place in sampled_places(len(records)):
            try:
                document = _DECODER.decode(records[place])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(document, dict):
                self.records += 1
                found: dict[str, set[str]] = {}
                _collect(document, "", opaque, found)
                self._add(found)

    def look_at_headers(self, headers: Sequence[str]) -> None:
        """Look at the columns of a file: one file says for certain what is there, so it counts as many records."""
        self.records += ENOUGH_RECORDS
        for name in headers:
            seen = self.fields.setdefault(name, SeenField())
            seen.count += ENOUGH_RECORDS
            seen.types.add("text")

    def _add(self, found: dict[str, set[str]]) -> None:
        for name, types in found.items():
            if name in self.fields or len(self.fields) < _MOST_FIELDS:
                seen = self.fields.setdefault(name, SeenField())
                seen.count += 1
                seen.types |= types


def sampled_places(count: int) -> Sequence[int]:
    """Which of so many records of a page are looked at: all of a few, some of many."""
    if count <= _SHORT_PAGE:
        return range(count)
    return range(0, count, (count - 1) // (_LOOKED_AT - 1))


def _collect(document: dict[str, Any], prefix: str, opaque: set[str], found: dict[str, set[str]]) -> None:
    """Members, those of objects below them, and those of a list's elements; not deeper."""
    for name, value in document.items():
        path = prefix + name
        kinds = found.setdefault(path, set())
        kind = _kind(value)
        if kind:
            kinds.add(kind)
        if path in opaque or prefix:
            continue
        if isinstance(value, dict):
            _collect(value, f"{path}.", opaque, found)
        elif isinstance(value, list):
            for element in value[:_LOOKED_AT]:
                if isinstance(element, dict):
                    _collect(element, f"{path}[].", opaque, found)


def _kind(value: Any) -> str:
    """The JSON type; empty for null and for empty lists and objects, between which PHP makes no difference."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]
