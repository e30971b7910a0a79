"""The dlt source of one WooPayments account."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dlt
import msgspec
import pyarrow as pa
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.settings import Gateway
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import convert, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.stripe.reports import Columns, ReportLayout, load_reports
from retail_assets.sources.warehouse import SCHEMA_CONTRACT
from retail_assets.sources.woopayments.client import UnexpectedAnswerError, WooPaymentsClient

_LOG: Final = logging.getLogger(__name__)

# The lists can be filtered by their date only, but a transaction gets its payout after weeks, a payout fails days after
# it was paid, and a dispute is decided after months.
LOOKBACK: Final = {
    "transactions": timedelta(days=45),
    "deposits": timedelta(days=30),
    "disputes": timedelta(days=180),
}
#: List → the field it is sorted by, and its key.
_SORTED: Final = {
    "transactions": ("date", "transaction_id"),
    "deposits": ("date", "id"),
    "disputes": ("created", "dispute_id"),
}
_CURSOR: Final = "newest"
_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


class _Money(msgspec.Struct):
    amount: int
    currency: str


class _Balance(msgspec.Struct):
    available: list[_Money]
    pending: list[_Money]


class _Overview(msgspec.Struct):
    balance: _Balance


_OVERVIEW: Final = msgspec.json.Decoder(_Overview)


@dlt.source(name="woopayments", max_table_nesting=0)
def woopayments_source(gateway: Gateway, intake: Intake, inbox: Path) -> Sequence[DltResource]:
    """Transactions, payouts with the balance, and disputes of one account.

    Args:
        gateway: address and keys of the store; of the variant for exports, the exports are all there is.
        intake: counts what comes in and quarantines what breaks its contract.
        inbox: folder of exported transactions; what they hold besides the API is added to it.
    """

    def resource(name: str, rows: Callable[[WooPaymentsClient, Intake, str], Iterator[Any]]) -> DltResource:
        def counted() -> Iterator[Any]:
            with closing(WooPaymentsClient(gateway)) as client:
                yield from rows(client, intake, name)
                _LOG.info("%s: %s took %d requests", intake.instance, name, client.requests)

        return dlt.resource(counted, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    def reports() -> Iterator[Any]:
        yield from load_reports(inbox, gateway.option("report_time_zone"), EXPORT_LAYOUT, intake, "report_lines")

    files = dlt.resource(reports, name="report_lines", schema_contract=SCHEMA_CONTRACT, write_disposition="merge")
    if gateway.declared.access == "files":
        return (files,)
    return (
        resource("transactions", _recent),
        resource("deposits", _deposits),
        resource("disputes", _recent),
        files,
    )


def _recent(client: WooPaymentsClient, intake: Intake, name: str) -> Iterator[Any]:
    """Records since the last load, less the look-back of their kind."""
    state = dlt.current.resource_state()
    contract = table("woopayments", name)
    intake.counts_of(name)
    sort, key = _SORTED[name]
    cursor = believed(state, _CURSOR, intake.now)
    filters = {} if cursor is None else {"date_after": _before(cursor, LOOKBACK[name])}
    newest = cursor
    walk = client.walk(name, sort, key, filters)
    for records, origin in walk.pages():
        batch = convert(
            contract, records, instance=intake.instance, loaded_at=intake.now, origin=f"{intake.instance}: {origin}"
        )
        rows = batch.tables.get(contract)
        if rows is not None and rows.num_rows:
            newest = max(newest or "", _newest(pc.max(rows.column(sort)).as_py()))
        yield from intake.take(batch, name)
    if not walk.complete:
        intake.counts_of(name).notes.append(
            f"three walks brought fewer {name} than the plugin counts: the next load reads from the same day again"
        )
    elif newest is not None:
        # A date in the future, of one record, must not keep all others out.
        state[_CURSOR] = min(newest, intake.now.strftime(_FORMAT))


def _newest(value: datetime | int) -> str:
    """A time of a list (payouts have milliseconds) as the filters want it."""
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value // 1000, UTC)
    return moment.astimezone(UTC).strftime(_FORMAT)


def _before(cursor: str, lookback: timedelta) -> str:
    return (datetime.strptime(cursor, _FORMAT).replace(tzinfo=UTC) - lookback).strftime(_FORMAT)


def _deposits(client: WooPaymentsClient, intake: Intake, name: str) -> Iterator[Any]:
    """Payouts, and the balance that is left."""
    yield from _recent(client, intake, name)
    response = client.get("deposits/overview-all")
    try:
        balance = _OVERVIEW.decode(response.content).balance
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(
            f"GET payments/deposits/overview-all did not answer with balances: {error}"
        ) from error
    amounts: dict[str, dict[str, int]] = {}
    for kind, parts in (("available", balance.available), ("pending", balance.pending)):
        for money in parts:
            amounts.setdefault(money.currency.lower(), {"available": 0, "pending": 0})[kind] += money.amount
    contract = table("woopayments", "balances")
    rows: list[Mapping[str, Any]] = [{"currency": currency, **parts} for currency, parts in sorted(amounts.items())]
    if rows:
        yield merge_item(contract, from_rows(contract, rows, instance=intake.instance, loaded_at=intake.now))


def _adapt(columns: Columns, count: int, headers: frozenset[str]) -> Columns:
    """A payout's day of an estimated or missing payout is written in many ways; only days are taken."""
    if "deposit_date" in columns and columns["deposit_date"].type == pa.string():
        text = columns["deposit_date"]
        fits = pc.match_substring_regex(text, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")
        columns["deposit_date"] = pc.if_else(pc.fill_null(fits, False), text, "")
    return columns


#: The export of transactions, by a browser or by e-mail; "Payout" was called "Deposit" before version 7.4.
EXPORT_LAYOUT: Final = ReportLayout(
    title="WooPayments export of transactions",
    contract=table("woopayments", "report_lines"),
    names={
        "transaction_id": ("transaction id",),
        "type": ("type",),
        "channel": ("channel",),
        "paid_currency": ("paid currency",),
        "amount_paid": ("amount paid",),
        "deposit_currency": ("payout currency", "deposit currency"),
        "amount": ("amount",),
        "fees": ("fees",),
        "net": ("net",),
        "order_number": ("order #",),
        "payment_method": ("payment method",),
        "customer_email": ("email",),
        "customer_country": ("country",),
        "deposit_id": ("payout id", "deposit id"),
        "deposit_status": ("payout status", "deposit status"),
    },
    # The times of the API, which the export repeats, are UTC; only since version 8 the header says so.
    utc={"date": ("date / time (utc)",), "deposit_date": ("payout date", "deposit date")},
    local={"date": ("date / time",)},
    required=("transaction_id", "date", "deposit_currency", "amount", "net"),
    adapt=_adapt,
)
