"""What will happen to each order of a store, and when: the plan from which the records of every system are made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Final

from retail_assets.sandbox.calendars import PayoutDays
from retail_assets.sandbox.profiles import STORES, ChannelProfile, GatewayProfile, StoreProfile

_DAY: Final = 86_400
_HOUR: Final = 3_600

#: Below this a refund in a later payout, or a dispute that ends, would not fit between the first order and ``as_of``.
SHORTEST_DAYS: Final = 28


class Kind(StrEnum):
    """What became of an order."""

    PAID = "paid"
    CANCELLED = "cancelled"
    FAILED = "failed"
    PENDING = "pending"
    ON_HOLD = "on_hold"
    DRAFT = "draft"
    FREE = "free"
    COD = "cod"
    TRASH_UNPAID = "trash_unpaid"
    TRASH_REFUNDED = "trash_refunded"
    DELETED = "deleted"


class Case(StrEnum):
    """What was planted on an order; one case at most."""

    NONE = ""
    REFUND_SAME_PAYOUT = "refund_same_payout"
    REFUND_FULL = "refund_later_full"
    REFUND_PARTIAL = "refund_later_partial"
    REFUND_AMOUNT = "refund_later_amount_only"
    DISPUTE_OPEN = "dispute_open"
    DISPUTE_WON = "dispute_won"
    MONTH_END = "payout_month_end"
    FX = "fx_settlement"
    PAYMENT_MISSING = "payment_missing"
    ORDER_MISSING = "order_missing"
    AMOUNT_MISMATCH = "amount_mismatch"
    DUPLICATE_PAYMENT = "duplicate_payment"
    DISPUTE_LOST = "dispute_lost"
    PARTIAL_CAPTURE = "partial_capture"
    MULTI_CAPTURE = "multi_capture"
    GIFT_CARD = "gift_card_part_payment"
    TIP = "tip"
    ORDER_EDITED = "order_edited_after_payment"
    FX_REFUND = "fx_refund"
    REFUND_IN_STORE_ONLY = "refund_missing_in_gateway"
    REFUND_AT_GATEWAY_ONLY = "refund_missing_in_store"
    STALE_AUTHORISATION = "stale_authorisation"
    TEST_CHARGE = "test_charge"
    REFUND_FAILED = "refund_failed"
    SEVERAL_ORDERS = "several_orders_in_one_charge"
    DOUBLE_ORDER = "duplicate_order"
    TAX_DIFFERS = "tax_store_vs_engine"
    RENEWAL = "renewal"


class AccountCase(StrEnum):
    """What was planted on a gateway account or its bank account, in no order."""

    NEGATIVE_PAYOUT = "negative_payout"
    FAILED_PAYOUT = "payout_failed"
    RESERVE = "reserve_held_and_released"
    TOPUP = "topup"
    LOAN = "gateway_loan"
    DONATION = "donation"
    FEES = "fees_and_their_tax"
    REFUND_FEES = "fees_on_refunds"
    UNKNOWN = "unknown_line_type"
    DEPOSIT = "several_payouts_in_one_deposit"
    SPLIT = "payout_in_several_deposits"


class StockCase(StrEnum):
    """What was planted on an article of a store."""

    OVERSOLD = "oversold"
    DELAY = "stock_sync_delay"


#: Cases that must be found as an exception of the same name.
EXCEPTIONS: Final[frozenset[Case | AccountCase | StockCase]] = frozenset(
    {
        AccountCase.FAILED_PAYOUT, Case.DISPUTE_OPEN, Case.PAYMENT_MISSING, Case.ORDER_MISSING, Case.AMOUNT_MISMATCH,
        Case.DUPLICATE_PAYMENT, Case.ORDER_EDITED, Case.REFUND_IN_STORE_ONLY, Case.REFUND_AT_GATEWAY_ONLY,
        Case.STALE_AUTHORISATION, Case.REFUND_FAILED, Case.DOUBLE_ORDER, Case.TAX_DIFFERS,
        AccountCase.UNKNOWN, StockCase.OVERSOLD, StockCase.DELAY,
    }
)  # fmt: skip

#: Cases of orders whose total is another one than the charge.
UNEQUAL: Final = frozenset({Case.AMOUNT_MISMATCH, Case.ORDER_EDITED})

#: Cases of orders in pounds, which only the shop that sells to Britain has.
IN_POUNDS: Final = frozenset({Case.FX, Case.FX_REFUND})

_ONLY_IN: Final = dict.fromkeys(IN_POUNDS, "linden_de") | {Case.TAX_DIFFERS: "cedar_us"}

#: Exceptions that make it doubtful what was sold: the order's own entries wait. A dispute does not: the sale happened;
#: nor does a second order, which the customer may well want, or an engine that reckons otherwise.
HOLDING: Final = EXCEPTIONS - {Case.DISPUTE_OPEN, Case.DOUBLE_ORDER, Case.TAX_DIFFERS}

_CASE_SHARE: Final = 0.003

#: Orders of the store times the account's share of a thousand: from here on there is a sale on every day.
_BUSY: Final = 100_000


class Evidence(StrEnum):
    """What ties an order to its charge, from the strongest to the weakest."""

    CHARGE_ID = "charge_id"
    INTENT_ID = "intent_id"
    INTENT_META = "intent_meta"
    ORDER_KEY = "order_key"
    ORDER_NUMBER = "order_number"
    REFERENCE = "reference"
    DESCRIPTION = "description"


_EVIDENCE: Final = {
    Evidence.CHARGE_ID: 74,
    Evidence.INTENT_ID: 4,
    Evidence.INTENT_META: 3,
    Evidence.ORDER_KEY: 7,
    Evidence.ORDER_NUMBER: 4,
    Evidence.REFERENCE: 4,
    Evidence.DESCRIPTION: 4,
}
_KINDS: Final = {
    Kind.PAID: 860,
    Kind.CANCELLED: 28,
    Kind.FAILED: 25,
    Kind.PENDING: 15,
    Kind.ON_HOLD: 14,
    Kind.DRAFT: 12,
    Kind.FREE: 18,
    Kind.COD: 12,
    Kind.TRASH_UNPAID: 9,
    Kind.TRASH_REFUNDED: 7,
}


class RefundMode(StrEnum):
    """How a refund was entered in the store."""

    FULL = "full"
    LINES = "lines"
    AMOUNT = "amount"


_LATER_REFUNDS: Final = {
    Case.REFUND_FULL: RefundMode.FULL,
    Case.REFUND_PARTIAL: RefundMode.LINES,
    Case.REFUND_AMOUNT: RefundMode.AMOUNT,
}


@dataclass(slots=True)
class RefundPlan:
    """One refund: Unix time and mode; ``id`` is given once all events of the store are in order."""

    at: int
    mode: RefundMode
    id: int = 0


@dataclass(slots=True)
class OrderPlan:
    """One order's fate. Times are Unix seconds; 0 means never."""

    created: int
    kind: Kind
    case: Case = Case.NONE
    evidence: Evidence = Evidence.CHARGE_ID
    paid: int = 0
    completed: int = 0
    failed_attempts: int = 0
    refunds: list[RefundPlan] = field(default_factory=list)
    disputed: int = 0
    dispute_won: int = 0
    second_charge: int = 0
    #: When the rest of an order that ships in two parts is captured.
    second_capture: int = 0
    #: When money was given back at the gateway, of which the store knows nothing.
    refunded_there: int = 0
    #: When someone changed a paid and completed order.
    edited: int = 0
    #: The earlier order that is paid by the same charge; it has no payment of its own.
    paid_with: "OrderPlan | None" = None
    is_paid_with_another: bool = False
    #: The order a few minutes earlier that this one is made of once more.
    repeats: "OrderPlan | None" = None
    is_repeated: bool = False
    #: The gateway account that takes the money, where it is not the store's Stripe account.
    channel: str = ""
    id: int = 0
    number: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """The simulated time: from ``start`` to ``as_of``."""

    start: datetime
    as_of: datetime

    @property
    def first(self) -> int:
        return int(self.start.timestamp())

    @property
    def last(self) -> int:
        return int(self.as_of.timestamp())


