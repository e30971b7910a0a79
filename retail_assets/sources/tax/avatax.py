"""Avalara AvaTax: all revisions of a company's documents, each with its tax by jurisdiction."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import dlt
import msgspec
import pyarrow as pa
from requests.auth import HTTPBasicAuth

from retail_assets.contracts import table
from retail_assets.http import HttpClient
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import TaxEngine
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, convert, from_rows
from retail_assets.sources.schema import ARROW_TYPES

_PAGE_SIZE: Final = 1000
#: Read again on every run: a document's ``modifiedDate`` is set before it can be seen.
OVERLAP: Final = timedelta(minutes=10)
#: How often the documents of the look-back are read again. Whether filing a return (``locked``) moves ``modifiedDate``
#: is not documented.
SWEEP_EVERY: Final = timedelta(days=1)
_CURSOR: Final = "modified"
_SWEPT: Final = "swept"
_PORTION: Final = "portion"
_MOMENT: Final = "%Y-%m-%dT%H:%M:%S"
# Avalara's own escapes for what its servers refuse in a path (AvaTax REST v2, ListTransactionsByCompany).
_ESCAPES: Final = {character: f"_-ava{ord(character):02x}-_" for character in "/+?%#"}


class UnexpectedAnswerError(Exception):
    """The answer is not one of AvaTax's transaction API."""


class _Page(msgspec.Struct):
    value: list[msgspec.Raw]
    count: int | None = msgspec.field(default=None, name="@recordsetCount")
    next_link: str | None = msgspec.field(default=None, name="@nextLink")


class _Summary(msgspec.Struct, rename="camel"):
    """One line of a document's summary; numbers as written, none passes through a float."""

    country: str
    juris_type: str
    taxable: Decimal
    non_taxable: Decimal
    exemption: Decimal
    tax: Decimal
    region: str | None = None
    juris_code: str | None = None
    juris_name: str | None = None
    tax_type: str | None = None
    tax_name: str | None = None
    rate_type: str | None = None
    rate: Decimal | None = None
    tax_calculated: Decimal | None = None


class _Head(msgspec.Struct, rename="camel"):
    id: int
    code: str
    modified_date: str | None = None
    total_tax: Decimal | None = None
    summary: msgspec.Raw = msgspec.Raw(b"null")


class _Identified(msgspec.Struct):
    id: int | None = None


_PAGE: Final = msgspec.json.Decoder(_Page)
_HEAD: Final = msgspec.json.Decoder(_Head)
_SUMMARY: Final = msgspec.json.Decoder(list[_Summary] | None)
_ID: Final = msgspec.json.Decoder(_Identified)
_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def escaped(code: str) -> str:
    """A company or document code as a part of an AvaTax path."""
    return quote("".join(_ESCAPES.get(character, character) for character in code), safe="")


class AvaTaxClient:
    """AvaTax's REST API of one company, read only."""

    def __init__(self, engine: TaxEngine) -> None:
        self._path = f"companies/{escaped(engine.option('company_code'))}/transactions"
        self._http = HttpClient(
            f"{engine.base_url}/api/v2",
            auth=HTTPBasicAuth(engine.option("account_id"), engine.secret("license_key")),
            headers={"X-Avalara-Client": "retail-assets; 1.0; REST; v2; "},
            requests_per_second=engine.requests_per_second,
            timeout=engine.timeout_seconds,
            retries=engine.retries,
        )

    def pages(self, condition: str) -> Iterator[tuple[list[bytes], str, datetime]]:
        """All documents that meet a ``$filter``, by id, as (records, origin, the server's time) pages.

        Ids only grow, and a document keeps its own while it changes: a page seam can repeat one, but not lose it.

        Raises:
            UnexpectedAnswerError: the answer is no list of AvaTax's, or ends before the number it names.
        """
        skip = 0
        while True:
            parameters = {
                "$filter": condition,
                "$include": "SummaryOnly",
                "$orderBy": "id ASC",
                "$top": _PAGE_SIZE,
                "$skip": skip,
            }
            response = self._http.get(self._path, parameters)
            try:
                page = _PAGE.decode(response.content)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise UnexpectedAnswerError(f"GET {self._path} did not answer with an AvaTax list: {error}") from error
            records = [bytes(raw) for raw in page.value]
            if records:
                sent = response.headers.get("Date")
                yield (
                    records,
                    f"GET {self._path} from {skip}",
                    parsedate_to_datetime(sent) if sent else datetime.now(UTC),
                )
            skip += len(records)
            if page.count is not None:
                if skip >= page.count:
                    return
                if not records:
                    raise UnexpectedAnswerError(f"GET {self._path} names {page.count} documents, but brought {skip}")
            elif not records or (page.next_link is None and len(records) < _PAGE_SIZE):
                return

    def ping(self) -> None:
        """One request that needs the credentials and the company."""
        self._http.get(self._path, {"$filter": f"date ge '{date.max}'", "$top": 1})

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def transactions(engine: TaxEngine, intake: Intake) -> Iterator[Any]:
    """Documents that changed since the last load and, once a day, those dated within the look-back.

    Raises:
        ValueError: ``code_pattern`` is no regular expression.
    """
    state = dlt.current.resource_state()
    pattern = _pattern(engine)
    client = AvaTaxClient(engine)
    swept = believed(state, _SWEPT, intake.now)
    cursor: str | None = believed(state, _CURSOR, intake.now)
    # A first load that was taken in portions goes on behind the last document of the one before.
    portion: dict[str, Any] = state.pop(_PORTION, {}) if cursor is None else {}
    seen: set[int] = set()
    newest, began = cursor or portion.get("newest", ""), portion.get("began", "")
    for condition in _conditions(engine, cursor, swept, portion, intake.now):
        for records, origin, server_time in client.pages(condition):
            began = began or server_time.astimezone(UTC).strftime(_MOMENT)
            fresh = [record for record in records if _is_new(record, seen)]
            batch, latest = _converted(fresh, pattern, intake, f"{intake.instance}: {origin}")
            newest = max(newest, latest)
            yield from intake.take(batch, "avatax_transactions")
            if cursor is None and seen and intake.portion_full():
                state[_PORTION] = {"after": max(seen), "newest": newest, "began": began}
                intake.more("avatax_transactions")
                return
    if cursor is None or _is_due(swept, intake.now):
        state[_SWEPT] = intake.now.isoformat()
    if newest and began:
        # What changes while a long walk goes on must be read next time, even if a later change was seen.
        state[_CURSOR] = min(newest, began)


