"""A second chance for a record that Arrow refused: harmless deviations are mended, anything else is named."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from retail_assets.contracts import Column, ColumnType, Table, children_of
from retail_assets.sources.schema import PARSED_TYPES, own_columns

_LONGEST_SHOWN_VALUE: Final = 200

_TYPE_IN_WORDS: Final[dict[ColumnType, str]] = {
    "integer": "a whole number of at most 64 bits",
    "amount": "an amount with at most 14 digits before and 4 after the point, such as 1234.50",
    "rate": "a number with at most 16 digits before and 12 after the point",
    "timestamp": "a date and time such as 2026-11-05T12:00:00",
    "date": "a date such as 2026-11-05",
}


class UnfitError(Exception):
    """A record cannot be brought into its contract's shape; says which field is at fault, and why."""

    def __init__(self, field: str | None, value: object, reason: str, key: str | None = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.value = None if value is None else _shown(value)
        self.reason = reason
        self.key = key


def repair(table: Table, record: bytes) -> bytes:
    """Bring one record's harmless deviations into the declared shape.

    Harmless means that no value is guessed: ``[]`` for an empty object, ``""`` for nothing, a number where text is
    declared, a whole number written as text.

    Raises:
        UnfitError: naming the field that cannot be mended.
    """
    try:
        document = json.loads(record, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnfitError(None, None, f"is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnfitError(None, document, "is not a JSON object")
    key = "/".join(str(document[name]) for name in table.primary_key if document.get(name) is not None) or None
    try:
        _repair_members(table.columns, document)
        for child in children_of(table):
            _repair_children(child, document)
    except UnfitError as error:
        error.key = key
        raise
    return json.dumps(document, default=str).encode()


def _repair_children(child: Table, document: dict[str, Any]) -> None:
    path = child.list_path or ""
    elements = document.get(path)
    if elements in (None, {}, ""):
        document[path] = []
        return
    if not isinstance(elements, list):
        raise UnfitError(path, elements, "is not a list")
    for position, element in enumerate(elements):
        if not isinstance(element, dict):
            raise UnfitError(f"{path}[{position}]", element, "is not an object")
        _repair_members(own_columns(child), element, f"{path}[{position}].")


def _repair_members(columns: Iterable[Column], document: dict[str, Any], prefix: str = "") -> None:
    for column in columns:
        if column.type == "json":
            continue
        *parents, leaf = column.source_path.split(".")
        node = document
        for parent in parents:
            if node.get(parent) in (None, [], ""):
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise UnfitError(prefix + column.source_path, node, "is not an object")
        if node.get(leaf) is not None:
            node[leaf] = _fit(column, node[leaf], prefix + column.source_path)


def _fit(column: Column, value: Any, name: str) -> Any:
    """The value in the JSON form that Arrow reads for this column type; UnfitError if it cannot be."""
    if column.type == "text":
        if isinstance(value, (dict, list)):
            raise UnfitError(name, value, "is not text")
        return value if isinstance(value, str) else json.dumps(value, default=str)
    if value == "":
        return None
    if column.type == "boolean":
        if isinstance(value, bool):
            return value
        raise UnfitError(name, value, "is neither true nor false")
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
        if column.type == "integer":
            number = Decimal(text)
            if number != number.to_integral_value() or isinstance(value, bool):
                raise UnfitError(name, value, "is not a whole number")
            pa.scalar(int(number), pa.int64())
            return int(number)
        if isinstance(value, bool):
            raise UnfitError(name, value, f"is not {_TYPE_IN_WORDS[column.type]}")
        pa.scalar(text).cast(PARSED_TYPES[column.type])
    except (ArithmeticError, pa.ArrowInvalid, OverflowError) as error:
        raise UnfitError(name, value, f"is not {_TYPE_IN_WORDS[column.type]}") from error
    return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN_VALUE else text[:_LONGEST_SHOWN_VALUE] + "…"
