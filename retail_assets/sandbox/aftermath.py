"""What orders lead to beside the money: documents of the tax engine, parcels, returns and stock.

Both are told of each order of a store once its fate is known, and keep only what they need of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.erp_seed import ShippedLine
from retail_assets.sandbox.orders import Charge, Line, Order, TaxLine
from retail_assets.sandbox.plan import Case
from retail_assets.sandbox.profiles import TaxEngineProfile, TaxRate
from retail_assets.sandbox.refunds import Refund
from retail_assets.sandbox.tax import TaxDocument, TaxSplit
from retail_assets.sandbox.threepl import ReturnLine, ShipmentLine, StockLevel

_HOUR: Final = 3600
_DAY: Final = 86_400
#: Goods are back an hour before the shop gives the money back.
_INSPECTION: Final = _HOUR
_ON_THE_ROAD: Final = 2 * _DAY
_LEFT_ON_THE_SHELF: Final = 40
_COUNTED_ON: Final = 0
_COUNTED_AT: Final = time(5, 0)
#: By how much the engine reckons otherwise where that is planted; minor units.
TAX_TOO_MUCH: Final = 500


class TaxRecorder:
    """The store's tax plugin: a sale for each paid order, a return for each refund that names tax.

    Args:
        profile: the engine's account, with the authorities behind the store's tax rates.
        zone: IANA zone of the store; its days are the tax points.
    """

    def __init__(self, profile: TaxEngineProfile, zone: str) -> None:
        self._profile = profile
        self._zone = ZoneInfo(zone)
        self._found: list[TaxDocument] = []

    def __call__(self, order: Order, refunds: list[Refund]) -> None:
        """Record what the plugin sends of one order."""
        if not order.plan.paid or not order.total:
            return
        bases = _bases((line.total, [rate for rate, _, _ in line.taxes]) for line in order.lines)
        _add_charges(bases, (*order.fees, *order.shipping))
        amount = order.net_sales + order.shipping_total
        splits = self._splits(order.tax_lines, bases, amount)
        if order.plan.case is Case.TAX_DIFFERS:
            first, *others = splits
            splits = (replace(first, tax=first.tax + TAX_TOO_MUCH), *others)
        self._record(order, order.plan.paid, amount, order.shipping_total, splits)
        for refund in refunds:
            if not sum(line.tax + line.shipping_tax for line in refund.tax_lines):
                continue
            bases = _bases((one.line.total, [rate for rate, _, _ in one.line.taxes]) for one in refund.lines)
            _add_charges(bases, [one.original for one in (*refund.fees, *refund.shipping)])
            shipping = sum(one.original.net for one in refund.shipping)
            splits = self._splits(refund.tax_lines, bases, refund.net, sign=-1)
            self._record(order, refund.plan.at, -refund.net, -shipping, splits, refund.plan.id)

    def documents(self) -> list[TaxDocument]:
        """All documents, numbered in order of time."""
        ordered = sorted(self._found, key=lambda one: (one.at, one.order_id, one.refund_id or 0))
        return [replace(document, serial=serial) for serial, document in enumerate(ordered, start=1)]

    def _record(
        self, order: Order, at: int, amount: int, shipping: int, splits: tuple[TaxSplit, ...],
        refund_id: int | None = None,
    ) -> None:  # fmt: skip
        day = datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()
        self._found.append(
            TaxDocument(0, order.plan.id, at, day, order.currency, amount, splits, refund_id, shipping, modified=at)
        )

    def _splits(
        self, lines: list[TaxLine], bases: dict[int, int], amount: int, sign: int = 1
    ) -> tuple[TaxSplit, ...]:  # fmt: skip
        splits = []
        for line in lines:
            rate = line.rate
            level, code, name = self._profile.authorities[rate.id]
            taxable = bases.get(rate.id, 0)
            splits.append(
                TaxSplit(
                    rate.country,
                    rate.state,
                    level,
                    code,
                    name,
                    f"{rate.state} {level.upper()} TAX",
                    rate.rate,
                    sign * taxable,
                    sign * (line.tax + line.shipping_tax),
                    sign * (amount - taxable),
                )
            )
        return tuple(splits)


def _bases(lines: Iterable[tuple[int, list[TaxRate]]]) -> dict[int, int]:
    """What each rate is charged on: rate id → minor units."""
    found: dict[int, int] = {}
    for net, rates in lines:
        for rate in rates:
            found[rate.id] = found.get(rate.id, 0) + net
    return found


def _add_charges(bases: dict[int, int], charges: Iterable[Charge]) -> None:
    for rate_id, net in _bases((one.net, [rate for rate, _ in one.taxes]) for one in charges).items():
        bases[rate_id] = bases.get(rate_id, 0) + net


Pieces = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One order in the warehouse; ``shipped`` is 0 while it waits, which it does until ``freed`` (0: to the end)."""

    order_id: int
    number: str
    paid: int
    shipped: int
    freed: int
    pieces: Pieces
    returns: tuple[tuple[int, int, Pieces], ...]


