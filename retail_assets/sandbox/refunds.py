"""Refunds as the store records them: whole, by line with tax, or as a bare amount."""

from dataclasses import dataclass, field
from random import Random

from retail_assets.sandbox.orders import TIP, Charge, Line, Order, OrderMaker, TaxLine
from retail_assets.sandbox.plan import RefundMode, RefundPlan


@dataclass(slots=True)
class RefundedLine:
    """A product line taken back; ``line`` holds the positive amounts given back."""

    item_id: int
    original: Line
    line: Line


@dataclass(slots=True)
class RefundedCharge:
    """A shipping or fee line taken back."""

    item_id: int
    original: Charge


@dataclass(slots=True)
class Refund:
    """One store refund; all amounts positive, in minor units of the order's currency."""

    order: Order
    plan: RefundPlan
    amount: int
    lines: list[RefundedLine] = field(default_factory=list)
    shipping: list[RefundedCharge] = field(default_factory=list)
    fees: list[RefundedCharge] = field(default_factory=list)
    tax_lines: list[TaxLine] = field(default_factory=list)
    gateway_refund_id: str = ""

    @property
    def key(self) -> str:
        return f"{self.order.store.store_id}:{self.plan.id}"

    @property
    def net(self) -> int:
        """What the ledger takes off sales: the amount without the tax that the refund names."""
        return self.amount - sum(line.tax + line.shipping_tax for line in self.tax_lines)

    @property
    def tips(self) -> int:
        """What of it the staff is no longer owed."""
        return sum(fee.original.net for fee in self.fees if fee.original.name == TIP)

    @property
    def is_full(self) -> bool:
        return self.plan.mode is RefundMode.FULL

    def tax_by_jurisdiction(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self.tax_lines:
            found[line.rate.jurisdiction] = found.get(line.rate.jurisdiction, 0) + line.tax + line.shipping_tax
        return found


def make_refunds(order: Order, maker: OrderMaker, rng: Random) -> list[Refund]:
    """The refunds that the order's plan asks for; together never more than its total."""
    made: list[Refund] = []
    left = order.total
    for step, plan in enumerate(order.plan.refunds):
        if plan.mode is RefundMode.AMOUNT:
            # Different shares, so that no two refunds of one order have the same amount.
            amount = max(1, left * rng.randint(10 + 25 * step, 25 + 25 * step) // 100)
            made.append(Refund(order, plan, amount))
        else:
            made.append(_by_line(order, plan, maker, rng))
        left -= made[-1].amount
    return made


def _by_line(order: Order, plan: RefundPlan, maker: OrderMaker, rng: Random) -> Refund:
    full = plan.mode is RefundMode.FULL
    chosen = order.lines if full else [rng.choice(order.lines)]
    lines = [RefundedLine(maker.take_id(), line, _part(line, full=full)) for line in chosen]
    shipping = [RefundedCharge(maker.take_id(), line) for line in order.shipping] if full else []
    fees = [RefundedCharge(maker.take_id(), fee) for fee in order.fees] if full else []
    tax_lines = maker.tax_lines(
        ((rate, after) for refunded in lines for rate, _, after in refunded.line.taxes),
        (tax for refunded in fees for tax in refunded.original.taxes),
        (tax for refunded in shipping for tax in refunded.original.taxes),
    )
    amount = (
        sum(refunded.line.total for refunded in lines)
        + sum(refunded.original.net for refunded in (*shipping, *fees))
        + sum(line.tax + line.shipping_tax for line in tax_lines)
    )
    return Refund(order, plan, amount, lines, shipping, fees, tax_lines)


def _part(line: Line, *, full: bool) -> Line:
    """The whole line, or one unit of it."""
    if full or line.quantity == 1:
        return line
    taxes = [(rate, before // line.quantity, after // line.quantity) for rate, before, after in line.taxes]
    return Line(line.item_id, line.product, 1, line.subtotal // line.quantity, line.total // line.quantity, taxes)
