"""The dlt source of one Stripe account."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.http import HttpError, HttpStatusError
from retail_assets.settings import Gateway
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import Batch, convert, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.stripe.client import StripeClient, UnexpectedAnswerError
from retail_assets.sources.stripe.fees import convert_lines
from retail_assets.sources.stripe.reports import REPORT_LAYOUT, load_reports
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_LOG: Final = logging.getLogger(__name__)

# Lists can be filtered by creation only, but objects change after that: a balance transaction becomes available,
# a charge is refunded or disputed, an authorisation is captured or expires, a payout fails up to five business days
# later and gets its bank reference up to ten days later, a dispute is decided after months.
LOOKBACK: Final = {
    "balance_transactions": timedelta(days=30),
    "charges": timedelta(days=120),
    "payment_intents": timedelta(days=45),
    "refunds": timedelta(days=60),
    "disputes": timedelta(days=180),
    "payouts": timedelta(days=30),
}
#: Looking that far back costs a page for each hundred objects, so the long lists are looked through twice a day only;
#: loads in between take what was created since, and a day more.
SWEPT_EVERY: Final = {
    "balance_transactions": timedelta(hours=12),
    "charges": timedelta(hours=12),
    "payment_intents": timedelta(hours=12),
    "refunds": timedelta(hours=12),
}
OVERLAP: Final = timedelta(days=1)
_CURSOR: Final = "created"
#: Where a first load that is taken in portions stands: behind which object, what was the newest, when it began.
_PORTION: Final = "portion"
_SWEPT: Final = "swept"
_LISTED: Final = "listed_payouts"
_WAITING: Final = "waiting_payouts"
_BALANCE_READS: Final = 5
_FAILURES_IN_A_ROW: Final = 3
#: Answers that say that this key, or this server, has no such list.
_NOT_OFFERED: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
_NO_SUCH_OBJECT: Final = b"resource_missing"


class _Money(msgspec.Struct):
    amount: int
    currency: str


class _Balance(msgspec.Struct):
    available: list[_Money]
    pending: list[_Money]


class _Payout(msgspec.Struct):
    id: str
    automatic: bool | None = None
    reconciliation_status: str | None = None
    balance_transaction: str | None = None

    @property
    def will_be_itemised(self) -> bool:
        """Stripe lists the lines of automatic payouts only; of others nobody knows which lines they took."""
        return bool(self.automatic) and self.reconciliation_status in ("in_progress", "completed")


class _Identified(msgspec.Struct):
    id: str


class _Created(msgspec.Struct):
    created: int = 0


_BALANCE: Final = msgspec.json.Decoder(_Balance)
_PAYOUT: Final = msgspec.json.Decoder(_Payout)
_ID: Final = msgspec.json.Decoder(_Identified)
_CREATED_AT: Final = msgspec.json.Decoder(_Created)

Amounts = dict[str, dict[str, int]]


@dlt.source(name="stripe", max_table_nesting=0)
def stripe_source(gateway: Gateway, intake: Intake, inbox: Path) -> Sequence[DltResource]:
    """The ledger with the balance it adds up to, charges, intents, refunds, disputes and payouts of one account.

    Args:
        gateway: address and key; of the variant for reports, which has neither, the reports are all there is.
        intake: counts what comes in and quarantines what breaks its contract.
        inbox: folder of reports; what they hold besides the API is added to it.
    """

    def resource(name: str, rows: Callable[..., Iterator[Any]], *arguments: Any) -> DltResource:
        def counted() -> Iterator[Any]:
            with closing(StripeClient(gateway)) as client:
                yield from rows(client, intake, *arguments)
                _LOG.info("%s: %s took %d requests", intake.instance, name, client.requests)

        return dlt.resource(counted, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def reports() -> Iterator[Any]:
        yield from load_reports(inbox, gateway.option("report_time_zone"), REPORT_LAYOUT, intake, "report_lines")

    files = dlt.resource(reports, name="report_lines", schema_contract=SCHEMA_CONTRACT, write_disposition="merge")
    if gateway.declared.access == "files":
        return (files,)
    return (
        resource("balance_transactions", _ledger),
        resource("charges", _recent, "charges"),
        resource("payment_intents", _intents),
        resource("refunds", _recent, "refunds"),
        resource("disputes", _recent, "disputes"),
        resource("payouts", _payouts),
        files,
    )


def _recent(client: StripeClient, intake: Intake, name: str) -> Iterator[Any]:
    """Objects created since the last load, less the look-back of their kind."""
    contract = table("stripe", name)

    def typed(records: list[bytes], origin: str) -> Batch:
        return convert(contract, records, instance=intake.instance, loaded_at=intake.now, origin=origin)

    walk = _Walk(client, intake, name, dlt.current.resource_state())
    for batch in walk.batches(typed):
        yield from intake.take(batch, name)
        if walk.stops(intake.portion_full()):
            return
    walk.complete()


class _Walk:
    """One reading of a list: since the last load less the look-back, or on through a first load's history.

    Lists are newest first, and what is old keeps its place, so a first load may stop behind any object and go on there
    at any time. What was created or changed meanwhile is left to the next load: the cursor becomes what was newest when
    the first load began, and the look-back counts from then.
    """

    def __init__(self, client: StripeClient, intake: Intake, name: str, state: dict[str, Any]) -> None:
        self._client, self._intake, self._name, self._state = client, intake, name, state
        self.since, self._swept = _since(state, name, intake)
        self._is_first = not self.since
        portion: dict[str, Any] = state.pop(_PORTION, {}) if self._is_first else {}
        self._after: str | None = portion.get("after")
        self._newest: int | None = state.get(_CURSOR) if not self._is_first else portion.get("newest")
        self._swept = portion.get("began", self._swept)
        #: Whether what came after a first load began, portions ago, is still to be read.
        self.resumed = self._after is not None
        intake.counts_of(name)

    def batches(self, typed: Callable[[list[bytes], str], Batch]) -> Iterator[Batch]:
        """The pages of the list, typed."""
        for records, origin in self._pages():
            batch = typed(records, f"{self._intake.instance}: {origin}")
            rows = batch.tables.get(batch.contract)
            if rows is not None and rows.num_rows:
                self._newest = max(self._newest or 0, pc.max(rows.column("created")).as_py())
            self._after = _ID.decode(records[-1]).id
            yield batch
        self._after = None

    def stops(self, full: bool) -> bool:
        """Whether the reading ends at the page that it has come to; the checkpoint is then in the state."""
        if not full or not self._is_first or self._after is None:
            return False
        self._state[_PORTION] = {"after": self._after, "newest": self._newest, "began": self._swept}
        self._intake.more(self._name)
        return True

    def complete(self) -> None:
        """At the end of the list: the cursor is the newest object that was loaded."""
        if self._newest is not None:
            # A date in the future, of one record, must not keep all others out.
            self._state[_CURSOR] = min(self._newest, int(self._intake.now.timestamp()))
        if self._swept is not None:
            self._state[_SWEPT] = self._swept

    def newest_only(self) -> None:
        """Read on: what has come since, and a day more."""
        self.complete()
        cursor = self._state.get(_CURSOR)
        self.since = {} if cursor is None else {"created[gte]": cursor - int(OVERLAP.total_seconds())}
        self._after, self._is_first = None, False

    def _pages(self) -> Iterator[tuple[list[bytes], str]]:
        try:
            yield from self._client.pages(self._name, self.since, self._after)
        except HttpStatusError as error:
            if not self.resumed or error.status != HTTPStatus.BAD_REQUEST or _NO_SUCH_OBJECT not in error.body:
                raise
            # Test data can be wiped.
            note = f"{self._after}, where the last portion ended, is gone: the list is read from its beginning"
            self._intake.counts_of(self._name).notes.append(note)
            yield from self._client.pages(self._name, self.since)


def _since(state: dict[str, Any], name: str, intake: Intake) -> tuple[dict[str, int], int | None]:
    """From when on a list is read, and the time to note when this was a sweep over its whole look-back."""
    now = int(intake.now.timestamp())
    cursor = believed(state, _CURSOR, intake.now)
    swept = state.get(_SWEPT)
    if cursor is None:
        return {}, now
    interval = SWEPT_EVERY.get(name)
    # A clock that stands still, or went back, says nothing about how long ago the last sweep was.
    fresh = interval is not None and swept is not None and 0 < now - swept < interval.total_seconds()
    lookback = OVERLAP if fresh else LOOKBACK[name]
    return {"created[gte]": cursor - int(lookback.total_seconds())}, None if fresh else now


def _intents(client: StripeClient, intake: Intake) -> Iterator[Any]:
    """Payment intents explain, nothing is summed from them: a key that may not read them loads all the rest."""
    try:
        yield from _recent(client, intake, "payment_intents")
    except HttpStatusError as error:
        if error.status not in _NOT_OFFERED:
            raise
        intake.counts_of("payment_intents").notes.append(
            f"the key may not read payment intents (HTTP {error.status}): authorisations that expired stay unexplained"
        )


def _ledger(client: StripeClient, intake: Intake) -> Iterator[Any]:
    """The ledger lines and the balance they must add up to, read such that no line falls between the two."""
    name = "balance_transactions"
    state = dlt.current.resource_state()
    walk = _Walk(client, intake, name, state)
    seen = _Seen()
    # The lines of a first load's earlier portions are older than any balance of now: the newest are read once more.
    before = None if walk.resumed else _balance(client)
    for reading in range(1, _BALANCE_READS + 1):

        def typed(records: list[bytes], origin: str, reading: int = reading) -> Batch:
            return convert_lines(seen.fresh(records), reading, origin, intake)

        for batch in walk.batches(typed):
            yield from intake.take(batch, name)
            if walk.stops(intake.portion_full()):
                return
        walk.newest_only()
        after = _balance(client)
        if after == before:
            break
        before = after
    else:
        intake.counts_of(name).notes.append(
            f"the balance moved during each of {_BALANCE_READS} reads: the roll-forward may show lines in flight"
        )
    yield from _balances(before or {}, state.get(_CURSOR, 0), intake)


class _Seen:
    """What one load has brought already, as far as another reading would bring it again.

    Lists are newest first, so the first record says what is recent; a whole history need not be remembered.
    """

    def __init__(self) -> None:
        self._digests: set[bytes] = set()
        self._newest = 0

    def fresh(self, records: Sequence[bytes]) -> list[bytes]:
        """Those that are new, or differ from what was brought before."""
        return [record for record in records if self._is_fresh(record)]

    def _is_fresh(self, record: bytes) -> bool:
        digest = blake2b(record, digest_size=16).digest()
        if digest in self._digests:
            return False
        try:
            created = _CREATED_AT.decode(record).created
        except (msgspec.MsgspecError, RecursionError):
            created = self._newest
        self._newest = max(self._newest, created)
        if created >= self._newest - 2 * OVERLAP.total_seconds():
            self._digests.add(digest)
        return True


def _balance(client: StripeClient) -> Amounts:
    response = client.get("balance")
    try:
        balance = _BALANCE.decode(response.content)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"GET balance did not answer with a Stripe balance: {error}") from error
    amounts: Amounts = {}
    for kind, parts in (("available", balance.available), ("pending", balance.pending)):
        for money in parts:
            amounts.setdefault(money.currency, {"available": 0, "pending": 0})[kind] += money.amount
    return amounts


def _balances(amounts: Amounts, newest: int, intake: Intake) -> Iterator[Any]:
    """The balance as it is now, and in its history as that after the newest line."""
    contract, history = table("stripe", "balances"), table("stripe", "balance_history")
    rows = [{"currency": currency, **parts} for currency, parts in sorted(amounts.items())]
    if not rows:
        return
    yield merge_item(contract, from_rows(contract, rows, instance=intake.instance, loaded_at=intake.now))
    closing = [{**row, "newest_line_created": newest} for row in rows]
    yield merge_item(history, from_rows(history, closing, instance=intake.instance, loaded_at=intake.now))


def _payouts(client: StripeClient, intake: Intake) -> Iterator[Any]:
    """Payouts, and for each automatic one the lines it holds, listed once Stripe says that it can.

    A payout that waits for its lines is asked for by name when the look-back does not bring it any more. One whose
    lines cannot be listed holds back no other: it waits as well.
    """
    state = dlt.current.resource_state()
    contract = table("stripe", "payouts")

    def typed(records: list[bytes], origin: str) -> Batch:
        return convert(contract, records, instance=intake.instance, loaded_at=intake.now, origin=origin)

    walk = _Walk(client, intake, "payouts", state)
    listed: set[str] = set(state.get(_LISTED, []))
    waiting: set[str] = set(state.get(_WAITING, []))
    in_reach: set[str] = set()
    failures = lines = 0
    for batch in _also_waiting(client, intake, typed, waiting, in_reach, walk.batches(typed)):
        yield from intake.take(batch, "payouts")
        rows = batch.tables.get(contract)
        for payout in map(_PAYOUT.decode, rows.column("_payload").to_pylist() if rows is not None else ()):
            in_reach.add(payout.id)
            if payout.id in listed or not payout.will_be_itemised:
                waiting.discard(payout.id)
                continue
            waiting.add(payout.id)
            if payout.reconciliation_status != "completed":
                continue
            try:
                members = list(_members(client, payout))
            except (HttpError, UnexpectedAnswerError) as error:
                failures += 1
                if _is_everybody(error) or failures == _FAILURES_IN_A_ROW:
                    raise
                note = f"the lines of payout {payout.id} could not be listed, the next load tries again: {error}"
                intake.counts_of("payouts").notes.append(note)
                continue
            failures = 0
            yield from _payout_lines(payout, members, intake)
            lines += len(members)
            listed.add(payout.id)
            waiting.discard(payout.id)
        state[_LISTED], state[_WAITING] = sorted(listed), sorted(waiting)
        # The lines take a request for each payout, and more rows than the payouts themselves.
        if walk.stops(intake.portion_full() or lines >= intake.portion):
            return
    # Payouts beyond the look-back are not read again, so only those within it have to be remembered.
    state[_LISTED] = sorted(listed if walk.resumed else listed & in_reach)
    walk.complete()


def _also_waiting(
    client: StripeClient,
    intake: Intake,
    typed: Callable[[list[bytes], str], Batch],
    waiting: set[str],
    in_reach: set[str],
    batches: Iterator[Batch],
) -> Iterator[Batch]:
    """The batches of the list, then the payouts that wait and were not among them."""
    yield from batches
    for payout_id in sorted(waiting - in_reach):
        path = f"payouts/{payout_id}"
        try:
            record = client.get(path).content
        except HttpStatusError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            waiting.discard(payout_id)
            intake.counts_of("payouts").notes.append(f"payout {payout_id} is gone: its lines will not be listed")
            continue
        yield typed([record], f"{intake.instance}: GET {path}")


def _is_everybody(error: Exception) -> bool:
    """A key that is refused is no matter of one payout."""
    return isinstance(error, HttpStatusError) and error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def _payout_lines(payout: _Payout, members: Sequence[str], intake: Intake) -> Iterator[Any]:
    lines = table("stripe", "payout_transactions")
    rows = [{"payout_id": payout.id, "balance_transaction_id": member} for member in members]
    if rows:
        yield merge_item(lines, from_rows(lines, rows, instance=intake.instance, loaded_at=intake.now))


def _members(client: StripeClient, payout: _Payout) -> Iterator[str]:
    """Ids of a payout's balance transactions; Stripe's list holds the payout's own line too, which is no member."""
    for records, _ in client.pages("balance_transactions", {"payout": payout.id}):
        for record in records:
            identity = _ID.decode(record).id
            if identity != payout.balance_transaction:
                yield identity