class Warehouse:
    """Where the orders of one store leave from and come back to.

    Args:
        as_of: end of the simulated time, Unix seconds.
    """

    def __init__(self, as_of: int) -> None:
        self._as_of = as_of
        self._parcels: list[_Parcel] = []

    def __call__(self, order: Order, refunds: list[Refund]) -> None:
        """Take in one order."""
        plan = order.plan
        if not plan.paid:
            return
        returns = tuple(
            (refund.plan.id, refund.plan.at - _INSPECTION, _pieces(one.line for one in refund.lines))
            for refund in refunds
            if refund.lines and plan.completed and refund.plan.at - _INSPECTION > plan.completed
        )
        freed = plan.completed or min((refund.plan.at for refund in refunds if refund.is_full), default=0)
        self._parcels.append(
            _Parcel(plan.id, plan.number, plan.paid, plan.completed, freed, _pieces(order.lines), returns)
        )

    def shipments(self, carrier: str) -> list[ShipmentLine]:
        """A line for each article of each shipped order, in order of time."""
        found = []
        for parcel in self._shipped():
            delivered = parcel.shipped + _ON_THE_ROAD
            for sku, quantity in parcel.pieces:
                found.append(
                    ShipmentLine(
                        f"SH{parcel.order_id}",
                        parcel.number,
                        sku,
                        quantity,
                        carrier,
                        _tracking(parcel.order_id),
                        parcel.shipped,
                        delivered if delivered <= self._as_of else None,
                    )
                )
        return found

    def returns(self) -> list[ReturnLine]:
        """What came back, in order of time."""
        found = [
            ReturnLine(f"RT{refund_id}", parcel.number, sku, quantity, at, reason="changed mind")
            for parcel in self._shipped()
            for refund_id, at, pieces in parcel.returns
            for sku, quantity in pieces
        ]
        return sorted(found, key=lambda line: (line.received_at, line.return_id, line.sku))

    def counts(self, first_day: date) -> list[StockLevel]:
        """A count of every article early each Monday; the shelf was filled so that nothing runs out."""
        moves = [(parcel.shipped, sku, -number) for parcel in self._shipped() for sku, number in parcel.pieces]
        moves += [(line.received_at, line.sku, line.quantity) for line in self.returns()]
        waits = [(one.paid, one.freed or self._as_of + 1, one.pieces) for one in self._parcels]
        opening: dict[str, int] = {}
        for _, sku, number in moves:
            opening[sku] = opening.get(sku, _LEFT_ON_THE_SHELF) + max(-number, 0)
        found = []
        day = first_day + timedelta(days=(_COUNTED_ON - first_day.weekday()) % 7)
        while (moment := int(datetime.combine(day, _COUNTED_AT, UTC).timestamp())) <= self._as_of:
            there, promised = dict(opening), dict.fromkeys(opening, 0)
            for at, sku, number in moves:
                if at <= moment:
                    there[sku] += number
            for paid, freed, pieces in waits:
                if paid <= moment < freed:
                    for sku, number in pieces:
                        promised[sku] = promised.get(sku, 0) + number
            found += [StockLevel("MAIN", sku, moment, there[sku], promised[sku]) for sku in sorted(there)]
            day += timedelta(days=7)
        return found

    def erp_lines(self, company: str, latest: int) -> list[ShippedLine]:
        """The ``latest`` shipped orders, with what came back of them, as the ERP books deliveries (in UTC)."""
        found = []
        for parcel in self._shipped()[-latest:]:
            tracking = _tracking(parcel.order_id)
            sent = _clock(parcel.shipped)
            for sku, quantity in parcel.pieces:
                found.append(ShippedLine(company, parcel.number, sku, quantity, sent, tracking_number=tracking))
            for _, at, pieces in parcel.returns:
                for sku, quantity in pieces:
                    found.append(ShippedLine(company, parcel.number, sku, quantity, _clock(at), is_return=True))
        return found

    def reserved(self) -> dict[str, int]:
        """Pieces by SKU that are paid and have not left at the end of the simulated time."""
        found: dict[str, int] = {}
        for parcel in self._parcels:
            if not parcel.freed:
                for sku, quantity in parcel.pieces:
                    found[sku] = found.get(sku, 0) + quantity
        return dict(sorted(found.items()))

    def _shipped(self) -> list[_Parcel]:
        return sorted((one for one in self._parcels if one.shipped), key=lambda one: (one.shipped, one.order_id))


def _pieces(lines: Iterable[Line]) -> Pieces:
    return tuple(sorted((line.product.sku, line.quantity) for line in lines))


def _tracking(order_id: int) -> str:
    return f"003404341610{order_id:08d}"


def _clock(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
