"""Gateway accounts other than Stripe's while their history is being written, before any provider's format."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Protocol

from retail_assets.sandbox.calendars import PayoutDay, PayoutDays
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.sandbox.orders import Order
from retail_assets.sandbox.profiles import ChannelProfile


class Provider(Protocol):
    """What a provider's module offers: the names it gives to movements and payouts, as its own records have them."""

    def payment_id_of(self, movement: Movement) -> str:
        """The payment that a sale made; the store notes it as the order's transaction."""
        ...

    def refund_id_of(self, movement: Movement) -> str:
        """The refund that a refund movement made."""
        ...

    def line_id_of(self, movement: Movement) -> str:
        """The line of the account's ledger that holds a movement, as our staging models name it."""
        ...

    def payout_id_of(self, payout: LedgerPayout) -> str:
        """A payout, as our staging models name it."""
        ...


def provider_of(profile: ChannelProfile) -> Any:
    """The module that writes the records of an account's provider."""
    return import_module(f"retail_assets.sandbox.{profile.system}")


class ChannelAccount:
    """One account: sales and refunds come in, payouts go out.

    Args:
        profile: fees, calendar and names of the account.
        payout_days: every payout day up to the end of the simulated time.
    """

    def __init__(self, profile: ChannelProfile, payout_days: PayoutDays) -> None:
        self.profile = profile
        self._payout_days = payout_days
        self._movements: list[Movement] = []
        self._slots: list[int] = []

    def sale(self, order: Order, at: int) -> Movement:
        """A captured payment of the whole order, in the account's currency."""
        return self._book(order, "sale", at, order.total, self.profile.fee(order.total))

    def refund(self, order: Order, sale: Movement, amount: int, at: int) -> Movement:
        """Money given back; no fee comes back."""
        return self._book(order, "refund", at, -amount, 0, refund_of=sale.serial)

    def close(self) -> tuple[GatewayLedger, dict[int, PayoutDay]]:
        """The finished ledger: each payout takes what became available since the last one.

        A day on which the balance is not positive has no payout; its movements wait for the next.

        Returns:
            The ledger, and the payout day of each payout's serial.
        """
        nets: dict[int, int] = {}
        for movement, slot in zip(self._movements, self._slots, strict=True):
            nets[slot] = nets.get(slot, 0) + movement.net
        payouts: list[LedgerPayout] = []
        day_of: dict[int, PayoutDay] = {}
        payout_of: dict[int, int] = {}
        waiting: list[int] = []
        amount = 0
        for slot, day in enumerate(self._payout_days.days):
            if slot in nets:
                waiting.append(slot)
                amount += nets[slot]
            if amount <= 0:
                continue
            serial = len(payouts) + 1
            payouts.append(LedgerPayout(serial, int(day.created_at.timestamp()), day.arrival_date, amount))
            day_of[serial] = day
            payout_of |= dict.fromkeys(waiting, serial)
            waiting, amount = [], 0
        movements = [
            replace(movement, payout=payout_of.get(slot))
            for movement, slot in zip(self._movements, self._slots, strict=True)
        ]
        movements.sort(key=lambda movement: (movement.at, movement.serial))
        profile = self.profile
        ledger = GatewayLedger(
            profile.gateway_id, profile.currency, profile.calendar.zone, profile.reference_prefix, tuple(movements),
            tuple(payouts),
        )  # fmt: skip
        return ledger, day_of

    def _book(
        self, order: Order, kind: str, at: int, amount: int, fee: int, refund_of: int | None = None
    ) -> Movement:  # fmt: skip
        moment = datetime.fromtimestamp(at, UTC)
        available = moment if self.profile.pays_at_once or amount < 0 else self.profile.calendar.available_on(moment)
        self._slots.append(self._payout_days.slot(available))
        movement = Movement(
            serial=len(self._movements) + 1,
            kind="sale" if kind == "sale" else "refund",
            at=at,
            amount=amount,
            fee=fee,
            order_id=order.plan.id,
            order_number=order.plan.number,
            order_key=order.order_key,
            email=order.customer.email,
            country=order.customer.address.country,
            description=f"Order {order.plan.number}",
            refund_of=refund_of,
        )
        self._movements.append(movement)
        return movement
