"""One byte representation for everything that is hashed or kept as evidence: RFC 8785 with money as strings."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import rfc8785

_SORTED: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
#: What a JSON number can be without losing digits.
_LARGEST_INTEGER: Final = 2**53 - 1


def canonical_json(value: Any) -> str:
    """RFC 8785 text of a JSON-like value: the same value gives the same text everywhere.

    Decimals become plain strings without trailing zeros (``1.10`` and ``1.1`` are the same money), datetimes UTC
    strings with microseconds, dates ISO strings.

    Raises:
        TypeError: the value holds a float, a naive datetime or something that has no place in JSON.
        ValueError: an integer is too large for JSON, or a decimal no number.
    """
    plain = _plain(value)
    text = _SORTED.encode(plain)
    # Of ASCII this is the text that RFC 8785 prescribes, made ten times faster than by rfc8785.
    return text if text.isascii() else rfc8785.dumps(plain).decode()


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 bytes of ``text``, in lower-case hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def decimal_text(amount: Decimal) -> str:
    """``Decimal("1.10")`` as ``"1.1"``, ``Decimal("-0")`` as ``"0"``; never an exponent.

    Raises:
        ValueError: the amount is not a finite number.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is not an amount")
    if amount == 0:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def utc_text(moment: datetime) -> str:
    """``2026-11-05T12:00:00.000000Z``: fixed width, so that text order is time order.

    Raises:
        TypeError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise TypeError(f"{moment.isoformat()} has no time zone: pass an aware UTC datetime")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise ValueError(f"{value} is too large for JSON: pass it as a string")
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no canonical form: use str, int, Decimal, datetime, dict or list")
