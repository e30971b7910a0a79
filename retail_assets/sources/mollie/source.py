"""The dlt source of one Mollie account."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import dlt
import msgspec
import pyarrow as pa
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.cursors import believed
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.mollie.client import MollieClient, UnexpectedAnswerError
from retail_assets.sources.records import Batch, convert, from_rows

# Lists are newest first and cannot be filtered, and objects change: payments are paid, captured, refunded or charged
# back, refunds fail, chargebacks are reversed. So each list is read again that far back.
LOOKBACK: Final = {
    "balance_transactions": timedelta(days=3),
    "payments": timedelta(days=60),
    "refunds": timedelta(days=60),
    "chargebacks": timedelta(days=120),
    "settlements": timedelta(days=30),
}
_CURSOR: Final = "created"
_LISTED: Final = "listed_settlements"
_KINDS: Final = {"payments": "payment", "captures": "capture", "refunds": "refund", "chargebacks": "chargeback"}
_CONTEXT: Final = {
    "paymentId": "payment_id",
    "refundId": "refund_id",
    "chargebackId": "chargeback_id",
    "captureId": "capture_id",
    "settlementId": "settlement_id",
}
_FINAL: Final = ("paidout", "failed")


class _Dated(msgspec.Struct):
    createdAt: str = ""  # noqa: N815 - Mollie's name


class _Settlement(msgspec.Struct):
    id: str
    status: str
    periods: Any = None


class _Identified(msgspec.Struct):
    id: str


class _Contextual(msgspec.Struct):
    context: Any = None
    metadata: Any = None


_DATED: Final = msgspec.json.Decoder(_Dated)
_SETTLEMENT: Final = msgspec.json.Decoder(_Settlement)
_ID: Final = msgspec.json.Decoder(_Identified)
_CONTEXTUAL: Final = msgspec.json.Decoder(_Contextual)


@dlt.source(name="mollie", max_table_nesting=0)
def mollie_source(gateway: Gateway, intake: Intake) -> Sequence[DltResource]:
    """Balance transactions with the balance, payments, refunds, chargebacks and settlements of one account.

    Args:
        gateway: address and token.
        intake: counts what comes in and quarantines what breaks its contract.
    """

    def resource(name: str, rows: Callable[[MollieClient, Gateway, Intake], Iterator[Any]]) -> DltResource:
        def read() -> Iterator[Any]:
            with closing(MollieClient(gateway)) as client:
                yield from rows(client, gateway, intake)

        return intake.resource(name, read)

    return (
        resource("balance_transactions", _ledger),
        resource("balances", _balance),
        resource("payments", _payments),
        resource("refunds", lambda client, gateway, intake: _recent(client, intake, "refunds", _profile(gateway))),
        resource(
            "chargebacks", lambda client, gateway, intake: _recent(client, intake, "chargebacks", _profile(gateway))
        ),
        resource("settlements", _settlements),
    )


def _profile(gateway: Gateway) -> Mapping[str, str]:
    profile = gateway.option("profile_id")
    return {"profileId": profile} if profile else {}


def _ledger(client: MollieClient, gateway: Gateway, intake: Intake) -> Iterator[Any]:
    path = f"balances/{gateway.option('balance_id')}/transactions"
    yield from _recent(client, intake, "balance_transactions", path=path, given=_context)


def _payments(client: MollieClient, gateway: Gateway, intake: Intake) -> Iterator[Any]:
    yield from _recent(client, intake, "payments", _profile(gateway), given=_order)


def _balance(client: MollieClient, gateway: Gateway, intake: Intake) -> Iterator[Any]:
    path = f"balances/{gateway.option('balance_id')}"
    yield from intake.take(_convert(intake, "balances", [client.get(path)], f"GET {path}"), "balances")


def _recent(
    client: MollieClient,
    intake: Intake,
    name: str,
    params: Mapping[str, str] | None = None,
    *,
    path: str | None = None,
    given: Callable[[bytes], Mapping[str, Any]] | None = None,
) -> Iterator[Any]:
    """Objects of a list down to those made before the last load, less the look-back of their kind."""
    for records, origin in _new_pages(client, intake, name, params, path):
        extra = [given(record) for record in records] if given else None
        yield from intake.take(_convert(intake, name, records, origin, extra), name)


def _new_pages(
    client: MollieClient,
    intake: Intake,
    name: str,
    params: Mapping[str, str] | None = None,
    path: str | None = None,
) -> Iterator[tuple[list[bytes], str]]:
    state = dlt.current.resource_state()
    cursor = believed(state, _CURSOR, intake.now)
    since = datetime.fromisoformat(cursor) - LOOKBACK[name] if cursor else None
    newest = cursor
    for records, origin in client.pages(path or name, name, params):
        made = [moment for moment in map(_created, records) if moment is not None]
        if made:
            newest = max([*([newest] if newest else []), max(made).isoformat()])
        yield records, origin
        if since is not None and made and min(made) < since:
            break
    if newest is not None:
        state[_CURSOR] = newest


def _created(record: bytes) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_DATED.decode(record).createdAt)
    except (msgspec.MsgspecError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _context(record: bytes) -> Mapping[str, Any]:
    """The ids in a movement's context; older answers have them flat, later ones below the name of the type."""
    try:
        context = _CONTEXTUAL.decode(record).context
    except msgspec.MsgspecError:
        return {}
    if not isinstance(context, dict):
        return {}
    parts = [context, *(part for part in context.values() if isinstance(part, dict))]
    return {
        name: part[key]
        for part in parts
        for key, name in _CONTEXT.items()
        if isinstance(part.get(key), str) and part[key]
    }


