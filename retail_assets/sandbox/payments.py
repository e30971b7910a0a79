"""The Stripe side: charges, refunds, disputes, payouts and the ledger they make, in Stripe's own shape."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any, Final

from retail_assets.sandbox.calendars import PayoutDay, PayoutDays, midnight
from retail_assets.sandbox.minor import half_up
from retail_assets.sandbox.orders import Order
from retail_assets.sandbox.plan import Case, Evidence
from retail_assets.sandbox.profiles import STORES, GatewayProfile
from retail_assets.sandbox.storage import StateFile, encode

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BRANDS: Final = ("visa", "visa", "mastercard", "amex")
_DISPUTE_DAYS: Final = 9
_DAY: Final = 86_400
_RETURNED_AFTER: Final = 3 * _DAY
_REFUND_RETURNED_AFTER: Final = 4 * _DAY
_DESCRIBED: Final = frozenset({Evidence.CHARGE_ID, Evidence.ORDER_KEY, Evidence.DESCRIPTION})


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One balance transaction, reduced to what payouts and the truth need."""

    id: str
    created: int
    amount: int
    fee: int
    line_type: str
    order_key: str | None
    slot: int

    @property
    def net(self) -> int:
        return self.amount - self.fee


@dataclass(frozen=True, slots=True)
class Payment:
    """A succeeded charge: presentment amount and its ledger line."""

    charge_id: str
    intent_id: str
    amount: int
    currency: str
    card_country: str
    brand: str
    line: LedgerLine
    #: Lines that the charge has beside the first: a later capture, or what was taken back of the first.
    others: tuple[LedgerLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout and how the bank will name it."""

    id: str
    amount: int
    day: PayoutDay
    trace_id: str
    in_transit: bool
    #: The line by which the money of a failed payout came back into the balance.
    returned: LedgerLine | None = None


class StripeAccount:
    """One account while its history is being written.

    Args:
        gateway: fees, calendar and names of the account.
        payout_days: every payout day up to ``as_of``.
        as_of: end of the simulated time, Unix seconds.
        state: where the objects go.
        rng: source of every choice.
    """

    def __init__(
        self, gateway: GatewayProfile, payout_days: PayoutDays, as_of: int, state: StateFile, rng: Random
    ) -> None:
        self.gateway = gateway
        self._payout_days = payout_days
        self._as_of = as_of
        self._state = state
        self._rng = rng
        self._store = STORES[gateway.store_id]
        self._slot_nets: dict[int, int] = {}
        self.available = 0
        self.pending = 0
        kinds = ("charges", "refunds", "disputes", "payouts", "balance_transactions")
        self.counts: dict[str, int] = dict.fromkeys(kinds, 0)

    def new_id(self, prefix: str) -> str:
        """A new id; what follows the prefix looks like Stripe's."""
        return f"{prefix}_3{''.join(self._rng.choices(_LETTERS, k=23))}"

    def charge(
        self,
        order: Order,
        amount: int,
        at: int,
        intent_id: str,
        *,
        evidence: Evidence,
        exchange_rate: Decimal | None = None,
        order_key: str | None,
        refunds: int = 0,
        disputed: bool = False,
        charge_id: str | None = None,
        authorised: int = 0,
        second: tuple[int, int] | None = None,
        numbers: str = "",
    ) -> Payment:
        """A succeeded charge of ``amount`` in the order's currency, with its ledger line.

        ``order_key`` is whose money it truly is: None for a charge whose order does not exist. ``refunds`` is what will
        have been given back by the end. Of a larger ``authorised`` amount all is booked and the rest taken back at
        once, as older versions of the API do. ``second`` is the amount of a later capture, which is part of ``amount``,
        and its time. ``numbers`` are those of several orders that it pays.
        """
        charge_id = charge_id or self.new_id("ch")
        card_country = self._card_country(order)
        brand = self._rng.choice(_BRANDS)
        settled = amount if exchange_rate is None else half_up(int(amount * exchange_rate * 1_000_000), 1_000_000)
        first = authorised or settled - (second[0] if second else 0)
        fee = self.gateway.fee(first, card_country)
        available = self.gateway.calendar.available_on(datetime.fromtimestamp(at, UTC))
        line = self._book(
            first, fee, at, int(available.timestamp()), type_="charge", category="charge", source=charge_id,
            description=self._description(order, evidence), order_key=order_key, fee_text="Stripe processing fees",
            exchange_rate=exchange_rate,
        )  # fmt: skip
        others: tuple[LedgerLine, ...] = ()
        if authorised:
            others = (self._uncaptured(charge_id, intent_id, order, line, amount, card_country),)
        elif second:
            later = self.gateway.calendar.available_on(datetime.fromtimestamp(second[1], UTC))
            others = (
                self._book(
                    second[0], self.gateway.fee(second[0], card_country), second[1], int(later.timestamp()),
                    type_="charge", category="charge", source=charge_id,
                    description=self._description(order, evidence), order_key=order_key,
                    fee_text="Stripe processing fees",
                ),
            )  # fmt: skip
        held = authorised or amount
        body = self._charge_body(order, charge_id, held, at, intent_id, card_country, brand, evidence)
        body |= {
            "amount_captured": amount, "amount_refunded": refunds + held - amount, "balance_transaction": line.id,
            "metadata": body["metadata"] | ({"order_id": numbers} if numbers else {}),
            "captured": True, "disputed": disputed, "paid": True, "refunded": refunds == amount, "status": "succeeded",
        }  # fmt: skip
        self._add_charge(body)
        return Payment(charge_id, intent_id, amount, order.currency, card_country, brand, line, others)

    def _uncaptured(
        self, charge_id: str, intent_id: str, order: Order, line: LedgerLine, captured: int, card_country: str
    ) -> LedgerLine:
        """What is not captured goes back at once, with its share of the fee: an object like a refund, but none."""
        refund_id, rest = self.new_id("re"), line.amount - captured
        back = self._book(
            -rest, self.gateway.fee(captured, card_country) - line.fee, line.created, line.created, type_="refund",
            category="partial_capture_reversal", source=refund_id,
            description=f"REFUND FOR CHARGE ({charge_id})", order_key=line.order_key,
            fee_text="Stripe processing fee refund", line_type="partial_capture_reversal",
        )  # fmt: skip
        self._add_refund(refund_id, charge_id, intent_id, rest, order.currency, back, None, {})
        return back

    def failed_charge(self, order: Order, at: int, intent_id: str) -> None:
        """A declined attempt: it is listed, with the plugin's full metadata, but moves no money."""
        body = self._charge_body(
            order, self.new_id("ch"), order.total, at, intent_id, self._card_country(order), "visa", Evidence.CHARGE_ID
        )
        body |= {
            "failure_code": "card_declined", "failure_message": "Your card was declined.",
            "outcome": {**body["outcome"], "network_status": "declined_by_network", "type": "issuer_declined",
                        "reason": "generic_decline", "seller_message": "The bank did not return any further details."},
        }  # fmt: skip
        self._add_charge(body)

    def other_charge(self, order: Order, at: int, intent_id: str, *, live: bool) -> str:
        """A charge that moves no money: an authorisation that expired, or one made with the keys for tests."""
        charge_id = self.new_id("ch")
        body = self._charge_body(
            order, charge_id, order.total, at, intent_id, self._card_country(order), "visa", Evidence.CHARGE_ID
        )
        body |= {"status": "succeeded", "paid": True, "livemode": live, "captured": not live}
        body["amount_captured"] = 0 if live else order.total
        self._add_charge(body)
        return charge_id

    def refund(
        self, payment: Payment, amount: int, at: int, reason: str, order_key: str, exchange_rate: Decimal | None = None
    ) -> tuple[str, LedgerLine]:
        """A refund of ``amount`` in the charge's currency, converted at the rate of its own day; no fee comes back."""
        refund_id = self.new_id("re")
        settled = amount if exchange_rate is None else half_up(int(amount * exchange_rate * 1_000_000), 1_000_000)
        line = self._book(
            -settled, 0, at, at, type_="refund", category="refund", source=refund_id,
            description=f"REFUND FOR CHARGE ({payment.charge_id})", order_key=order_key, exchange_rate=exchange_rate,
        )  # fmt: skip
        self._add_refund(
            refund_id, payment.charge_id, payment.intent_id, amount, payment.currency, line, "requested_by_customer",
            {"reason": reason},
        )  # fmt: skip
        return refund_id, line

    def failed_refund(self, payment: Payment, amount: int, at: int, order_key: str) -> tuple[str, list[LedgerLine]]:
        """A refund that the customer's bank sends back after some days; returns its id and both lines."""
        refund_id = self.new_id("re")
        taken = self._book(
            -amount, 0, at, at, type_="refund", category="refund", source=refund_id,
            description=f"REFUND FOR CHARGE ({payment.charge_id})", order_key=order_key,
        )  # fmt: skip
        back_at = at + _REFUND_RETURNED_AFTER
        back = self._book(
            amount, 0, back_at, back_at, type_="refund_failure", category="refund_failure", source=refund_id,
            description=f"REFUND FAILURE ({payment.charge_id})", order_key=order_key, line_type="refund_failure",
        )  # fmt: skip
        self._add_refund(
            refund_id, payment.charge_id, payment.intent_id, amount, payment.currency, taken, "requested_by_customer",
            {"reason": "requested_by_customer"}, back,
        )  # fmt: skip
        return refund_id, [taken, back]

    def _add_refund(
        self, refund_id: str, charge_id: str, intent_id: str, amount: int, currency: str, line: LedgerLine,
        reason: str | None, metadata: dict[str, str], returned: LedgerLine | None = None,
    ) -> None:  # fmt: skip
        body = {
            "id": refund_id, "object": "refund", "amount": amount, "balance_transaction": line.id,
            "charge": charge_id, "created": line.created, "currency": currency.lower(),
            "destination_details": {"card": {"type": "refund", "reference_type": "acquirer_reference_number",
                                             "reference_status": "pending"}, "type": "card"},
            "metadata": metadata, "payment_intent": intent_id, "reason": reason,
            "receipt_number": None, "source_transfer_reversal": None, "status": "succeeded", "transfer_reversal": None,
        }  # fmt: skip
        if returned:
            body |= {
                "failure_balance_transaction": returned.id, "failure_reason": "lost_or_stolen_card", "status": "failed",
            }  # fmt: skip
        self._state.add("refunds", refund_id, line.created, charge_id, intent_id, encode(body))
        self.counts["refunds"] += 1

    def dispute(
        self, payment: Payment, at: int, won_at: int, order_key: str, *, lost: bool = False
    ) -> tuple[str, list[LedgerLine]]:
        """A dispute over the whole charge: one line takes amount and fee; a won one is given back without the fee.

        Returns:
            Its id, and its lines.
        """
        dispute_id = self.new_id("dp")
        lines = [
            self._book(
                -payment.amount, self.gateway.dispute_fee, at, at, type_="adjustment", category="dispute",
                source=dispute_id, description=f"Chargeback withdrawal for {payment.charge_id}", order_key=order_key,
                fee_text="Dispute fee", line_type="dispute",
            )
        ]  # fmt: skip
        if won_at:
            lines.append(
                self._book(
                    payment.amount, 0, won_at, won_at, type_="adjustment", category="dispute_reversal",
                    source=dispute_id, description=f"Chargeback reversal for {payment.charge_id}", order_key=order_key,
                    line_type="dispute_reversal",
                )
            )  # fmt: skip
        due = at + _DISPUTE_DAYS * _DAY
        body = {
            "id": dispute_id, "object": "dispute", "amount": payment.amount,
            "balance_transactions": [line.id for line in lines], "charge": payment.charge_id, "created": at,
            "currency": payment.currency.lower(), "evidence": {},
            "evidence_details": {"due_by": due, "has_evidence": bool(won_at), "past_due": lost,
                                 "submission_count": int(bool(won_at))},
            "is_charge_refundable": False, "livemode": True, "metadata": {}, "payment_intent": payment.intent_id,
            "payment_method_details": {"card": {"brand": payment.brand, "case_type": "chargeback",
                                                "network_reason_code": "10.4"}, "type": "card"},
            "reason": "fraudulent", "status": "lost" if lost else "won" if won_at else "needs_response",
        }  # fmt: skip
        self._state.add("disputes", dispute_id, at, payment.charge_id, payment.intent_id, encode(body))
        self.counts["disputes"] += 1
        return dispute_id, lines

    def standalone_fee(self, amount: int, at: int, description: str) -> LedgerLine:
        """A fee that is a line of its own: the amount is negative, the fee column stays empty."""
        return self._book(
            -amount, 0, at, at, type_="stripe_fee", category="fee", source=None, description=description,
            order_key=None, line_type="fee",
        )  # fmt: skip

    def movement(self, amount: int, at: int, *, type_: str, category: str, line_type: str, text: str) -> LedgerLine:
        """Money that is no sale: put in, held back, lent, given away."""
        return self._book(
            amount, 0, at, at, type_=type_, category=category, source=None, description=text, order_key=None,
            line_type=line_type,
        )  # fmt: skip

    def balance_at_payout(self, share: float) -> tuple[int, int, int] | None:
        """Of the payout days with money, the one so far into the account's history: what there is to pay out, when it
        is, and when the next one is; None where there is no such day."""
        days = self._payout_days.days
        slots = [slot for slot in sorted(self._slot_nets) if slot + 1 < len(days) and self._slot_nets[slot] > 0]
        if not slots:
            return None
        slot = slots[int(len(slots) * share)]
        moments = [int(days[place].created_at.timestamp()) for place in (slot, slot + 1)]
        return self._slot_nets[slot], moments[0], moments[1]

    def pay_out(self, *, failing: float | None = None) -> tuple[list[Payout], dict[int, str]]:
        """Make the payouts: each takes what became available since the last one.

        A day on which the balance is not positive has no payout, and its lines wait for the next, unless the gateway
        debits the bank account. The first payout ``failing`` (a share) into the simulated time comes back.

        Returns:
            The payouts, and the payout id of each slot of ledger lines that was paid out.
        """
        payouts: list[Payout] = []
        payout_of: dict[int, str] = {}
        waiting: list[int] = []
        amount = 0
        for slot, day in enumerate(self._payout_days.days):
            if slot in self._slot_nets:
                waiting.append(slot)
                amount += self._slot_nets[slot]
            if amount == 0 or (amount < 0 and not self.gateway.debits_bank):
                continue
            fails = failing is not None and amount > 0 and slot >= failing * len(self._payout_days.days)
            payout = self._payout(amount, day, fails=fails)
            failing = None if fails else failing
            payouts.append(payout)
            payout_of.update(dict.fromkeys(waiting, payout.id))
            waiting, amount = [], 0
        self._state.execute(
            "update balance_transactions set payout = ? where slot = ?",
            ((payout_id, slot) for slot, payout_id in payout_of.items()),
        )
        return payouts, payout_of

    def _payout(self, amount: int, day: PayoutDay, *, fails: bool = False) -> Payout:
        payout_id = self.new_id("po")
        created, arrival = int(day.created_at.timestamp()), int(midnight(day.arrival_date).timestamp())
        in_transit = arrival > self._as_of
        returned = None
        if fails:
            back_at = created + _RETURNED_AFTER
            returned = self._book(
                amount, 0, back_at, back_at, type_="payout_failure", category="payout_reversal", source=payout_id,
                description="STRIPE PAYOUT FAILURE", order_key=None, line_type="payout_reversal",
            )  # fmt: skip
        trace = f"{self._rng.randrange(10**14, 10**15)}" if self._rng.random() < 0.4 and not fails else ""
        currency = self.gateway.currency.lower()
        bank = self.gateway.bank_id.removeprefix("bank_")
        line_id = self.new_id("txn")
        body = {
            "id": payout_id, "object": "payout", "amount": amount, "application_fee": None,
            "application_fee_amount": None, "arrival_date": arrival, "automatic": True, "balance_transaction": line_id,
            "created": created, "currency": currency, "description": "STRIPE PAYOUT",
            "destination": f"ba_3{bank}0000000000000000001",
            "failure_balance_transaction": returned.id if returned else None,
            "failure_code": "account_closed" if fails else None,
            "failure_message": "The bank account has been closed." if fails else None,
            "livemode": True, "metadata": {}, "method": "standard", "original_payout": None,
            "payout_method": None, "reconciliation_status": "completed", "reversed_by": None, "source_type": "card",
            "statement_descriptor": None, "status": "failed" if fails else "in_transit" if in_transit else "paid",
            "trace_id": {"status": "supported", "value": trace} if trace
                        else {"status": "pending" if in_transit else "unsupported", "value": None},
            "type": "bank_account",
        }  # fmt: skip
        self._state.add("payouts", payout_id, created, arrival, body["status"], currency, 1, "completed", encode(body))
        self.counts["payouts"] += 1
        self._add_line(
            line_id, -amount, 0, created, created, type_="payout", category="payout", source=payout_id,
            description="STRIPE PAYOUT", slot=-1, payout=payout_id,
        )  # fmt: skip
        return Payout(payout_id, amount, day, trace, in_transit, returned)

    def _book(
        self, amount: int, fee: int, at: int, available_on: int, *, type_: str, category: str, source: str | None,
        description: str | None, order_key: str | None, fee_text: str = "", exchange_rate: Decimal | None = None,
        line_type: str = "",
    ) -> LedgerLine:  # fmt: skip
        line_id = self.new_id("txn")
        slot = self._payout_days.slot(datetime.fromtimestamp(available_on, UTC))
        self._slot_nets[slot] = self._slot_nets.get(slot, 0) + amount - fee
        self._add_line(
            line_id, amount, fee, at, available_on, type_=type_, category=category, source=source,
            description=description, fee_text=fee_text, exchange_rate=exchange_rate, slot=slot, payout=None,
        )  # fmt: skip
        return LedgerLine(line_id, at, amount, fee, line_type or type_, order_key, slot)

    def _add_line(
        self, line_id: str, amount: int, fee: int, at: int, available_on: int, *, type_: str, category: str,
        source: str | None, description: str | None, slot: int, payout: str | None, fee_text: str = "",
        exchange_rate: Decimal | None = None,
    ) -> None:  # fmt: skip
        pending = available_on > self._as_of
        net, currency = amount - fee, self.gateway.currency.lower()
        if pending:
            self.pending += net
        else:
            self.available += net
        part = {"amount": fee, "application": None, "currency": currency, "description": fee_text, "type": "stripe_fee"}
        body = {
            "id": line_id, "object": "balance_transaction", "amount": amount, "available_on": available_on,
            "balance_type": "payments", "created": at, "currency": currency, "description": description,
            "exchange_rate": exchange_rate, "fee": fee, "fee_details": [part] if fee else [], "net": net,
            "reporting_category": category, "source": source, "status": "pending" if pending else "available",
            "type": type_,
        }  # fmt: skip
        self._state.add(
            "balance_transactions", line_id, at, type_, source, currency, net, available_on, slot, payout, encode(body)
        )
        self.counts["balance_transactions"] += 1

    def _add_charge(self, body: dict[str, Any]) -> None:
        self._state.add("charges", body["id"], body["created"], body["payment_intent"], encode(body))
        self.counts["charges"] += 1

    def _card_country(self, order: Order) -> str:
        # A few customers pay with a card from abroad, which costs more.
        if self._rng.random() < 0.05:
            return self._rng.choice(("US", "CA", "GB"))
        return order.customer.address.country

    def _description(self, order: Order, evidence: Evidence) -> str | None:
        if evidence not in _DESCRIBED:
            return None
        return f"{self._store.brand} - Order {order.plan.number}"

    def _metadata(self, order: Order, evidence: Evidence) -> dict[str, str]:
        site_url = self._store.site_url
        if evidence is Evidence.REFERENCE:
            return {"merchant_reference": f"{self.gateway.reference_prefix}{order.plan.number}"}
        if evidence in (Evidence.DESCRIPTION, Evidence.INTENT_ID, Evidence.INTENT_META):
            return {}
        if evidence is Evidence.ORDER_NUMBER:
            return {"order_id": order.plan.number, "site_url": site_url}
        person = order.customer
        return {
            "customer_name": f"{person.first_name} {person.last_name}", "customer_email": person.email,
            "site_url": site_url, "order_id": order.plan.number, "order_key": order.order_key,
            "payment_type": "recurring" if order.plan.case is Case.RENEWAL else "single",
        }  # fmt: skip

    def _charge_body(
        self, order: Order, charge_id: str, amount: int, at: int, intent_id: str, card_country: str, brand: str,
        evidence: Evidence,
    ) -> dict[str, Any]:  # fmt: skip
        person, home = order.customer, order.customer.address
        return {
            "id": charge_id, "object": "charge", "amount": amount, "amount_captured": 0, "amount_refunded": 0,
            "application": None, "application_fee": None, "application_fee_amount": None, "balance_transaction": None,
            "billing_details": {
                "address": {"city": home.city, "country": home.country, "line1": home.line, "line2": None,
                            "postal_code": home.postcode, "state": home.state or None},
                "email": person.email, "name": f"{person.first_name} {person.last_name}", "phone": None, "tax_id": None,
            },
            "calculated_statement_descriptor": self._store.brand.upper(), "captured": False, "created": at,
            "currency": order.currency.lower(), "customer": None,
            "description": self._description(order, evidence), "disputed": False,
            "failure_balance_transaction": None, "failure_code": None, "failure_message": None, "fraud_details": {},
            "livemode": True, "metadata": self._metadata(order, evidence), "on_behalf_of": None,
            "outcome": {"network_status": "approved_by_network", "reason": None, "risk_level": "normal",
                        "seller_message": "Payment complete.", "type": "authorized"},
            "paid": False, "payment_intent": intent_id, "payment_method": None,
            "payment_method_details": {"card": {"brand": brand, "country": card_country, "funding": "credit",
                                                "last4": "4242", "network": brand, "wallet": None}, "type": "card"},
            "receipt_email": None, "receipt_number": None, "receipt_url": None, "refunded": False, "review": None,
            "shipping": None, "source_transfer": None, "statement_descriptor": None,
            "statement_descriptor_suffix": None, "status": "failed", "transfer_data": None, "transfer_group": None,
        }  # fmt: skip