def share_orders(orders: int) -> dict[str, int]:
    """How many of ``orders`` each store gets; the counts add up."""
    weights = {store_id: store.share for store_id, store in STORES.items()}
    counts = {store_id: orders * weight // sum(weights.values()) for store_id, weight in weights.items()}
    counts[next(iter(counts))] += orders - sum(counts.values())
    return counts


def share_cases(orders: int) -> dict[str, list[Case]]:
    """Which cases each store gets: two of each from 300 orders on, one from 60 on, and 0.3 % of large worlds."""
    floor = 2 if orders >= 300 else 1 if orders >= 60 else 0
    count = max(floor, round(orders * _CASE_SHARE))
    stores = list(STORES)
    shared: dict[str, list[Case]] = {store_id: [] for store_id in stores}
    for turn, case in enumerate(case for case in Case if case is not Case.NONE):
        # An engine's differences are told by jurisdiction and month: one of them, in the shop that has an engine.
        for step in range(min(count, 1) if case is Case.TAX_DIFFERS else count):
            # The orders in pounds belong to the shop that sells to Britain; most others go round.
            store_id = _ONLY_IN.get(case, stores[(turn + step) % len(stores)])
            shared[store_id].append(case)
    return shared


class Planner:
    """Plans the orders of one store.

    Args:
        store: the store.
        gateway: the account that takes its money.
        window: the simulated time.
        payout_days: when the account pays out, up to ``window.as_of``.
        rng: source of every choice.
    """

    def __init__(
        self, store: StoreProfile, gateway: GatewayProfile, window: Window, payout_days: PayoutDays, rng: Random
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._window = window
        self._payout_days = payout_days
        self._rng = rng

    def plan(self, count: int, cases: list[Case]) -> list[OrderPlan]:
        """``count`` orders (deleted ones come on top) in order of creation, with ids and numbers."""
        plans = [self._planted(case) for case in cases]
        plans += [other for plan in plans if (other := plan.paid_with or plan.repeats)]
        ordinary = count - sum(plan.kind is not Kind.DELETED for plan in plans)
        if ordinary < 0:
            raise ValueError(f"{count} orders are too few for the {len(cases)} planted cases of {self._store.store_id}")
        kinds = self._rng.choices(list(_KINDS), weights=list(_KINDS.values()), k=ordinary)
        plans += [self._ordinary(kind) for kind in kinds]
        plans.sort(key=lambda plan: plan.created)
        self._number(plans)
        return plans

    def share_channels(self, plans: list[OrderPlan], channels: Sequence[ChannelProfile], rng: Random) -> None:
        """Let some of the ordinary paid orders be paid over other gateway accounts."""
        for plan in plans:
            # Providers show a payment some hours late; the last ones stay with Stripe, which does not.
            if plan.is_paid_with_another or plan.is_repeated:
                continue
            if plan.kind is Kind.PAID and plan.case is Case.NONE and plan.paid < self._window.last - 6 * _HOUR:
                roll = rng.randrange(1000)
                for channel in channels:
                    if roll < channel.share:
                        if not self._would_hide_refunds(plan, channel, len(plans)):
                            plan.channel = channel.gateway_id
                        break
                    roll -= channel.share

    def _would_hide_refunds(self, plan: OrderPlan, channel: ChannelProfile, orders: int) -> bool:
        """Whether a refund may wait for weeks in a balance below zero, which such an account does not report."""
        is_busy = orders * channel.share > _BUSY
        latest = max((refund.at for refund in plan.refunds), default=0)
        return channel.reports_paid_out_only and not is_busy and latest > self._window.last - 28 * _DAY

    def _number(self, plans: list[OrderPlan]) -> None:
        events: list[tuple[int, int, OrderPlan | RefundPlan]] = []
        for plan in plans:
            events.append((plan.created, len(events), plan))
            events += [(refund.at, len(events) + step, refund) for step, refund in enumerate(plan.refunds)]
        events.sort(key=lambda event: event[:2])
        next_id, next_number = self._store.first_id, self._store.first_number
        for _, _, thing in events:
            thing.id = next_id
            # Products, pages and other posts take ids from the same space.
            next_id += 1 if self._rng.random() < 0.9 else 2
            if isinstance(thing, OrderPlan):
                thing.number = str(next_number) if self._store.first_number else str(thing.id)
                next_number += 1

    def _ordinary(self, kind: Kind) -> OrderPlan:
        rng, window = self._rng, self._window
        latest = window.last - 2 * _HOUR
        if kind is Kind.TRASH_REFUNDED:
            latest = window.last - 6 * _DAY
        plan = OrderPlan(rng.randint(window.first, latest), kind)
        if kind is Kind.PAID:
            self._pay(plan, _pick(rng, _EVIDENCE))
            roll = rng.random()
            if roll < 0.075:
                self._refund_some_time(plan, roll)
        elif kind is Kind.TRASH_REFUNDED:
            self._pay(plan, Evidence.CHARGE_ID)
            plan.refunds.append(RefundPlan(plan.paid + rng.randint(_HOUR, 3 * _DAY), RefundMode.FULL))
        elif kind in (Kind.FREE, Kind.COD):
            plan.paid = plan.created + rng.randint(20, 90)
            self._complete(plan)
        elif kind is Kind.FAILED:
            plan.failed_attempts = rng.choice((1, 1, 2, 3))
        elif kind is Kind.PENDING:
            plan.failed_attempts = rng.choice((0, 0, 1))
        return plan

    def _pay(self, plan: OrderPlan, evidence: Evidence) -> None:
        rng = self._rng
        plan.evidence = evidence
        plan.failed_attempts = 1 if rng.random() < 0.04 else 0
        plan.paid = plan.created + rng.randint(45, 240)
        self._complete(plan)

    def _complete(self, plan: OrderPlan) -> None:
        shipped = plan.paid + self._rng.randint(6 * _HOUR, 3 * _DAY)
        if shipped < self._window.last and self._rng.random() < 0.93:
            plan.completed = shipped

    def _refund_some_time(self, plan: OrderPlan, roll: float) -> None:
        rng, last = self._rng, self._window.last - 2 * _HOUR
        first = plan.paid + 2 * _HOUR
        if first >= last:
            return
        mode = RefundMode.FULL if roll < 0.025 else RefundMode.LINES if roll < 0.06 else RefundMode.AMOUNT
        plan.refunds.append(RefundPlan(rng.randint(first, min(last, first + 12 * _DAY)), mode))
        if mode is RefundMode.AMOUNT and roll > 0.072 and plan.refunds[0].at + _DAY < last:
            plan.refunds.append(RefundPlan(rng.randint(plan.refunds[0].at + _HOUR, last), RefundMode.AMOUNT))

    def _planted(self, case: Case) -> OrderPlan:
        rng, window = self._rng, self._window
        latest_days = {
            Case.REFUND_SAME_PAYOUT: 20, Case.REFUND_FULL: 20, Case.REFUND_PARTIAL: 20, Case.REFUND_AMOUNT: 20,
            Case.DISPUTE_OPEN: 14, Case.DISPUTE_WON: 20, Case.DISPUTE_LOST: 14, Case.FX_REFUND: 20,
            Case.MULTI_CAPTURE: 9, Case.ORDER_EDITED: 12, Case.REFUND_IN_STORE_ONLY: 14,
            Case.REFUND_AT_GATEWAY_ONLY: 14, Case.STALE_AUTHORISATION: 12, Case.REFUND_FAILED: 18,
        }.get(case, 5)  # fmt: skip
        plan = OrderPlan(rng.randint(window.first, window.last - latest_days * _DAY), Kind.PAID, case)
        if case is Case.MONTH_END:
            plan.created = self._before_month_end() or plan.created
        strong = case in (
            Case.AMOUNT_MISMATCH, Case.DUPLICATE_PAYMENT, Case.PAYMENT_MISSING, Case.ORDER_MISSING, Case.ORDER_EDITED,
            Case.STALE_AUTHORISATION, Case.RENEWAL,
        )  # fmt: skip
        self._pay(plan, Evidence.CHARGE_ID if strong else _pick(rng, _EVIDENCE))
        if case is Case.SEVERAL_ORDERS:
            plan.evidence = Evidence.ORDER_NUMBER
            plan.paid_with = OrderPlan(
                plan.created - rng.randint(_HOUR, 5 * _HOUR),
                Kind.PAID,
                evidence=Evidence.ORDER_NUMBER,
                is_paid_with_another=True,
            )
            plan.paid_with.paid = plan.paid + 1
            self._complete(plan.paid_with)
        elif case is Case.DOUBLE_ORDER:
            plan.repeats = OrderPlan(plan.created - rng.randint(60, 480), Kind.PAID, is_repeated=True)
            self._pay(plan.repeats, Evidence.CHARGE_ID)
        elif case is Case.ORDER_MISSING:
            plan.kind = Kind.DELETED
        elif case is Case.DUPLICATE_PAYMENT:
            plan.second_charge = plan.paid + rng.randint(30, 900)
        elif case is Case.ORDER_EDITED:
            plan.completed = plan.paid + rng.randint(6 * _HOUR, 3 * _DAY)
            plan.edited = plan.completed + rng.randint(_HOUR, 3 * _DAY)
        elif case is Case.MULTI_CAPTURE:
            plan.second_capture = plan.paid + rng.randint(_DAY, 4 * _DAY)
        elif case in (Case.DISPUTE_OPEN, Case.DISPUTE_LOST):
            plan.disputed = plan.paid + rng.randint(3 * _DAY, 9 * _DAY)
        elif case is Case.DISPUTE_WON:
            plan.disputed = plan.paid + rng.randint(2 * _DAY, 6 * _DAY)
            plan.dispute_won = plan.disputed + rng.randint(4 * _DAY, 8 * _DAY)
        elif case is Case.REFUND_SAME_PAYOUT:
            plan.refunds.append(RefundPlan(self._within_payout(plan.paid), RefundMode.FULL))
        elif case is Case.REFUND_AT_GATEWAY_ONLY:
            plan.refunded_there = plan.paid + rng.randint(_DAY, 6 * _DAY)
        elif case in (Case.REFUND_IN_STORE_ONLY, Case.REFUND_FAILED):
            plan.refunds.append(RefundPlan(plan.paid + rng.randint(_DAY, 6 * _DAY), RefundMode.AMOUNT))
        elif case is Case.FX_REFUND:
            plan.refunds.append(RefundPlan(plan.paid + rng.randint(2 * _DAY, 10 * _DAY), RefundMode.AMOUNT))
        elif case in _LATER_REFUNDS:
            plan.refunds.append(RefundPlan(self._after_payout(plan.paid), _LATER_REFUNDS[case]))
        return plan

    def _payout_slot(self, charged: int) -> int:
        moment = datetime.fromtimestamp(charged, UTC)
        return self._payout_days.slot(self._gateway.calendar.available_on(moment))

    def _within_payout(self, charged: int) -> int:
        """A moment at which a refund still falls into the payout of the charge."""
        days, slot = self._payout_days.days, self._payout_slot(charged)
        payout = int(days[slot].created_at.timestamp())
        previous = int(days[slot - 1].created_at.timestamp()) if slot else 0
        return self._rng.randint(max(previous, charged) + 600, payout - 600)

    def _after_payout(self, charged: int) -> int:
        """A moment after the payout of the charge, early enough for the refund's own payout."""
        payout = int(self._payout_days.days[self._payout_slot(charged)].created_at.timestamp())
        return self._rng.randint(payout + _HOUR, max(self._window.last - 8 * _DAY, payout + 2 * _HOUR))

    def _before_month_end(self) -> int | None:
        """A moment whose charge is paid out in one month and reaches the bank in the next; None if none fits."""
        settled_before = (self._window.as_of - timedelta(days=2)).date()
        crossing = [
            slot
            for slot, day in enumerate(self._payout_days.days)
            if day.crosses_month_end and day.arrival_date < settled_before
        ]
        for slot in reversed(crossing):
            for days_back in range(1, 15):
                moment = int(self._payout_days.days[slot].created_at.timestamp()) - days_back * _DAY
                if moment > self._window.first and self._payout_slot(moment) == slot:
                    return moment + self._rng.randint(0, 600)
        return None


def _pick(rng: Random, weights: dict[Evidence, int]) -> Evidence:
    return rng.choices(list(weights), weights=list(weights.values()))[0]
