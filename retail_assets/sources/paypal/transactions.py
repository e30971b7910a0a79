"""Transactions of one account by Transaction Search: in windows, each of them a checkpoint."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from retail_assets.contracts import table
from retail_assets.http import HttpStatusError
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake
from retail_assets.sources.paypal.client import (
    NotAvailableError,
    Page,
    PayPalClient,
    TooManyTransactionsError,
    UnexpectedAnswerError,
    from_rfc3339,
    rfc3339,
)
from retail_assets.sources.records import Batch, convert

RESOURCE: Final = "transactions"
#: PayPal refuses longer windows.
LONGEST_WINDOW: Final = timedelta(days=31)
#: PayPal lists three years; a day less, so that the first window is not refused while it is being asked for.
HISTORY: Final = timedelta(days=3 * 365 - 1)
_SHORTEST_WINDOW: Final = timedelta(seconds=1)
#: PayPal shows a transaction up to three hours late; what it does not have yet is no gap.
_LAG: Final = timedelta(days=2)
_WALKS: Final = 3
_COMPLETED: Final = "completed_until"
#: Where a load that is taken in portions stands: its look-back is not begun anew with each.
_REACHED: Final = "reached"
_FORBIDDEN: Final = frozenset({401, 403, 404})


class _Dates(msgspec.Struct):
    transaction_initiation_date: str | None = None
    transaction_updated_date: str | None = None


class _Detail(msgspec.Struct):
    transaction_info: _Dates


class _Balances(msgspec.Struct):
    balances: list[msgspec.Raw] = []
    as_of_time: str | None = None


_DETAIL: Final = msgspec.json.Decoder(_Detail)
_BALANCES: Final = msgspec.json.Decoder(_Balances)


class Walk:
    """One load of one account.

    Windows are asked for from the oldest on. One that PayPal finds too large is halved, down to a second. Where two
    windows meet the second belongs to both, so that nothing falls between them; the key makes it one again.
    """

    def __init__(self, gateway: Gateway, client: PayPalClient, intake: Intake, state: dict[str, Any]) -> None:
        self._gateway = gateway
        self._client = client
        self._intake = intake
        self._state = state
        self._notes = intake.counts_of(RESOURCE).notes

    def run(self) -> Iterator[Any]:
        """Transactions from the checkpoint (less the look-back) until what PayPal has, then the balances of then."""
        start = self._start()
        while start < self._intake.now:
            end = min(start + LONGEST_WINDOW, self._intake.now)
            refreshed = yield from self._window(start, end)
            if refreshed is None:
                break
            start = min(end, refreshed)
            self._complete(start)
            if refreshed < end:
                break  # PayPal has no more yet.
            if start < self._intake.now and self._intake.portion_full():
                self._state[_REACHED] = start.isoformat()
                self._intake.more(RESOURCE)
                return
        self._state.pop(_REACHED, None)
        yield from self._balances()

    def _start(self) -> datetime:
        oldest = self._intake.now - HISTORY
        completed = believed(self._state, _COMPLETED, self._intake.now)
        reached = self._state.get(_REACHED)
        if reached is not None:
            return max(oldest, datetime.fromisoformat(reached))
        if completed is not None:
            lookback = timedelta(days=self._gateway.option("lookback_days"))
            return max(oldest, datetime.fromisoformat(completed) - lookback)
        first = self._gateway.option("start_date")
        return max(oldest, datetime.fromisoformat(first).replace(tzinfo=UTC)) if first else oldest

    def _complete(self, until: datetime) -> None:
        former = self._state.get(_COMPLETED)
        if former is None or datetime.fromisoformat(former) < until:
            self._state[_COMPLETED] = until.isoformat()

    def _window(self, start: datetime, end: datetime) -> Iterator[Any]:
        """Load one window, halved as often as it takes; returns up to when PayPal has all transactions, None for never.

        Raises:
            TooManyTransactionsError: one second holds more than PayPal lists.
        """
        try:
            return (yield from self._walked(start, end))
        except NotAvailableError:
            if start >= self._intake.now - _LAG:
                return None
            if start <= self._intake.now - HISTORY + LONGEST_WINDOW:
                self._notes.append(f"PayPal does not have {rfc3339(start)} to {rfc3339(end)} any more")
                return end
            raise
        except TooManyTransactionsError as error:
            if end - start <= _SHORTEST_WINDOW:
                raise TooManyTransactionsError(
                    f"{self._gateway.id}: PayPal lists at most 10,000 transactions for one query, and the second from "
                    f"{rfc3339(start)} holds more; load that day from a settlement report (system paypal_reports)"
                ) from error
        middle = start + timedelta(seconds=max(1, int((end - start).total_seconds()) // 2))
        refreshed = yield from self._window(start, middle)
        if refreshed is None or refreshed < middle:
            return refreshed
        return (yield from self._window(middle, end))

    def _walked(self, start: datetime, end: datetime) -> Iterator[Any]:
        """One window, walked again if it changed under the walk: a row may have moved to a page already read."""
        announced: int | None = None
        received = 0
        for _ in range(_WALKS):
            announced, received = None, 0
            refreshed = end
            for page, origin in self._client.pages(start, end):
                announced = page.total_items if announced is None else announced
                received += len(page.transaction_details)
                refreshed = from_rfc3339(page.last_refreshed_datetime) or refreshed
                yield from self._intake.take(self._converted(page, origin), RESOURCE)
            if announced is None or received >= announced:
                return refreshed
        raise UnexpectedAnswerError(
            f"{self._gateway.id}: PayPal announced {announced} transactions from {rfc3339(start)} to {rfc3339(end)} "
            f"and listed {received}, {_WALKS} times in a row"
        )

    def _converted(self, page: Page, origin: str) -> Batch:
        contract = table("paypal", "transactions")
        records = [bytes(raw) for raw in page.transaction_details]
        origin = f"{self._gateway.id}: {origin}"
        expected = self._gateway.option("account_id")
        if expected and page.account_number and page.account_number != expected:
            reason = f"the answer is of another account than {expected}, which retail.yaml names for {self._gateway.id}"
            rejected = [
                Rejection(None, "account_number", page.account_number, reason, origin, record) for record in records
            ]
            return Batch(contract, len(records), {}, rejected)
        given = [_given(record, page) for record in records]
        return convert(
            contract, records, instance=self._intake.instance, loaded_at=self._intake.now, origin=origin, given=given
        )

    def _balances(self) -> Iterator[Any]:
        """Balances as of the checkpoint: later ones would contain what was not listed yet."""
        completed = self._state.get(_COMPLETED)
        if completed is None:
            return
        as_of = datetime.fromisoformat(completed)
        try:
            response = self._client.get("balances", {"as_of_time": rfc3339(as_of)})
        except HttpStatusError as error:
            if error.status not in _FORBIDDEN:
                raise
            self._notes.append(
                f"no balances, so the clearing account cannot be checked: {error}; the REST app needs the permission "
                "to read balances (scope reporting/balances/read)"
            )
            return
        except NotAvailableError as error:
            self._notes.append(f"no balances as of {rfc3339(as_of)}: {error}")
            return
        try:
            answer = _BALANCES.decode(response.content)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"GET balances did not answer with balances: {error}") from error
        given = {"as_of_time": from_rfc3339(answer.as_of_time) or as_of}
        records = [bytes(raw) for raw in answer.balances]
        batch = convert(
            table("paypal", "balances"),
            records,
            instance=self._intake.instance,
            loaded_at=self._intake.now,
            origin=f"{self._gateway.id}: balances as of {rfc3339(as_of)}",
            given=[given] * len(records),
        )
        yield from self._intake.take(batch, RESOURCE)


def _given(record: bytes, page: Page) -> Mapping[str, Any]:
    """What the record says in a form that JSON readers do not take: ``+0000`` has no colon."""
    try:
        dates = _DETAIL.decode(record).transaction_info
    except msgspec.MsgspecError:
        dates = _Dates()  # The contract's check will name what is wrong with it.
    return {
        "initiated_at": from_rfc3339(dates.transaction_initiation_date),
        "updated_at": from_rfc3339(dates.transaction_updated_date),
        "account_number": page.account_number,
    }
