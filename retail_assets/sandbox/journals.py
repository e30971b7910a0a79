"""The true books: what each event must come to in the ledger, worked out from the events themselves.

This is the yardstick for the accounting models, so it shares nothing with them but the written principles: cash lines
move the clearing account by their net and always post; a line that is not explained is parked in suspense; a sale is
booked on the day of its charge; entries of an order about which something is doubtful are held.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from retail_assets import money
from retail_assets.sandbox.minor import EXPONENTS, major, text
from retail_assets.sandbox.orders import Order
from retail_assets.sandbox.payments import LedgerLine, Payout
from retail_assets.sandbox.profiles import ChannelProfile, EntityProfile, GatewayProfile, clearing_account_of
from retail_assets.sandbox.rates import ExchangeRates
from retail_assets.sandbox.refunds import Refund

RECEIVABLES: Final = "1100"
GIFT_CARDS: Final = "2150"
BANK: Final = "1200"
CASH_IN_TRANSIT: Final = "1210"
DISPUTES_RECEIVABLE: Final = "1270"
SUSPENSE: Final = "1290"
TAX_PAYABLE: Final = {"US-NY": "2201", "US-CA": "2202", "DE": "2210", "JP": "2220"}
TIPS_PAYABLE: Final = "2160"
REVENUE: Final = "4000"
SHIPPING_INCOME: Final = "4100"
SALES_RETURNS: Final = "4200"
GATEWAY_FEES: Final = "6100"
DISPUTE_FEES: Final = "6110"
CHARGEBACK_LOSSES: Final = "6120"
FX_GAIN_LOSS: Final = "6900"
ROUNDING: Final = "6910"
#: The other side of money that is no sale, by the type of its line.
NO_SALE: Final = {
    "payout_reversal": CASH_IN_TRANSIT, "topup": "1220", "reserve": "1260", "financing": "2300", "contribution": "6200",
    "fee": GATEWAY_FEES, "fee_tax": "1280", "unknown": SUSPENSE,
}  # fmt: skip


Sink = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class _Entry:
    """An entry being built: signed base amounts (debit positive) in minor units, one per line."""

    lines: list[tuple[str, int]]

    def debit(self, account: str, amount: int) -> None:
        if amount:
            self.lines.append((account, amount))

    def credit(self, account: str, amount: int) -> None:
        self.debit(account, -amount)


class TrueBooks:
    """Writes the true journal of one entity.

    Args:
        entity: whose books.
        gateway: the account whose lines are booked.
        rates: the books' exchange rates.
        sink: receives each finished entry.
    """

    def __init__(
        self, entity: EntityProfile, gateway: GatewayProfile | ChannelProfile, rates: ExchangeRates, sink: Sink
    ) -> None:
        self._entity = entity
        self._gateway = gateway
        self._clearing_account = clearing_account_of(gateway.gateway_id)[1]
        self._rates = rates
        self._sink = sink
        self._zone = ZoneInfo(entity.zone)
        self.clearing = 0

    def day(self, at: int) -> date:
        """The accounting date of a moment: the day in the entity's zone."""
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()

    def _base(self, amount: int, currency: str, day: date) -> int:
        if currency == self._entity.currency:
            return amount
        base = self._entity.currency
        rate = self._rates.books((currency, base), day)
        return money.to_minor(money.quantize(major(amount, currency) * rate, base), base)

    def sale(self, order: Order, charged_at: int, *, held: bool) -> None:
        """The sale of a captured order, in base currency at the books' rate of the day, rounding shown apart."""
        day, currency = self.day(charged_at), order.currency
        entry = _Entry([])
        entry.debit(RECEIVABLES, self._base(order.total, currency, day))
        entry.debit(GIFT_CARDS, self._base(order.gift_card, currency, day))
        entry.credit(REVENUE, self._base(order.net_sales - order.tips, currency, day))
        entry.credit(TIPS_PAYABLE, self._base(order.tips, currency, day))
        entry.credit(SHIPPING_INCOME, self._base(order.shipping_total, currency, day))
        for jurisdiction, tax in order.tax_by_jurisdiction().items():
            entry.credit(TAX_PAYABLE[jurisdiction], self._base(tax, currency, day))
        entry.credit(ROUNDING, sum(amount for _, amount in entry.lines))
        self._write(f"sale/{order.key}", "sale", day, entry, held=held)

    def refund(self, refund: Refund, *, held: bool, sold_at: int = 0) -> None:
        """The credit note of a store refund; an amount without lines comes off sales as a whole.

        In another currency it is at the rate of the sale (``sold_at``), what rounding leaves shown apart.
        """
        currency, day = refund.order.currency, self.day(sold_at or refund.plan.at)
        entry = _Entry([])
        entry.debit(SALES_RETURNS, self._base(refund.net - refund.tips, currency, day))
        entry.debit(TIPS_PAYABLE, self._base(refund.tips, currency, day))
        for jurisdiction, tax in refund.tax_by_jurisdiction().items():
            entry.debit(TAX_PAYABLE[jurisdiction], self._base(tax, currency, day))
        entry.credit(RECEIVABLES, self._base(refund.amount, currency, day))
        entry.credit(ROUNDING, sum(amount for _, amount in entry.lines))
        self._write(f"refund/{refund.key}", "refund", self.day(refund.plan.at), entry, held=held)

    def charge_line(self, line: LedgerLine, order: Order | None) -> None:
        """A charge line; ``order`` is the order it settles, None when it is not explained by one."""
        entry = self._cash(line, GATEWAY_FEES)
        if order is None:
            entry.credit(SUSPENSE, line.amount)
        else:
            booked = self._base(order.total, order.currency, self.day(line.created))
            entry.credit(RECEIVABLES, booked)
            entry.credit(FX_GAIN_LOSS, line.amount - booked)
        self._write_line(line, entry)

    def refund_line(self, line: LedgerLine, refund: Refund | None = None, sold_at: int = 0) -> None:
        """A gateway refund, or one of several captures: the customer's account moves by what the line does.

        Of a ``refund`` in another currency the customer's account has what the sale's rate makes of it.
        """
        entry = self._cash(line, GATEWAY_FEES)
        booked = -line.amount
        if refund and refund.order.currency != self._entity.currency:
            booked = self._base(refund.amount, refund.order.currency, self.day(sold_at))
        entry.debit(RECEIVABLES, booked)
        entry.credit(FX_GAIN_LOSS, booked + line.amount)
        self._write_line(line, entry)

    def unknown_refund_line(self, line: LedgerLine) -> None:
        """A refund that the store does not know, or one that failed and came back, waits in suspense."""
        entry = self._cash(line, GATEWAY_FEES)
        entry.credit(SUSPENSE, line.amount)
        self._write_line(line, entry)

    def dispute_line(self, line: LedgerLine) -> None:
        """A dispute takes amount and fee, its reversal brings the amount back."""
        entry = self._cash(line, DISPUTE_FEES)
        entry.debit(DISPUTES_RECEIVABLE, -line.amount)
        self._write_line(line, entry)

    def dispute_loss(self, line: LedgerLine, dispute_id: str) -> None:
        """A lost dispute is no receivable any more, from the day on which its money was taken."""
        entry = _Entry([])
        entry.debit(CHARGEBACK_LOSSES, -line.amount)
        entry.credit(DISPUTES_RECEIVABLE, -line.amount)
        entry_id = f"dispute/{self._gateway.gateway_id}:{dispute_id}"
        self._write(entry_id, "dispute_loss", self.day(line.created), entry)

    def fee_line(self, line: LedgerLine) -> None:
        """A fee that is a line of its own."""
        entry = self._cash(line, GATEWAY_FEES)
        entry.debit(GATEWAY_FEES, -line.amount)
        self._write_line(line, entry)

    def other_line(self, line: LedgerLine) -> None:
        """Money that is no sale."""
        entry = self._cash(line, GATEWAY_FEES)
        entry.credit(NO_SALE[line.line_type], line.amount)
        self._write_line(line, entry)

    def payout(self, payout: Payout) -> None:
        """Money leaves the gateway."""
        entry = _Entry([])
        entry.debit(CASH_IN_TRANSIT, payout.amount)
        entry.credit(self._clearing_account, payout.amount)
        self.clearing -= payout.amount
        created = int(payout.day.created_at.timestamp())
        self._write(f"payout/{self._gateway.gateway_id}:{payout.id}", "payout", self.day(created), entry)

    def arrival(self, payout: Payout, value_date: date, *, part: int = 0, line_key: str = "") -> None:
        """Money reaches the bank; of a payout in several lines, ``part`` by the line of that key."""
        entry = _Entry([])
        entry.debit(BANK, part or payout.amount)
        entry.credit(CASH_IN_TRANSIT, part or payout.amount)
        entry_id = f"bank/{self._gateway.gateway_id}:{payout.id}" + (f"/{line_key}" if line_key else "")
        self._write(entry_id, "payout_arrival", value_date, entry)

    def _cash(self, line: LedgerLine, fee_account: str) -> _Entry:
        entry = _Entry([])
        entry.debit(self._clearing_account, line.net)
        entry.debit(fee_account, line.fee)
        self.clearing += line.net
        return entry

    def _write_line(self, line: LedgerLine, entry: _Entry) -> None:
        entry_id = f"line/{self._gateway.gateway_id}:{line.id}"
        self._write(entry_id, "settlement_line", self.day(line.created), entry)

    def _write(self, entry_id: str, entry_type: str, day: date, entry: _Entry, *, held: bool = False) -> None:
        if sum(amount for _, amount in entry.lines):
            raise AssertionError(f"the true entry {entry_id} does not balance: {entry.lines}")
        currency = self._entity.currency
        zero = text(0, currency) if EXPONENTS[currency] else "0"
        self._sink(
            {
                "entry_id": entry_id,
                "entity_code": self._entity.code,
                "entry_type": entry_type,
                "posting_date": day.isoformat(),
                "lines": [
                    {
                        "account_code": account,
                        "debit": text(amount, currency) if amount > 0 else zero,
                        "credit": text(-amount, currency) if amount < 0 else zero,
                    }
                    for account, amount in entry.lines
                ],
                "held": held,
            }
        )
