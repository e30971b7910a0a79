"""Local times with a zone's abbreviation, as Adyen's reports have them, to UTC; by columns."""

import re
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import Faults

_HOUR: Final = 60
#: Abbreviation → minutes east of UTC. Only those that mean one offset wherever Adyen has merchants: CST, IST and AST
#: are not here, as they stand for several. BST is British Summer Time (Adyen's documentation of the report).
OFFSETS: Final = MappingProxyType(
    dict.fromkeys(("UTC", "GMT", "Z", "UCT", "WET"), 0)
    | dict.fromkeys(("CET", "BST", "WEST", "MEZ"), _HOUR)
    | dict.fromkeys(("CEST", "EET", "SAST", "MESZ"), 2 * _HOUR)
    | dict.fromkeys(("EEST", "MSK", "TRT", "EAT"), 3 * _HOUR)
    | {"ICT": 7 * _HOUR, "WIB": 7 * _HOUR, "NPT": 345, "ACST": 570, "ACDT": 630}
    | dict.fromkeys(("SGT", "HKT", "MYT", "PHT", "AWST"), 8 * _HOUR)
    | dict.fromkeys(("JST", "KST"), 9 * _HOUR)
    | {"AEST": 10 * _HOUR, "AEDT": 11 * _HOUR, "NZST": 12 * _HOUR, "NZDT": 13 * _HOUR}
    | dict.fromkeys(("BRT", "ART", "ADT"), -3 * _HOUR)
    | {"BRST": -2 * _HOUR, "NST": -210, "NDT": -150, "COT": -5 * _HOUR, "PET": -5 * _HOUR, "CLT": -4 * _HOUR}
    | {"EST": -5 * _HOUR, "EDT": -4 * _HOUR, "CDT": -5 * _HOUR, "MST": -7 * _HOUR, "MDT": -6 * _HOUR}
    | {"PST": -8 * _HOUR, "PDT": -7 * _HOUR, "AKST": -9 * _HOUR, "AKDT": -8 * _HOUR, "HST": -10 * _HOUR}
)
_NUMERIC: Final = re.compile(r"(?:GMT|UTC)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
_FORM: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?$"
_DAY_LENGTH: Final = len("2026-11-05")


def to_utc(
    text: Any, zones: Any, *, column: str, zone_column: str, default: str | None, faults: Faults
) -> pa.TimestampArray:
    """Local times as UTC (microseconds); rows without a time are null.

    Args:
        text: "2026-11-05 12:00:00", a date alone being its midnight; null or blank for none.
        zones: the rows' zones: an abbreviation, an offset such as GMT+8, or an IANA name; null for none.
        column, zone_column: names of the two in the file, for faults.
        default: IANA zone for rows whose own zone is missing, unknown or stands for several offsets.
        faults: rows that cannot be read are noted here and become null.
    """
    fits = pc.fill_null(pc.match_substring_regex(text, _FORM), True)
    local = _local(pc.if_else(fits, text, pa.scalar(None, pa.string())))
    for row in pc.indices_nonzero(pc.and_(pc.is_valid(text), pc.is_null(local))).to_pylist():
        faults.setdefault(row, (column, text[row].as_py()[:200], "is not a date and time such as 2026-11-05 12:00:00"))
    result: Any = pa.nulls(len(local), pa.timestamp("us", tz="UTC"))
    for zone in pc.unique(zones).to_pylist():
        rows = pc.is_null(zones) if zone is None else pc.fill_null(pc.equal(zones, zone), False)
        moments = _moments(local, zone, default)
        if moments is not None:
            result = pc.if_else(rows, moments, result)
            continue
        reason = (
            "is no time zone that stands for one offset: set time_zone of this gateway to the merchant account's zone, "
            "for example Europe/Amsterdam"
        )
        for row in pc.indices_nonzero(pc.and_(rows, pc.is_valid(local))).to_pylist():
            faults.setdefault(row, (zone_column, zone, reason))
    return result


def _moments(local: Any, zone: str | None, default: str | None) -> Any:
    """All local times as if they were of one zone; None if that zone has no known offset."""
    minutes = None if zone is None else offset_of(zone)
    if minutes is not None:
        return pc.assume_timezone(pc.subtract(local, pa.scalar(timedelta(minutes=minutes), pa.duration("us"))), "UTC")
    name = zone if zone is not None and "/" in zone and _is_zone(zone) else default
    if name is None:
        return None
    # The hour that comes twice is taken as its first; there is no telling.
    moments = pc.assume_timezone(local, name, ambiguous="earliest", nonexistent="latest")
    return moments.cast(pa.timestamp("us", tz="UTC"))


def offset_of(zone: str) -> int | None:
    """Minutes east of UTC of an abbreviation or an offset such as GMT+08:00; None if it stands for none or several."""
    known = OFFSETS.get(zone.upper())
    found = _NUMERIC.fullmatch(zone)
    if known is not None or found is None:
        return known
    minutes = int(found[2]) * _HOUR + int(found[3] or 0)
    return minutes if found[1] == "+" else -minutes


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _local(text: Any) -> Any:
    """Naive times; null where the form is right but there is no such day or hour."""
    blank = pc.replace_substring(text, "T", " ")
    is_day = pc.equal(pc.utf8_length(blank), _DAY_LENGTH)
    full = pc.if_else(is_day, pc.binary_join_element_wise(blank, "00:00:00", " "), blank)
    try:
        return full.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return pa.array([_moment(value) for value in full.to_pylist()], pa.timestamp("us"))


def _moment(value: str | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromisoformat(value)
    except ValueError:
        return None
