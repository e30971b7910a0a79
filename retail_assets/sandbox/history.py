"""Plays the plan of each order: what the store, the gateway and the books see of it, and what is the truth about it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.aftermath import TAX_TOO_MUCH
from retail_assets.sandbox.channels import ChannelAccount, provider_of
from retail_assets.sandbox.journals import TrueBooks
from retail_assets.sandbox.minor import text
from retail_assets.sandbox.orders import Order, OrderMaker
from retail_assets.sandbox.payments import LedgerLine, Payment, Payout, StripeAccount
from retail_assets.sandbox.plan import (
    EXCEPTIONS,
    HOLDING,
    UNEQUAL,
    AccountCase,
    Case,
    Evidence,
    Kind,
    OrderPlan,
    Window,
)
from retail_assets.sandbox.profiles import StoreProfile
from retail_assets.sandbox.rates import ExchangeRates
from retail_assets.sandbox.refunds import Refund, make_refunds
from retail_assets.sandbox.storage import StateFile, encode
from retail_assets.sandbox.storebodies import modified_at, order_body, refund_body, status_of

#: Told of an order and its refunds once it is in the store.
Watcher = Callable[[Order, list[Refund]], None]

#: Orders for which the gateway holds no money.
_UNPAID: Final = frozenset(Kind) - {Kind.PAID, Kind.TRASH_REFUNDED, Kind.DELETED}

#: Our types of the lines that are no sale, by Stripe's category.
_LINE_TYPES: Final = {
    "risk_reserved_funds": "reserve", "contribution": "contribution", "topup": "topup",
    "financing_payout": "financing", "financing_paydown": "financing", "network_cost": "fee", "tax": "fee_tax",
    "fee": "fee", "hologram_levy": "unknown",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """A planted case: where it is and, if it must be found, as what."""

    case: Case | AccountCase
    order_key: str | None
    line: LedgerLine | None
    amount: str
    currency: str
    payout_id: str | None = None
    #: What it is about, if that is neither order nor line nor payout.
    subject: str = ""

    @property
    def exception_type(self) -> str:
        return self.case.value if self.case in EXCEPTIONS else ""

    def case_record(self, gateway_id: str, payout_of: dict[int, str]) -> dict[str, Any]:
        """The case for the truth; the settlement is None while its line is not paid out."""
        line_key = f"{gateway_id}:{self.line.id}" if self.line else None
        payout_id = self.payout_id or (payout_of.get(self.line.slot) if self.line else None)
        return {
            "case": self.case.value,
            "order_key": self.order_key,
            "settlement_line_key": line_key,
            "settlement_key": f"{gateway_id}:{payout_id}" if payout_id else None,
        }

    def exception_record(self, gateway_id: str, payout_of: dict[int, str]) -> dict[str, Any]:
        """The exception that must be found. Its subject is the order, or the line when it is the line that is wrong."""
        record = self.case_record(gateway_id, payout_of)
        about = "settlement_key" if self.payout_id else "order_key"
        if self.case in (Case.ORDER_MISSING, Case.DUPLICATE_PAYMENT, AccountCase.UNKNOWN):
            about = "settlement_line_key"
        return {
            "exception_type": self.exception_type,
            "subject": self.subject or record[about],
            **record,
            "amount": self.amount,
            "currency_code": self.currency,
        }


class StoreHistory:
    """Everything that happens around one store.

    Args:
        store: the store.
        maker: fills its orders.
        account: the gateway account that takes its money.
        books: the true journal of its entity.
        rates: exchange rates.
        state: the store's state file.
        as_of: end of the simulated time, Unix seconds.
        rng: source of every choice.
        channels: the other gateway accounts of the store, by their id.
        watchers: told of each order that the store has.
    """

    def __init__(
        self, store: StoreProfile, maker: OrderMaker, account: StripeAccount, books: TrueBooks, rates: ExchangeRates,
        state: StateFile, as_of: int, rng: Random, channels: Mapping[str, ChannelAccount],
        watchers: Sequence[Watcher] = (),
    ) -> None:  # fmt: skip
        self._store = store
        self._maker = maker
        self._account = account
        self._books = books
        self._rates = rates
        self._state = state
        self._as_of = as_of
        self._rng = rng
        self._channels = channels
        self._watchers = watchers
        self._next_meta = 1
        self._authorised = ""
        #: Orders that wait for the one whose charge pays them as well, or that repeats them, by their id.
        self._waiting: dict[int, Order] = {}
        #: The order behind each movement of the other accounts: (gateway id, serial) → order.
        self.channel_orders: dict[tuple[str, int], Order] = {}
        self.channel_refunds: dict[tuple[str, int], Refund] = {}
        self.lines: list[LedgerLine] = []
        self.findings: list[Finding] = []
        self.counts = {"orders": 0, "store_refunds": 0, "paid_orders": 0}

    def play(self, plan: OrderPlan) -> None:
        """Play one order from its creation to the end of the simulated time."""
        order = self._maker.again(self._waiting.pop(plan.repeats.id), plan) if plan.repeats else self._maker.make(plan)
        if plan.is_repeated:
            self._waiting[plan.id] = order
        intent_id = self._account.new_id("pi")
        for attempt in range(plan.failed_attempts):
            at = min((plan.paid or plan.created + 600) - 20 * (plan.failed_attempts - attempt), self._as_of)
            self._account.failed_charge(order, at, intent_id)
        if plan.kind is Kind.DELETED:
            self._play_deleted(order, intent_id)
            return
        refunds = make_refunds(order, self._maker, self._rng)
        if plan.channel:
            self._play_channel(order, refunds)
            return
        payment = None
        transaction_id, metas = "", {}
        if plan.is_paid_with_another:
            self._waiting[plan.id] = order
            self.counts["paid_orders"] += 1
        elif plan.kind not in _UNPAID:
            payment = self._pay(order, refunds, intent_id)
            transaction_id, metas = self._notes(order, payment, refunds, intent_id)
        elif plan.failed_attempts:
            metas = {"_stripe_intent_id": intent_id}
        self._write(order, refunds, transaction_id, metas)

    def _play_channel(self, order: Order, refunds: list[Refund]) -> None:
        """An order paid over another gateway; what its account did is booked once its lines have their final names."""
        account = self._channels[order.plan.channel]
        self.counts["paid_orders"] += 1
        gateway_id = account.profile.gateway_id
        sale = account.sale(order, order.plan.paid - 3)
        self.channel_orders[gateway_id, sale.serial] = order
        for refund in refunds:
            back = account.refund(order, sale, refund.amount, refund.plan.at + 4)
            refund.gateway_refund_id = provider_of(account.profile).refund_id_of(back)
            self.channel_orders[gateway_id, back.serial] = order
            self.channel_refunds[gateway_id, back.serial] = refund
        self._write(order, refunds, provider_of(account.profile).payment_id_of(sale), {})

    def standalone_fee(self, at: int) -> None:
        """A monthly fee for fraud screening."""
        line = self._account.standalone_fee(self._account.gateway.radar_fee, at, "Radar for Fraud Teams")
        self.lines.append(line)
        self._books.fee_line(line)

    def plant_account_cases(self, window: Window) -> None:
        """Money that is no sale, and for an account that may debit the bank a payout that does."""
        day, unit, gateway = (window.last - window.first) // 45, self._account.gateway.radar_fee, self._account.gateway
        self._other(AccountCase.RESERVE, -20 * unit, window.first + 12 * day, "reserve_hold", "risk_reserved_funds")
        self._other(AccountCase.RESERVE, 20 * unit, window.first + 25 * day, "reserve_release", "risk_reserved_funds")
        self._other(AccountCase.DONATION, -2 * unit, window.first + 9 * day, "contribution", "contribution")
        self._other(AccountCase.TOPUP, 30 * unit, window.first + 15 * day, "topup", "topup")
        self._other(AccountCase.LOAN, 100 * unit, window.first + 5 * day, "advance_funding", "financing_payout")
        for week in range(2, 6):
            at = window.first + 7 * week * day
            self._other(AccountCase.LOAN, -15 * unit, at, "financing_paydown", "financing_paydown")
        self._other(AccountCase.FEES, -3 * unit, window.first + 18 * day, "network_cost", "network_cost")
        self._other(AccountCase.FEES, -unit, window.first + 18 * day + 60, "tax_fee", "tax")
        self._other(AccountCase.REFUND_FEES, -max(1, unit // 10), window.first + 21 * day, "stripe_fee", "fee")
        self._other(AccountCase.UNKNOWN, -unit, window.first + 22 * day, "hologram_levy", "hologram_levy")
        due = self._account.balance_at_payout(0.6) if gateway.debits_bank else None
        if due:
            # More is held back than there is, and the bank account has to give the rest.
            held, (paid_at, next_at) = due[0] + 10 * unit, due[1:]
            self._other(AccountCase.NEGATIVE_PAYOUT, -held, paid_at - 600, "reserve_hold", "risk_reserved_funds")
            self._other(AccountCase.NEGATIVE_PAYOUT, held, next_at - 600, "reserve_release", "risk_reserved_funds")

    def payout_failed(self, payout: Payout) -> None:
        """A payout whose money came back."""
        line = payout.returned
        if line:
            currency = self._account.gateway.currency
            self.lines.append(line)
            self._books.other_line(line)
            amount = text(payout.amount, currency)
            self.findings.append(Finding(AccountCase.FAILED_PAYOUT, None, line, amount, currency, payout.id))

    def _other(self, case: AccountCase, amount: int, at: int, type_: str, category: str) -> None:
        line_type = _LINE_TYPES[category]
        line = self._account.movement(
            amount, at, type_=type_, category=category, line_type=line_type, text=type_.replace("_", " ").capitalize()
        )
        self.lines.append(line)
        self._books.other_line(line)
        currency = self._account.gateway.currency
        self.findings.append(Finding(case, None, line, text(abs(amount), currency), currency))

    def _play_deleted(self, order: Order, intent_id: str) -> None:
        """An order the store no longer has; or never had, when the charge names no order at all."""
        evidence = self._rng.choice((Evidence.CHARGE_ID, Evidence.INTENT_META))
        payment = self._account.charge(
            order, order.total, order.plan.paid - 3, intent_id, evidence=evidence, order_key=None
        )
        self.lines.append(payment.line)
        self._books.charge_line(payment.line, None)
        self._find(order.plan.case, None, payment.line, order.total, order.currency)

    def _pay(self, order: Order, refunds: list[Refund], intent_id: str) -> Payment | None:
        plan, account, books = order.plan, self._account, self._books
        self.counts["paid_orders"] += 1
        if plan.case is Case.PAYMENT_MISSING:
            self._find(plan.case, order.key, None, order.total, order.currency)
            return None
        if plan.case is Case.STALE_AUTHORISATION:
            self._authorised = account.other_charge(order, plan.paid - 3, intent_id, live=True)
            self._find(plan.case, order.key, None, order.total, order.currency)
            return None
        if plan.case is Case.TEST_CHARGE:
            account.other_charge(order, plan.paid - 30, account.new_id("pi"), live=False)
        if plan.paid_with:
            return self._pay_together(order, self._waiting.pop(plan.paid_with.id), intent_id)
        charged_at = plan.paid - 3
        amount = order.total
        rate = None
        if plan.case in UNEQUAL:
            change = max(150, order.total * 12 // 100)
            amount += change if self._rng.random() < 0.5 else -change
        if order.currency != account.gateway.currency:
            pair = (order.currency, account.gateway.currency)
            rate = self._rates.stripe(pair, books.day(charged_at), self._rng)
        parts: dict[str, Any] = {}
        if plan.case is Case.PARTIAL_CAPTURE:
            parts["authorised"] = amount + max(1, amount * self._rng.randint(10, 50) // 100)
        elif plan.second_capture:
            parts["second"] = (max(1, amount * self._rng.randint(20, 60) // 100), plan.second_capture)
        payment = account.charge(
            order, amount, charged_at, intent_id, evidence=plan.evidence, exchange_rate=rate, order_key=order.key,
            refunds=self._given_back(order, refunds), disputed=bool(plan.disputed), **parts,
        )  # fmt: skip
        self.lines += [payment.line, *payment.others]
        held = plan.case in HOLDING
        books.sale(order, charged_at, held=held)
        if payment.others:
            for line in (payment.line, *payment.others):
                books.refund_line(line)
        else:
            books.charge_line(payment.line, None if plan.case in UNEQUAL else order)
        for refund in refunds:
            self._refund(order, refund, payment, held=held)
        unknown = None
        if plan.refunded_there:
            amount_back = self._given_back(order, refunds)
            unknown = account.refund(payment, amount_back, plan.refunded_there, "requested_by_customer", order.key)[1]
            self.lines.append(unknown)
            books.unknown_refund_line(unknown)
        second = self._second_charge(order) if plan.second_charge else None
        disputes = self._dispute(order, payment) if plan.disputed else []
        if plan.case is Case.TAX_DIFFERS:
            self._find_tax(order, payment.line)
        elif plan.case is not Case.NONE:
            line = second or unknown or (disputes[0] if disputes else payment.line)
            at_risk = abs(amount - order.total) or amount
            self._find(plan.case, order.key, line, at_risk, order.currency)
        return payment

    def _pay_together(self, order: Order, other: Order, intent_id: str) -> Payment:
        """One charge for two orders, which it names both."""
        charged_at = order.plan.paid - 3
        payment = self._account.charge(
            order, order.total + other.total, charged_at, intent_id, evidence=Evidence.ORDER_NUMBER, order_key=None,
            numbers=f"{other.plan.number}, {order.plan.number}",
        )  # fmt: skip
        self.lines.append(payment.line)
        for one in (order, other):
            self._books.sale(one, charged_at, held=False)
        self._books.refund_line(payment.line)
        self._find(order.plan.case, order.key, payment.line, payment.amount, order.currency)
        return payment

    def _given_back(self, order: Order, refunds: list[Refund]) -> int:
        """What the gateway gives back, by the end, of the order's payment."""
        if order.plan.case is Case.REFUND_AT_GATEWAY_ONLY:
            return max(1, order.total // 5)
        if order.plan.case in (Case.REFUND_IN_STORE_ONLY, Case.REFUND_FAILED):
            return 0
        return sum(refund.amount for refund in refunds)

    def _dispute(self, order: Order, payment: Payment) -> list[LedgerLine]:
        plan, lost = order.plan, order.plan.case is Case.DISPUTE_LOST
        dispute_id, lines = self._account.dispute(payment, plan.disputed, plan.dispute_won, order.key, lost=lost)
        for line in lines:
            self.lines.append(line)
            self._books.dispute_line(line)
        if lost:
            self._books.dispute_loss(lines[0], dispute_id)
        return lines

    def _second_charge(self, order: Order) -> LedgerLine:
        payment = self._account.charge(
            order, order.total, order.plan.second_charge, self._account.new_id("pi"), evidence=Evidence.CHARGE_ID,
            order_key=order.key,
        )  # fmt: skip
        self.lines.append(payment.line)
        self._books.charge_line(payment.line, None)
        return payment.line

    def _refund(self, order: Order, refund: Refund, payment: Payment, *, held: bool) -> None:
        if order.plan.case is Case.REFUND_IN_STORE_ONLY:
            self._books.refund(refund, held=held)
            return
        if order.plan.case is Case.REFUND_FAILED:
            refund.gateway_refund_id, lines = self._account.failed_refund(
                payment, refund.amount, refund.plan.at + 4, order.key
            )
            self.lines += lines
            self._books.refund(refund, held=held)
            for line in lines:
                self._books.unknown_refund_line(line)
            return
        # The plugin asks the gateway a few seconds after the shop has noted the refund.
        at, currency, sold_at = refund.plan.at + 4, self._account.gateway.currency, payment.line.created
        rate = None
        if order.currency != currency:
            rate = self._rates.stripe((order.currency, currency), self._books.day(at), self._rng)
        refund.gateway_refund_id, line = self._account.refund(
            payment, refund.amount, at, "requested_by_customer", order.key, rate
        )
        self.lines.append(line)
        self._books.refund(refund, held=held, sold_at=sold_at)
        self._books.refund_line(line, refund, sold_at)

    def _notes(
        self, order: Order, payment: Payment | None, refunds: list[Refund], intent_id: str
    ) -> tuple[str, dict[str, str]]:
        """The transaction id and meta data that the payment plugin left on the order."""
        plan, gateway = order.plan, self._account.gateway
        if plan.evidence is Evidence.INTENT_ID:
            return intent_id, {}
        if plan.evidence is Evidence.INTENT_META:
            return "", {"_stripe_intent_id": intent_id}
        if plan.evidence is not Evidence.CHARGE_ID:
            return "", {}
        currency = gateway.currency
        if plan.case is Case.STALE_AUTHORISATION:
            return self._authorised, {"_stripe_intent_id": intent_id, "_stripe_charge_captured": "no"}
        if payment is None:
            charge_id, fee, net = self._account.new_id("ch"), gateway.fee(order.total, self._store.country), order.total
            net -= fee
        else:
            charge_id, fee, net = payment.charge_id, payment.line.fee, payment.line.net
        # Both are cumulative over charge and refunds, in the settlement currency, and a hint only.
        # The plugin does not take back what it noted of a refund that failed.
        failed = sum(refund.amount for refund in refunds) if plan.case is Case.REFUND_FAILED else 0
        net -= self._given_back(order, refunds) + failed
        metas = {
            "_stripe_intent_id": intent_id, "_stripe_charge_captured": "yes", "_stripe_fee": text(fee, currency),
            "_stripe_net": text(net, currency), "_stripe_currency": currency, "_stripe_upe_payment_type": "card",
        }  # fmt: skip
        if refunds and refunds[-1].gateway_refund_id:
            # Only the last refund is kept on the order.
            metas["_stripe_refund_id"] = refunds[-1].gateway_refund_id
        return charge_id, metas

    def _write(self, order: Order, refunds: list[Refund], transaction_id: str, metas: dict[str, str]) -> None:
        plan = order.plan
        body = order_body(order, refunds, self._as_of, transaction_id, metas, self._next_meta)
        self._next_meta += len(metas)
        modified = modified_at(order, self._as_of)
        self._state.add(
            "orders",
            plan.id,
            plan.number,
            status_of(order, refunds),
            plan.created,
            modified,
            order.customer.id,
            encode(body),
        )
        self.counts["orders"] += 1
        for refund in refunds:
            self._state.add(
                "refunds", refund.plan.id, plan.id, refund.plan.at, refund.plan.at,
                encode(refund_body(refund, self._next_meta)),
            )  # fmt: skip
            self._next_meta += 2
            self.counts["store_refunds"] += 1
        for watcher in self._watchers:
            watcher(order, refunds)

    def _find(self, case: Case, order_key: str | None, line: LedgerLine | None, amount: int, currency: str) -> None:
        self.findings.append(Finding(case, order_key, line, text(amount, currency), currency))

    def _find_tax(self, order: Order, line: LedgerLine) -> None:
        """Differences of the tax engine are told by jurisdiction and month."""
        day = datetime.fromtimestamp(order.plan.paid, UTC).astimezone(ZoneInfo(self._store.zone))
        subject = f"{self._store.entity_code}:{order.tax_lines[0].rate.jurisdiction}:{order.currency}:{day:%Y-%m}"
        amount = text(TAX_TOO_MUCH, order.currency)
        self.findings.append(Finding(order.plan.case, order.key, line, amount, order.currency, subject=subject))