def _order(record: bytes) -> Mapping[str, Any]:
    """The order in a payment's metadata, which is whatever the shop sent: an object, a text, a number or nothing."""
    try:
        metadata = _CONTEXTUAL.decode(record).metadata
    except msgspec.MsgspecError:
        return {}
    order = metadata.get("order_id") if isinstance(metadata, dict) else None
    return {"metadata_order_id": str(order)} if isinstance(order, str | int) and not isinstance(order, bool) else {}


def _convert(
    intake: Intake, name: str, records: list[bytes], origin: str, given: Sequence[Mapping[str, Any]] | None = None
) -> Batch:
    contract = table("mollie", name)
    where = f"{intake.instance}: {origin}"
    return convert(contract, records, instance=intake.instance, loaded_at=intake.now, origin=where, given=given)


def _settlements(client: MollieClient, gateway: Gateway, intake: Intake) -> Iterator[Any]:
    """Settlements, what each holds, and its revenue and costs by month; each is listed until it is final."""
    state = dlt.current.resource_state()
    # First of all: a state that is not believed is forgotten, what was listed included.
    believed(state, _CURSOR, intake.now)
    listed: set[str] = set(state.get(_LISTED, []))
    in_reach: set[str] = set()
    for records, origin in _new_pages(client, intake, "settlements"):
        batch = _convert(intake, "settlements", records, origin)
        yield from intake.take(batch, "settlements")
        for rows in batch.tables.values():
            for payload in rows.column("_payload").to_pylist():
                settlement = _SETTLEMENT.decode(payload)
                in_reach.add(settlement.id)
                # What is still open changes until it is closed.
                if settlement.status == "open" or settlement.id in listed:
                    continue
                yield from _contents(client, settlement, payload.encode(), intake)
                if settlement.status in _FINAL:
                    listed.add(settlement.id)
    # Settlements beyond the look-back are not read again, so only those within it have to be remembered.
    state[_LISTED] = sorted(listed & in_reach)


def _contents(client: MollieClient, settlement: _Settlement, payload: bytes, intake: Intake) -> Iterator[Any]:
    common: dict[str, Any] = {"instance": intake.instance, "loaded_at": intake.now}
    items = list(_items(client, settlement.id))
    if items:
        contract = table("mollie", "settlement_items")
        yield merge_item(contract, from_rows(contract, items, **common))
    contract = table("mollie", "settlement_periods")
    try:
        periods = from_rows(contract, list(_periods(settlement)), **common)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation, pa.ArrowException) as error:
        origin = f"{intake.instance}: settlement {settlement.id}"
        reason = f"cannot be read: {type(error).__name__} {error}"
        rejection = Rejection(f"{settlement.id}/periods", "periods", None, reason, origin, payload)
        yield from intake.take(Batch(contract, 1, {}, [rejection]), "settlements")
        return
    if periods.num_rows:
        yield merge_item(contract, periods)


def _items(client: MollieClient, settlement_id: str) -> Iterator[dict[str, Any]]:
    for name, kind in _KINDS.items():
        path = f"settlements/{settlement_id}/{name}"
        for records, _ in client.pages(path, name):
            try:
                ids = [_ID.decode(record).id for record in records]
            except msgspec.MsgspecError as error:
                raise UnexpectedAnswerError(f"GET {path} holds a record without an id: {error}") from error
            for identity in ids:
                yield {"settlement_id": settlement_id, "kind": kind, "id": identity}


def _periods(settlement: _Settlement) -> Iterator[dict[str, Any]]:
    # PHP writes an empty object as a list.
    for year, months in (settlement.periods or {}).items():
        for month, period in months.items():
            for kind in ("revenue", "costs"):
                for position, part in enumerate(period.get(kind) or (), 1):
                    net, rate = part["amountNet"], part.get("rate") or {}
                    yield {
                        "settlement_id": settlement.id,
                        "period": f"{int(year):04d}-{int(month):02d}",
                        "kind": kind,
                        "position": position,
                        "description": part.get("description"),
                        "method": part.get("method"),
                        "count": part.get("count"),
                        "currency": net["currency"],
                        "net_amount": Decimal(net["value"]),
                        "vat_amount": Decimal((part.get("amountVat") or {}).get("value") or "0"),
                        "gross_amount": Decimal((part.get("amountGross") or net)["value"]),
                        "rate_fixed": (rate.get("fixed") or {}).get("value"),
                        "rate_percentage": _percentage(rate.get("percentage")),
                        "invoice_id": period.get("invoiceId"),
                    }


def _percentage(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("value")
    return None if value is None else str(value)
