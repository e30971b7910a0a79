"""How WooCommerce reads the query of a list: limits, order, dates with their odd zone rule, statuses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import JSONResponse

_DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?$", re.IGNORECASE)
_DATE_PARAMETERS: Final = ("after", "before", "modified_after", "modified_before")
_MAX_PER_PAGE: Final = 100

STATUSES: Final = {
    "pending": "Pending payment",
    "processing": "Processing",
    "on-hold": "On hold",
    "completed": "Completed",
    "cancelled": "Cancelled",
    "refunded": "Refunded",
    "failed": "Failed",
    "checkout-draft": "Draft",
}


class BadParameterError(Exception):
    """A parameter that WordPress refuses with status 400."""

    def __init__(self, name: str, message: str, code: str = "rest_invalid_param") -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.code = code

    def response(self) -> JSONResponse:
        """WordPress' own error body."""
        details = {self.name: {"code": self.code, "message": self.message, "data": None}}
        body = {
            "code": "rest_invalid_param",
            "message": f"Invalid parameter(s): {self.name}",
            "data": {"status": 400, "params": {self.name: self.message}, "details": details},
        }
        return JSONResponse(body, status_code=400)


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for."""

    number: int
    size: int
    offset: int


def whole_number(query: Mapping[str, str], name: str, default: int, lowest: int, highest: int | None = None) -> int:
    """A whole number within its bounds; nothing is capped silently.

    Raises:
        BadParameterError: no number, or outside the bounds.
    """
    value = query.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"-?\d+", value):
        raise BadParameterError(name, f"{name} is not of type integer.", "rest_invalid_type")
    number = int(value)
    if highest is not None and not lowest <= number <= highest:
        message = f"{name} must be between {lowest} (inclusive) and {highest} (inclusive)"
        raise BadParameterError(name, message, "rest_out_of_bounds")
    if number < lowest:
        raise BadParameterError(name, f"{name} must be greater than or equal to {lowest}", "rest_out_of_bounds")
    return number


def page_of(query: Mapping[str, str]) -> Page:
    """Page and page size: 10 by default, 100 at most. An ``offset`` beats the page's number."""
    number, size = whole_number(query, "page", 1, 1), whole_number(query, "per_page", 10, 1, _MAX_PER_PAGE)
    return Page(number, size, whole_number(query, "offset", (number - 1) * size, 0))


def choice(query: Mapping[str, str], name: str, default: str, allowed: Sequence[str]) -> str:
    """One of a fixed list of words.

    Raises:
        BadParameterError: the value is not in the list.
    """
    value = query.get(name, default)
    if value not in allowed:
        raise BadParameterError(name, f"{name} is not one of {', '.join(allowed)}.", "rest_not_in_enum")
    return value


def moments(query: Mapping[str, str], zone: ZoneInfo) -> dict[str, int]:
    """The date filters as Unix seconds.

    A value without offset is GMT with ``dates_are_gmt`` and shop-local time without. A value with an offset is right
    without the flag; with it, it is turned into shop-local time and then read as GMT, so it is off by the shop's zone.
    """
    are_gmt = query.get("dates_are_gmt", "").lower() in ("true", "1", "yes")
    found: dict[str, int] = {}
    for name in _DATE_PARAMETERS:
        value = query.get(name)
        if value is None:
            continue
        if not _DATE.match(value):
            raise BadParameterError(name, "Invalid date.", "rest_invalid_date")
        try:
            moment = datetime.fromisoformat(value.upper().replace(" ", "T"))
        except ValueError as error:
            raise BadParameterError(name, "Invalid date.", "rest_invalid_date") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if are_gmt else zone)
        elif are_gmt:
            moment = moment.astimezone(zone).replace(tzinfo=UTC)
        found[name] = int(moment.timestamp())
    return found


def statuses_of(pairs: Sequence[tuple[str, str]]) -> set[str] | None:
    """The statuses asked for; None is ``any``: all but trash. ``any`` beats everything named beside it.

    Raises:
        BadParameterError: a word that is no status.
    """
    named: list[str] = []
    for name, value in pairs:
        if name == "status" or name.startswith("status["):
            named += [word.strip() for word in value.split(",") if word.strip()]
    allowed = {*STATUSES, "any", "trash", "auto-draft"}
    for word in named:
        if word not in allowed:
            message = f"status[0] is not one of {', '.join(sorted(allowed))}."
            raise BadParameterError("status", message, "rest_not_in_enum")
    return None if not named or "any" in named else set(named)


def ids_of(pairs: Sequence[tuple[str, str]], name: str) -> list[int]:
    """A list of ids: ``include=1,2`` or ``include[]=1&include[]=2``.

    Raises:
        BadParameterError: something that is no number.
    """
    found: list[int] = []
    for key, value in pairs:
        if key == name or key.startswith(f"{name}["):
            for word in value.split(","):
                if word.strip() and not word.strip().isdigit():
                    raise BadParameterError(name, f"{name}[0] is not of type integer.", "rest_invalid_type")
                if word.strip():
                    found.append(int(word))
    return found


def fields_of(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The fields asked for by ``_fields``, each as a path; empty for all."""
    words = [
        word.strip()
        for key, value in pairs
        if key == "_fields" or key.startswith("_fields[")
        for word in value.split(",")
    ]
    return [word.split(".") for word in words if word]


def only(record: dict[str, Any], fields: Sequence[Sequence[str]]) -> dict[str, Any]:
    """``record`` with nothing but ``fields``; a dotted field keeps part of an object."""
    kept: dict[str, Any] = {}
    for path in fields:
        name = path[0]
        if name not in record:
            continue
        value = record[name]
        if len(path) == 1 or not isinstance(value, dict):
            kept[name] = value
        else:
            part = only(value, [path[1:]])
            kept[name] = {**kept[name], **part} if isinstance(kept.get(name), dict) else part
    return kept
