"""The dlt source of one Klarna account."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.settings import Gateway
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake
from retail_assets.sources.klarna.client import KlarnaClient
from retail_assets.sources.klarna.reports import LINES, load_reports
from retail_assets.sources.records import Batch, convert

# A payout does not change once it is made; those of some days are asked for again, as clocks differ.
LOOKBACK: Final = timedelta(days=7)
_CURSOR: Final = "payout_date"
_LISTED: Final = "listed_payouts"


class _Payout(msgspec.Struct):
    payment_reference: str
    payout_date: str


class _Transaction(msgspec.Struct):
    type: Any = None
    detailed_type: Any = None
    order_id: Any = None
    capture_id: Any = None
    refund_id: Any = None
    amount: Any = None
    capture_date: Any = None
    sale_date: Any = None


_PAYOUT: Final = msgspec.json.Decoder(_Payout)
_TRANSACTION: Final = msgspec.json.Decoder(_Transaction)


@dlt.source(name="klarna", max_table_nesting=0)
def klarna_source(gateway: Gateway, intake: Intake, inbox: Path) -> Sequence[DltResource]:
    """Payouts with their totals, and the transactions of each, read once.

    Args:
        gateway: address, user and password; of the variant for reports, which has none, the reports are all there is.
        intake: counts what comes in and quarantines what breaks its contract.
        inbox: folder of settlement reports; payouts that the API does not have come from them.
    """

    def payouts() -> Iterator[Any]:
        with closing(KlarnaClient(gateway)) as client:
            yield from _payouts(client, intake)

    files = intake.resource(LINES.name, lambda: load_reports(inbox, intake))
    return (files,) if gateway.declared.access == "files" else (intake.resource("payouts", payouts), files)


def _payouts(client: KlarnaClient, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    cursor = believed(state, _CURSOR, intake.now)
    since = {"start_date": _text(datetime.fromisoformat(cursor) - LOOKBACK)} if cursor else {}
    listed: set[str] = set(state.get(_LISTED, []))
    in_reach: set[str] = set()
    newest = cursor
    for records, origin in client.pages("payouts", since):
        batch = _convert(intake, "payouts", records, origin)
        yield from intake.take(batch, "payouts")
        for rows in batch.tables.values():
            for payout in map(_PAYOUT.decode, rows.column("_payload").to_pylist()):
                in_reach.add(payout.payment_reference)
                if payout.payment_reference not in listed:
                    yield from _transactions(client, intake, payout.payment_reference)
                    listed.add(payout.payment_reference)
                made = _moment(payout.payout_date)
                if made is not None:
                    newest = max(newest or "", made.isoformat())
    if newest is not None:
        state[_CURSOR] = newest
        # Older payouts are not asked for again, so only these have to be remembered.
        state[_LISTED] = sorted(listed & in_reach)


def _transactions(client: KlarnaClient, intake: Intake, reference: str) -> Iterator[Any]:
    """All transactions of a payout at once, since their numbers among equal ones are counted over all of them."""
    records: list[bytes] = []
    for page, _ in client.pages("transactions", {"payment_reference": reference}):
        records += page
    # In an order of their content: that of the answer may differ from one call to the next.
    records.sort(key=_order)
    seen: Counter[str] = Counter()
    given: list[Mapping[str, Any]] = []
    for record in records:
        base = _base(record)
        seen[base] += 1
        given.append({"id": f"{base}/{seen[base]}", "payment_reference": reference})
    origin = f"GET transactions of {reference}"
    yield from intake.take(_convert(intake, "transactions", records, origin, given), "payouts")


def _order(record: bytes) -> tuple[str, ...]:
    try:
        found = _TRANSACTION.decode(record)
    except msgspec.MsgspecError:
        return ("", record.decode("utf-8", "replace"))
    parts = (found.amount, found.capture_date, found.sale_date)
    return (_base(record), *map(str, parts), record.decode("utf-8", "replace"))


def _base(record: bytes) -> str:
    try:
        found = _TRANSACTION.decode(record)
    except msgspec.MsgspecError:
        return "unreadable"
    parts = (found.type, found.order_id, found.capture_id or found.refund_id, found.detailed_type)
    return "/".join("" if part is None else str(part) for part in parts)


def _convert(
    intake: Intake, name: str, records: list[bytes], origin: str, given: Sequence[Mapping[str, Any]] | None = None
) -> Batch:
    where = f"{intake.instance}: {origin}"
    contract = table("klarna", name)
    return convert(contract, records, instance=intake.instance, loaded_at=intake.now, origin=where, given=given)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
