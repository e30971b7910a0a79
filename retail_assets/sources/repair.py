"""A second chance for a record that Arrow refused: harmless deviations are mended, anything else is named."""

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

import pyarrow as pa

from retail_assets.contracts import Column, ColumnType, Table, children_of
from retail_assets.sources.schema import PARSED_TYPES, own_columns

_LONGEST_SHOWN_VALUE: Final = 200
# Python's own parser would also take 1_000, other scripts' digits and blanks around.
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_SCALES: Final[dict[ColumnType, int]] = {"amount": 4, "rate": 12}
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])
_ROUNDING: Final = Context(prec=60, traps=[InvalidOperation])
# A JSON number of so many digits is a binary fraction written out: PHP's serialize_precision of 17 makes
# 7.7000000000000002 of 7.7.
_DIGITS_OF_A_FLOAT: Final = 16
# An amount is held to more: it may only be off by what no shop can mean, and have the digits of a sum of floats
# (12.3400000000001 as PHP prints it with its usual precision of 14).
_DIGITS_OF_A_SUM: Final = 14
_NOISE: Final = Decimal("1e-8")
_ABSURD: Final = Decimal("1e-20")
# MySQL's "no date", as it is, and as WordPress formats it.
_NO_DATE: Final = ("0000-00-00", "-0001-11-30")

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

    Harmless means that no value is guessed: ``[]`` for an empty object, ``""`` or ``false`` for nothing, MySQL's zero
    for no date, a number where text is declared, a whole number written as text, a list that PHP wrote with its
    positions as names. Of a rate what a float has beyond its own precision is rounded off; of an amount only what is
    plainly the noise of a float (less than 0.00000001).

    Raises:
        UnfitError: naming the field that cannot be mended.
    """
    try:
        document = json.loads(
            record.decode(), parse_float=_Number, parse_constant=_refuse_constant, object_pairs_hook=_unique_members
        )
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
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnfitError(None, None, "holds half of a surrogate pair, which is no character", key) from error


class _Number(str):
    """A JSON number with a point or an exponent, as written: no digit of it passes through a float."""

    __slots__ = ()


def _unique_members(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(members)
    if len(document) != len(members):
        names = [name for name, _ in members]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"it names {', '.join(twice)} more than once, and nobody knows which value holds")
    return document


def _repair_children(child: Table, document: dict[str, Any]) -> None:
    path = child.list_path or ""
    elements = document.get(path)
    if elements is None:
        return  # A list that is missing altogether is no empty list; the contract's check names it.
    if elements in ({}, "") or elements is False:
        document[path] = []
        return
    if isinstance(elements, dict) and all(name.isdecimal() for name in elements):
        elements = document[path] = list(elements.values())  # PHP's list from which a plugin took one out
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
            if node.get(parent) in (None, [], "") or node[parent] is False:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise UnfitError(prefix + column.source_path, node, "is not an object")
        if node.get(leaf) is not None:
            node[leaf] = _fit(column, node[leaf], prefix + column.source_path)


def _fit(column: Column, value: Any, name: str) -> Any:
    """The value in the JSON form that Arrow reads for this column type; UnfitError if it cannot be."""
    if value is False and column.type != "boolean" and not column.required:
        return None  # as PHP says that there is none
    if column.type == "text":
        if isinstance(value, (dict, list, bool)):
            raise UnfitError(name, value, "is not text")
        return str(value) if isinstance(value, str) else json.dumps(value)
    if value == "":
        return None
    if column.type == "boolean":
        if isinstance(value, bool):
            return value
        raise UnfitError(name, value, "is neither true nor false")
    unfit = UnfitError(name, value, f"is not {_TYPE_IN_WORDS[column.type]}")
    if isinstance(value, bool):
        raise unfit
    text = str(value) if isinstance(value, str) else json.dumps(value)
    if column.type in ("timestamp", "date") and text.startswith(_NO_DATE) and not column.required:
        return None
    try:
        if column.type == "integer":
            return _whole(text)
        if column.type in _SCALES:
            is_float = column.type == "rate" and isinstance(value, _Number)
            text = _plain(text, _SCALES[column.type], is_float=is_float, is_amount=column.type == "amount")
        pa.scalar(text).cast(PARSED_TYPES[column.type])
    except (ArithmeticError, pa.ArrowInvalid, ValueError) as error:
        raise unfit from error
    return text


def _whole(text: str) -> int:
    number = _number(text)
    if number != number.to_integral_value():
        raise ValueError(text)
    return pa.scalar(int(number), pa.int64()).as_py()


def _plain(text: str, scale: int, *, is_float: bool, is_amount: bool) -> str:
    """The number without exponent and with ``scale`` decimals, none of them lost but the noise of a float."""
    number, unit = _number(text), Decimal(1).scaleb(-scale)
    digits = len(number.as_tuple().digits)
    is_noisy = is_float and digits >= _DIGITS_OF_A_FLOAT
    if is_amount and digits >= _DIGITS_OF_A_SUM:
        is_noisy = abs(number) > _ABSURD and abs(number - number.quantize(unit, context=_ROUNDING)) < _NOISE
    return format(number.quantize(unit, context=_ROUNDING if is_noisy else _EXACT), "f")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return Decimal(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN_VALUE else text[:_LONGEST_SHOWN_VALUE] + "…"