def _conditions(
    engine: TaxEngine, cursor: str | None, swept: str | None, portion: Mapping[str, Any], now: datetime
) -> list[str]:
    """The ``$filter`` of each walk of a load; a filter without a date would mean the last 30 days."""
    first = engine.option("start_date")
    if cursor is None:
        return [f"date ge '{first}'" + (f" and id gt {portion['after']}" if portion else "")]
    since = (datetime.fromisoformat(cursor) - OVERLAP).strftime(_MOMENT)
    conditions = [f"date ge '{first}' and modifiedDate ge '{since}'"]
    if _is_due(swept, now):
        recent = (now - timedelta(days=engine.option("lookback_days"))).date().isoformat()
        conditions.append(f"date ge '{max(first, recent)}'")
    return conditions


def _is_due(swept: str | None, now: datetime) -> bool:
    return swept is None or now - datetime.fromisoformat(swept) >= SWEEP_EVERY


def _pattern(engine: TaxEngine) -> re.Pattern[str]:
    written = engine.option("code_pattern")
    try:
        return re.compile(written)
    except re.error as error:
        raise ValueError(f"{engine.id}: code_pattern {written!r} is no regular expression: {error}") from error


def _is_new(record: bytes, seen: set[int]) -> bool:
    try:
        identity = _ID.decode(record).id
    except (msgspec.MsgspecError, RecursionError):
        return True
    if identity is None:
        return True
    known = identity in seen
    seen.add(identity)
    return not known


def _converted(records: Sequence[bytes], pattern: re.Pattern[str], intake: Intake, origin: str) -> tuple[Batch, str]:
    """The documents of a page with their summaries, and the latest change; one with a bad summary is rejected whole."""
    contract, child = table("tax", "avatax_transactions"), table("tax", "avatax_summaries")
    good: list[bytes] = []
    given: list[Mapping[str, Any]] = []
    rejected: list[Rejection] = []
    summaries: dict[int, list[dict[str, Any]]] = {}
    latest = ""
    for record in records:
        try:
            head = _HEAD.decode(record)
        except _UNREADABLE as error:
            # What is wrong with the document itself is named best by the check of the contract.
            alone = convert(contract, [record], instance=intake.instance, loaded_at=intake.now, origin=origin)
            unread = Rejection(None, None, None, f"cannot be read: {error}", f"{origin}, record ?", record)
            rejected.extend(alone.rejected or [unread])
            continue
        try:
            summaries[head.id] = _summary_of(head)
        except ValueError as error:
            where = f"{origin}, record {head.id}"
            rejected.append(Rejection(str(head.id), "summary", None, str(error), where, record))
            continue
        named = pattern.fullmatch(head.code)
        groups = named.groupdict() if named else {}
        good.append(record)
        given.append({"order_reference": groups.get("order"), "refund_reference": groups.get("refund")})
        latest = max(latest, (head.modified_date or "")[:19])
    batch = convert(contract, good, instance=intake.instance, loaded_at=intake.now, origin=origin, given=given)
    tables = dict(batch.tables)
    loaded = tables.get(contract)
    if loaded is not None:
        rows = [row for identity in loaded.column("id").to_pylist() for row in summaries.get(identity, ())]
        tables[child] = from_rows(child, rows, instance=intake.instance, loaded_at=intake.now)
    return Batch(contract, len(records), tables, [*rejected, *batch.rejected], batch.loaded_keys), latest


def _summary_of(head: _Head) -> list[dict[str, Any]]:
    """Rows of a document's summary; ValueError says why it cannot be trusted."""
    try:
        lines = _SUMMARY.decode(head.summary)
    except _UNREADABLE as error:
        raise ValueError(f"the tax by jurisdiction cannot be read: {error}") from error
    if lines is None and head.total_tax:
        raise ValueError("the tax by jurisdiction is missing, although the document has tax")
    return [_row(head.id, position, line) for position, line in enumerate(lines or (), 1)]


def _row(transaction: int, position: int, line: _Summary) -> dict[str, Any]:
    row: dict[str, Any] = {"transaction_id": transaction, "position": position}
    for column in table("tax", "avatax_summaries").columns[len(row) :]:
        value = getattr(line, column.name)
        if isinstance(value, Decimal):
            try:
                value = pa.scalar(value).cast(ARROW_TYPES[column.type]).as_py()
            except pa.ArrowInvalid as error:
                raise ValueError(f"summary[{position - 1}].{column.name}: {value} does not fit: {error}") from error
        row[column.name] = value
    return row
