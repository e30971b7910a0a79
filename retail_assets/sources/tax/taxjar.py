"""TaxJar: order and refund transactions, and which of them are still there.

Its lists answer with ids alone (API reference, "List order transactions"), so that each transaction costs a request of
its own, and nothing says what has changed. So recent months are fetched whole on each run; of older ones the ids are
compared once a week, and a month is fetched again when they differ.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import dlt
import msgspec

from retail_assets.contracts import table
from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import TaxEngine
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import convert, from_rows

#: How often the ids of all months are compared.
SWEEP_EVERY: Final = timedelta(days=7)
_KINDS: Final = ("order", "refund")
_AT_ONCE: Final = 4
_CHUNK: Final = 200
_AHEAD: Final = timedelta(days=31)
_SWEPT: Final = "swept"
#: The month that the last portion of an unfinished load ended with.
_REACHED: Final = "reached"
_MONTHS: Final = "months"


class UnexpectedAnswerError(Exception):
    """The answer is not one of TaxJar's transaction API."""


_LISTS: Final = msgspec.json.Decoder(dict[str, list[str | int]])
_OBJECTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TaxJarClient:
    """TaxJar's API of one account, read only."""

    def __init__(self, engine: TaxEngine) -> None:
        self._provider = engine.option("provider")
        self._http = HttpClient(
            f"{engine.base_url}/v2",
            headers={"Authorization": f"Bearer {engine.secret('api_token')}"},
            requests_per_second=engine.requests_per_second,
            timeout=engine.timeout_seconds,
            retries=engine.retries,
        )

    def ids(self, kind: str, first: date, last: date) -> list[str]:
        """Ids of the orders or refunds from one day to another, both included, sorted.

        Raises:
            UnexpectedAnswerError: the answer is no list of ids.
        """
        path = f"transactions/{kind}s"
        days = {"from_transaction_date": f"{first:%Y/%m/%d}", "to_transaction_date": f"{last:%Y/%m/%d}"}
        response = self._http.get(path, {**days, "provider": self._provider})
        try:
            return sorted({str(identity) for identity in _LISTS.decode(response.content)[f"{kind}s"]})
        except (msgspec.MsgspecError, KeyError) as error:
            raise UnexpectedAnswerError(f"GET {path} did not answer with a list of ids: {error}") from error

    def one(self, kind: str, identity: str) -> bytes | None:
        """One order or refund, byte for byte; None if it is gone.

        Raises:
            UnexpectedAnswerError: the answer holds no such object.
        """
        path = f"transactions/{kind}s/{quote(identity, safe='')}"
        try:
            response = self._http.get(path, {"provider": self._provider})
        except HttpStatusError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        try:
            return bytes(_OBJECTS.decode(response.content)[kind])
        except (msgspec.MsgspecError, KeyError) as error:
            raise UnexpectedAnswerError(f"GET {path} did not answer with a {kind}: {error}") from error

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def transactions(engine: TaxEngine, intake: Intake) -> Iterator[Any]:
    """Transactions of recent months, and of older ones whose list of ids has changed."""
    state = dlt.current.resource_state()
    swept = believed(state, _SWEPT, intake.now)
    known: dict[str, str] = state.setdefault(_MONTHS, {})
    client = TaxJarClient(engine)
    recent = intake.now.date() - timedelta(days=engine.option("lookback_days"))
    sweeps = swept is None or intake.now - datetime.fromisoformat(swept) >= SWEEP_EVERY
    reached = state.get(_REACHED, "")
    for first, last in _months(date.fromisoformat(engine.option("start_date")), intake.now.date() + _AHEAD):
        if (last < recent and not sweeps) or first.isoformat() <= reached:
            continue
        for kind in _KINDS:
            ids = client.ids(kind, first, last)
            digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
            window = f"{kind} {first}"
            if last < recent and known.get(window) == digest:
                continue
            yield from _month(client, engine, intake, kind, first, ids)
            known[window] = digest
        if intake.portion_full():
            state[_REACHED] = first.isoformat()
            intake.more("taxjar_transactions")
            return
    state.pop(_REACHED, None)
    if sweeps:
        state[_SWEPT] = intake.now.isoformat()


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of each calendar month from that of ``first`` to that of ``last``."""
    start = first.replace(day=1)
    while start <= last:
        following = (start + timedelta(days=32)).replace(day=1)
        yield start, following - timedelta(days=1)
        start = following


def _month(
    client: TaxJarClient, engine: TaxEngine, intake: Intake, kind: str, month: date, ids: Sequence[str]
) -> Iterator[Any]:
    contract, listing = table("tax", "taxjar_transactions"), table("tax", "taxjar_listings")
    common = {"instance": intake.instance, "loaded_at": intake.now}
    present: list[str] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            answers = list(pool.map(lambda identity: client.one(kind, identity), chunk))
            found = [(identity, record) for identity, record in zip(chunk, answers, strict=True) if record is not None]
            present.extend(identity for identity, _ in found)
            # The id that was asked for is the key: that of the answer may be a number.
            batch = convert(
                contract,
                [record for _, record in found],
                origin=f"{intake.instance}: {kind}s of {month:%Y-%m}",
                given=[
                    {"kind": kind, "transaction_id": identity, "currency": engine.option("currency")}
                    for identity, _ in found
                ],
                **common,
            )
            yield from intake.take(batch, "taxjar_transactions")
    rows = [{"kind": kind, "month": month, "transaction_id": identity} for identity in ("", *present)]
    yield merge_item(listing, from_rows(listing, rows, **common))
