"""The hard cases of reconciling settlements, each with its verdict, its exception and its journal.

All of them live side by side in one small retailer, so that dbt builds once; each test reads the keys of its own case.
What a case plants stands right above what is expected of it. Order ids carry the number of their case: 301 and 302 are
of case 3. Journal lines read ``account amount``, debit positive, in the books' currency.
"""

import csv
import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import PROJECT, Warehouse
from tests.dbt.world import World, at

pytestmark = pytest.mark.slow

SOLD = at("2026-10-20 15:00")
PAID_OUT = at("2026-10-23 20:10")
LATER = at("2026-10-27 15:00")
PAID_OUT_LATER = at("2026-10-29 20:10")

_PLANTS: Final[list[Callable[["HardWorld"], None]]] = []


class HardWorld(World):
    """The small retailer with PayPal as a second gateway, and a bank account whose entries come in any order."""

    def __init__(self) -> None:
        super().__init__()
        # Where a case is a matter of policy, the German entity decides otherwise than the American.
        german = next(one for one in self.rows["ops.entities"] if one["entity_code"] == "DE")
        german |= {"tips": "income", "disputes": "loss"}
        self._bank: list[tuple[str, str, str]] = []
        self.add(
            "ops.gateways", gateway_id="paypal_us", gateway_system="paypal", entity_code="US", bank_id="bank_us",
            order_reference="id", reference_prefix="WC-",
        )  # fmt: skip
        self.add(
            "ops.gateway_stores", gateway_id="paypal_us", store_id="cedar_us", payment_method="ppcp-gateway",
            reports_after_days=0,
        )  # fmt: skip

    def sale(self, order_id: int, net: str, *, fee: str = "1.00", tax: str = "0", **order: Any) -> None:
        """An order of the American shop and the charge ``ch_<id>`` that paid it."""
        created = order.pop("created", SOLD)
        total = self.order(
            f"cedar_us:{order_id}", net, tax=tax, created=created, transaction_id=f"ch_{order_id}", **order
        )
        self.charge("stripe_us", f"ch_{order_id}", str(total), when=created, fee=fee)

    def capture(self, transaction_id: str, amount: str, fee: str, **more: Any) -> None:
        """A PayPal sale or capture."""
        self.add(
            "paypal.transactions", gateway_id="paypal_us", transaction_id=transaction_id,
            **{"transaction_event_code": "T0006", "initiated_at": SOLD, "currency": "USD", "transaction_status": "S",
               "amount": Decimal(amount), "fee_amount": -Decimal(fee), "fee_currency": "USD"} | more,
        )  # fmt: skip

    def banked(self, day: str, amount: Decimal | str, text: str) -> None:
        """A line on the American bank account."""
        self._bank.append((day, str(amount), text))

    def write(self, warehouse: Warehouse) -> None:
        closing = "10000.00"
        for sequence, day in enumerate(sorted({day for day, _, _ in self._bank}), 1):
            entries = [(amount, text) for booked, amount, text in self._bank if booked == day]
            closing = self.statement("bank_us", sequence, day, entries, opening=closing)
        super().write(warehouse)


class Findings:
    """What the marts say, key by key."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.query = warehouse.query
        self._lines = {row["settlement_line_key"]: row for row in warehouse.rows("from marts.rec_settlement_lines")}
        self._orders = {row["order_key"]: row for row in warehouse.rows("from marts.rec_orders")}
        self._payouts = {row["settlement_key"]: row for row in warehouse.rows("from marts.rec_settlements")}
        self._exceptions = warehouse.rows("from marts.rec_exceptions where status = 'open'")
        self._entries: dict[str, list[str]] = {}
        self._heads: dict[str, tuple[str, str]] = {}
        for entry_id, day, status, account, amount in self.query(
            "select entries.entry_id, entries.posting_date, entries.posting_status, lines.account_code, "
            "lines.base_debit_amount - lines.base_credit_amount from marts.acc_journal_entries as entries "
            "inner join marts.acc_journal_lines as lines using (entry_id) order by entry_id, lines.line_no"
        ):
            self._heads[entry_id] = (str(day), status)
            self._entries.setdefault(entry_id, []).append(f"{account} {_plain(amount)}")

    def verdict(self, line: str, gateway: str = "stripe_us") -> tuple[str, str | None]:
        """Verdict and order of a settlement line."""
        row = self._lines[f"{gateway}:{line}"]
        return row["match_status"], row["order_key"]

    def order(self, key: str) -> tuple[str, str]:
        """Status of an order and what is open."""
        row = self._orders[key]
        return row["order_status"], _plain(row["open_amount"])

    def payout(self, payout: str, gateway: str = "stripe_us") -> dict[str, Any]:
        return self._payouts[f"{gateway}:{payout}"]

    def exceptions(self, *keys: str) -> list[str]:
        """Types of the open exceptions about one of these orders, lines, payouts or subjects."""
        return sorted(
            row["exception_type"]
            for row in self._exceptions
            if {row["order_key"], row["settlement_key"], row["settlement_line_key"],
                row["exception_id"].partition(":")[2]} & set(keys)
        )  # fmt: skip

    def entry(self, entry_id: str) -> str:
        """Accounts and amounts of an entry."""
        return ", ".join(self._entries[entry_id])

    def ready(self, entry_id: str) -> bool:
        """Whether an entry may be posted; one that does not exist may not."""
        return self._heads.get(entry_id, ("", "none"))[1] == "ready"

    def day(self, entry_id: str) -> str:
        return self._heads[entry_id][0]

    def balance(self, account: str, *entries: str) -> Decimal:
        """What these entries leave on an account."""
        wanted = [line.split() for entry in entries for line in self._entries.get(entry, [])]
        return sum((Decimal(amount) for code, amount in wanted if code == account), Decimal())


def planted(plant: Callable[[HardWorld], None]) -> Callable[[HardWorld], None]:
    """Add a case to the world."""
    _PLANTS.append(plant)
    return plant


@pytest.fixture(scope="module")
def found(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """All cases, made by the models, with all promises held."""
    world = HardWorld()
    for plant in _PLANTS:
        plant(world)
    warehouse = project.empty(tmp_path_factory.mktemp("hard_cases"))
    world.write(warehouse)
    project.make(warehouse)
    return Findings(warehouse)


# --- 1: part of the authorised amount is captured ---


@planted
def _partial_capture(world: HardWorld) -> None:
    for order_id, net in ((101, "120.00"), (102, "90.00")):
        world.order(f"cedar_us:{order_id}", net, created=SOLD, transaction_id=f"ch_{order_id}")
        world.charge("stripe_us", f"ch_{order_id}", "120.00", when=SOLD, fee="2.91", captured="90.00", settled="120.00")
        world.add(
            "stripe.refunds", gateway_id="stripe_us", id=f"re_{order_id}", amount=3000, currency="usd",
            charge=f"ch_{order_id}", status="succeeded", created=int(SOLD.timestamp()),
        )  # fmt: skip
        world.line(
            "stripe_us", f"txn_part_{order_id}", "-30.00", "partial_capture_reversal", source=f"re_{order_id}",
            when=SOLD, type_="refund",
        )  # fmt: skip


def test_01_partial_capture(found: Findings) -> None:
    """120 are authorised and 90 captured; older versions of the API book the whole and take 30 back at once.

    An order that was reduced to 90 is matched, and what was never captured is no return. One that still says 120 is
    partly paid: an exception, and nothing is sold yet.
    """
    assert found.verdict("txn_ch_102") == found.verdict("txn_part_102") == ("matched", "cedar_us:102")
    assert found.exceptions("cedar_us:102") == []
    lines = ("line/stripe_us:txn_ch_102", "line/stripe_us:txn_part_102")
    assert found.balance("1100", *lines, "sale/cedar_us:102") == 0
    assert found.balance("1250", *lines) == Decimal("87.09")
    assert found.balance("4200", *lines) == 0
    assert found.verdict("txn_ch_101") == ("partial", "cedar_us:101")
    assert found.exceptions("cedar_us:101") == ["amount_mismatch"]
    assert not found.ready("sale/cedar_us:101")
    assert found.balance("4200", "line/stripe_us:txn_part_101") == 0


# --- 2: one order in several captures ---


@planted
def _multi_capture(world: HardWorld) -> None:
    world.order("cedar_us:201", "100.00", created=SOLD, transaction_id="ch_201")
    world.charge("stripe_us", "ch_201", "100.00", when=SOLD, fee="2.04", settled="60.00")
    world.line("stripe_us", "txn_ch_201b", "40.00", "charge", source="ch_201", when=LATER, fee="1.46")
    world.order("cedar_us:202", "100.00", created=SOLD, method="ppcp-gateway", transaction_id="CAP202A")
    world.capture("CAP202A", "60.00", "2.04", custom_field="202", invoice_id="WC-202")
    world.capture("CAP202B", "40.00", "1.46", custom_field="202", initiated_at=LATER)
    # The second half is not shipped yet.
    world.order("cedar_us:203", "100.00", created=SOLD, status="processing", transaction_id="ch_203")
    world.charge("stripe_us", "ch_203", "100.00", when=SOLD, fee="2.04", captured="60.00")


def test_02_multi_capture_of_one_charge(found: Findings) -> None:
    """One charge is captured in two parts, each with a fee of its own.

    Partial until the parts are the order, matched from then on.
    """
    for line in ("txn_ch_201", "txn_ch_201b"):
        assert found.verdict(line) == ("matched", "cedar_us:201")
    assert found.entry("line/stripe_us:txn_ch_201") == "1250 57.96, 6100 2.04, 1100 -60"
    assert found.entry("line/stripe_us:txn_ch_201b") == "1250 38.54, 6100 1.46, 1100 -40"
    assert found.entry("sale/cedar_us:201") == "1100 100, 4000 -100"
    assert found.exceptions("cedar_us:201") == []
    assert found.verdict("txn_ch_203") == ("partial", "cedar_us:203")
    assert not found.ready("sale/cedar_us:203")


def test_02_split_shipment_in_captures_of_their_own(found: Findings) -> None:
    """Two captures of one order have ids of their own, and the store knows only the first: together they are the
    order, so neither is a duplicate or a difference, and the sale is booked once."""
    first, second = (found.query(
        "select settlement_line_key from marts.rec_settlement_lines "
        f"where payment_key = 'paypal_us:CAP202{part}'"
    )[0][0] for part in "AB")  # fmt: skip
    assert found.verdict(first.partition(":")[2], "paypal_us") == ("matched", "cedar_us:202")
    assert found.verdict(second.partition(":")[2], "paypal_us") == ("matched", "cedar_us:202")
    assert found.exceptions("cedar_us:202") == []
    assert found.balance("1100", "sale/cedar_us:202", f"line/{first}", f"line/{second}") == 0
    assert found.entry("sale/cedar_us:202") == "1100 100, 4000 -100"


@planted
def _several_orders_in_one_charge(world: HardWorld) -> None:
    """A customer pays two open orders at once; another pays two as well, but not what they come to."""
    for order_id, net in ((204, "60.00"), (205, "25.50"), (206, "10.00"), (207, "15.00")):
        world.order(f"cedar_us:{order_id}", net, created=SOLD)
    world.charge("stripe_us", "ch_204", "85.50", when=SOLD, fee="2.78", metadata_order_id="204, 205")
    world.charge("stripe_us", "ch_206", "30.00", when=SOLD, fee="1.17", metadata_order_id="206, 207")
    world.store_refund("cedar_us:295", "cedar_us:205", "25.50", when=LATER, gateway_refund="re_205")
    world.gateway_refund("stripe_us", "re_205", "ch_204", "25.50", when=LATER)


def test_02_several_orders_in_one_charge(found: Findings) -> None:
    """A charge that names two orders and is their sum pays both: cash once, each sale by itself, customers owe nothing.

    One that is not their sum is ambiguous, and so are its orders.
    """
    assert found.verdict("txn_ch_204") == ("matched", None)
    assert found.order("cedar_us:204") == ("captured", "0")
    assert found.order("cedar_us:205") == ("refunded", "0")
    assert found.exceptions("cedar_us:204", "cedar_us:205", "stripe_us:txn_ch_204", "stripe_us:txn_re_205") == []
    entries = ("sale/cedar_us:204", "sale/cedar_us:205", "line/stripe_us:txn_ch_204")
    assert found.entry(entries[0]) == "1100 60, 4000 -60"
    assert found.entry(entries[1]) == "1100 25.5, 4000 -25.5"
    assert found.entry(entries[2]) == "1250 82.72, 6100 2.78, 1100 -85.5"
    assert all(found.ready(entry) for entry in entries)
    assert found.balance("1100", "refund/cedar_us:295", "line/stripe_us:txn_re_205") == 0
    assert found.verdict("txn_ch_206") == ("ambiguous", None)
    for order in ("cedar_us:206", "cedar_us:207"):
        assert found.order(order)[0] == "ambiguous"
        assert not found.ready(f"sale/{order}")


# --- 3 and 4: refunds, later than the sale, and without its fee ---


@planted
def _later_refund(world: HardWorld) -> None:
    world.sale(301, "100.00", tax="20.00", fee="3.20", status="refunded")
    world.sale(302, "200.00", created=LATER)
    world.store_refund("cedar_us:391", "cedar_us:301", "120.00", tax="20.00", when=LATER, gateway_refund="re_301")
    world.gateway_refund("stripe_us", "re_301", "ch_301", "120.00", when=LATER)
    paid = world.payout("stripe_us", "po_301", ["txn_ch_301"], when=PAID_OUT, arrival="2026-10-26")
    world.banked("2026-10-26", paid, "STRIPE po_301")
    world.line("stripe_us", "txn_refund_cost", "-0.50", "fee", when=LATER, type_="stripe_fee")
    paid = world.payout(
        "stripe_us", "po_302", ["txn_re_301", "txn_ch_302", "txn_refund_cost"], when=PAID_OUT_LATER,
        arrival="2026-10-30",
    )  # fmt: skip
    world.banked("2026-10-30", paid, "STRIPE po_302")


def test_03_refund_in_a_later_payout(found: Findings) -> None:
    """A sale is paid out, and its refund is taken from the next payout.

    Both lines belong to the order, each payout foots by itself, and the refund is booked in its own period.
    """
    assert found.verdict("txn_re_301") == ("matched", "cedar_us:301")
    assert [found.payout(name)["settlement_status"] for name in ("po_301", "po_302")] == ["reconciled", "reconciled"]
    assert found.payout("po_302")["refund_amount"] == 120
    assert found.exceptions("cedar_us:301", "stripe_us:po_301", "stripe_us:po_302") == []
    assert found.entry("refund/cedar_us:391") == "4200 100, 2201 20, 1100 -120"
    assert found.entry("line/stripe_us:txn_re_301") == "1250 -120, 1100 120"
    assert found.day("sale/cedar_us:301") == "2026-10-20"
    assert found.day("refund/cedar_us:391") == found.day("line/stripe_us:txn_re_301") == "2026-10-27"


def test_04_fees_are_kept_on_refunds(found: Findings) -> None:
    """The gateway gives the money back but keeps its fee, and charges for the refund in a line of its own.

    Nothing of the first fee is reversed; the second is a fee without an order.
    """
    assert found.entry("line/stripe_us:txn_ch_301") == "1250 116.8, 6100 3.2, 1100 -120"
    assert found.balance("6100", "line/stripe_us:txn_re_301") == 0
    assert found.verdict("txn_refund_cost") == ("fee_only", None)
    assert found.entry("line/stripe_us:txn_refund_cost") == "1250 -0.5, 6100 0.5"
    assert found.exceptions("stripe_us:txn_refund_cost") == []


# --- 5: disputes ---


@planted
def _disputes(world: HardWorld) -> None:
    for order_id, status, store_status in (
        (501, "needs_response", "on-hold"), (502, "won", "completed"), (503, "lost", "failed"),
        (504, "lost", "failed"), (505, "under_review", "refunded"),
    ):  # fmt: skip
        world.sale(order_id, "35.00", fee="1.32", status=store_status)
        world.dispute("stripe_us", f"dp_{order_id}", f"ch_{order_id}", "35.00", when=LATER, fee="15.00", status=status)
    for line, order_id, amount, category in (
        ("txn_won_502", 502, "35.00", "dispute_reversal"),
        ("txn_won_504", 504, "35.00", "dispute_reversal"),
        ("txn_second_504", 504, "-35.00", "dispute"),
    ):
        world.line(
            "stripe_us", line, amount, category, source=f"dp_{order_id}", when=PAID_OUT_LATER, type_="adjustment"
        )
    world.store_refund("cedar_us:595", "cedar_us:505", "35.00", when=PAID_OUT, gateway_refund="re_505")
    world.gateway_refund("stripe_us", "re_505", "ch_505", "35.00", when=PAID_OUT)
    world.rows["stripe.charges"][-1]["amount_refunded"] = 3500
    world.order("linden_de:506", "35.00", created=SOLD, transaction_id="ch_506", status="failed")
    world.charge("stripe_de", "ch_506", "35.00", when=SOLD, fee="1.32")
    world.dispute("stripe_de", "dp_506", "ch_506", "35.00", when=LATER, fee="15.00", status="lost")


def test_05_disputes_open_and_won(found: Findings) -> None:
    """The gateway takes the money and a fee when a dispute opens, and gives the money back when it is won.

    What is disputed is a receivable until then; the fee is lost either way. The sale stays.
    """
    assert found.verdict("txn_dp_501") == ("matched", "cedar_us:501")
    assert found.exceptions("cedar_us:501") == ["dispute_open"]
    assert found.entry("line/stripe_us:txn_dp_501") == "1250 -50, 6110 15, 1270 35"
    assert found.ready("sale/cedar_us:501")
    assert found.exceptions("cedar_us:502") == []
    assert found.balance("1270", "line/stripe_us:txn_dp_502", "line/stripe_us:txn_won_502") == 0
    assert found.balance("6110", "line/stripe_us:txn_dp_502", "line/stripe_us:txn_won_502") == 15


def test_05_second_chargeback(found: Findings) -> None:
    """A dispute that was won is lost in the second round: taken, given back, and taken again."""
    lines = [f"line/stripe_us:{line}" for line in ("txn_dp_504", "txn_won_504", "txn_second_504")]
    for line in lines:
        assert found.verdict(line.partition(":")[2]) == ("matched", "cedar_us:504")
    assert found.balance("1250", *lines) == -50
    assert found.exceptions("cedar_us:504") == []


def test_05_disputed_after_the_refund(found: Findings) -> None:
    """A customer who got the money back disputes the payment all the same: it would be lost twice."""
    assert found.exceptions("cedar_us:505") == ["dispute_double_loss", "dispute_open"]


def test_05_dispute_lost(found: Findings) -> None:
    """The bank decides for the customer; the store only marks the order as failed.

    What was disputed becomes a loss. It must not stay a receivable for ever.
    """
    assert found.exceptions("cedar_us:503") == []
    ((left,),) = found.query(
        "select sum(lines.base_debit_amount - lines.base_credit_amount) from marts.acc_journal_lines as lines "
        "inner join marts.acc_journal_entries as entries using (entry_id) "
        "where lines.account_role = 'disputes_receivable' and entries.order_key = 'cedar_us:503'"
    )
    assert left == 0
    assert found.entry("dispute/stripe_us:dp_503") == "6120 35, 1270 -35"
    assert found.day("dispute/stripe_us:dp_503") == "2026-10-27"
    assert found.entry("line/stripe_us:txn_dp_503") == "1250 -50, 6110 15, 1270 35"
    assert found.entry("dispute/stripe_us:dp_504") == "6120 35, 1270 -35"
    assert not found.ready("dispute/stripe_us:dp_501")
    assert not found.ready("dispute/stripe_us:dp_502")


def test_05_disputes_may_be_losses_at_once(found: Findings) -> None:
    """The entity's policy: nothing is a receivable, so nothing has to be written off."""
    assert found.entry("line/stripe_de:txn_dp_506") == "1250 -50, 6110 15, 6120 35"
    assert not found.ready("dispute/stripe_de:dp_506")


# --- 6 and 7: payouts that come back, and payouts that are taken ---


@planted
def _payout_failure(world: HardWorld) -> None:
    world.sale(601, "80.00")
    failed = world.payout("stripe_us", "po_601", ["txn_ch_601"], when=PAID_OUT, arrival="2026-10-26", status="failed")
    world.line(
        "stripe_us", "txn_po_601_back", str(failed), "payout_reversal", source="po_601", when=at("2026-10-27 10:00"),
        type_="payout_failure",
    )  # fmt: skip
    again = world.payout("stripe_us", "po_602", ["txn_po_601_back"], when=PAID_OUT_LATER, arrival="2026-10-30")
    world.banked("2026-10-30", again, "STRIPE po_602")


def test_06_payout_failure(found: Findings) -> None:
    """A payout never arrives: the gateway takes it back into the balance and sends the same money again.

    The lines stay with the failed payout; the second one is explained by the return. In transit nothing is left.
    """
    assert found.payout("po_601")["settlement_status"] == "failed"
    assert found.payout("po_602")["settlement_status"] == "reconciled"
    assert found.payout("po_602")["residual_amount"] == 0
    assert found.exceptions("stripe_us:po_602") == []
    assert set(found.exceptions("stripe_us:po_601")) <= {"payout_failed"}
    assert found.verdict("txn_po_601_back") == ("non_order", None)
    entries = (
        "payout/stripe_us:po_601", "line/stripe_us:txn_po_601_back", "payout/stripe_us:po_602",
        "bank/stripe_us:po_602",
    )  # fmt: skip
    assert found.balance("1210", *entries) == 0
    assert found.balance("1200", *entries) == 79


@planted
def _negative_payout(world: HardWorld) -> None:
    world.sale(701, "80.00", status="refunded")
    world.sale(702, "31.00", created=LATER)
    paid = world.payout("stripe_us", "po_701", ["txn_ch_701"], when=PAID_OUT, arrival="2026-10-26")
    world.banked("2026-10-26", paid, "STRIPE po_701")
    world.store_refund("cedar_us:791", "cedar_us:701", "80.00", when=LATER, gateway_refund="re_701")
    world.gateway_refund("stripe_us", "re_701", "ch_701", "80.00", when=LATER)
    taken = world.payout("stripe_us", "po_702", ["txn_ch_702", "txn_re_701"], when=PAID_OUT_LATER, arrival="2026-10-30")
    world.banked("2026-10-30", taken, "STRIPE po_702")


def test_07_negative_payout(found: Findings) -> None:
    """More was given back than sold, so the gateway debits the bank account.

    The payout is matched to the debit, and the entries run the other way.
    """
    payout = found.payout("po_702")
    assert (payout["net_amount"], payout["settlement_status"]) == (-50, "reconciled")
    assert found.entry("payout/stripe_us:po_702") == "1250 50, 1210 -50"
    assert found.entry("bank/stripe_us:po_702") == "1200 -50, 1210 50"
    assert found.exceptions("stripe_us:po_702") == []


# --- 8: reserves ---


@planted
def _reserves(world: HardWorld) -> None:
    world.sale(801, "101.00")
    world.line("stripe_us", "txn_hold", "-25.00", "risk_reserved_funds", when=SOLD, type_="reserve_hold")
    world.line("stripe_us", "txn_release", "25.00", "risk_reserved_funds", when=LATER, type_="reserve_release")
    world.line("stripe_us", "txn_minimum", "-20.00", "payout_minimum_balance_hold", when=PAID_OUT)
    paid = world.payout(
        "stripe_us", "po_801", ["txn_ch_801", "txn_hold", "txn_minimum"], when=PAID_OUT, arrival="2026-10-26"
    )
    world.banked("2026-10-26", paid, "STRIPE po_801")
    world.line("stripe_us", "txn_minimum_back", "20.00", "payout_minimum_balance_release", when=PAID_OUT)


def test_08_reserves(found: Findings) -> None:
    """The gateway holds money back and releases it, against risk or to keep a minimum balance.

    It is money of ours at another place: explained, in no order, and never in the result.
    """
    lines = ("txn_hold", "txn_release", "txn_minimum", "txn_minimum_back")
    for line in lines:
        assert found.verdict(line) == ("non_order", None)
        assert found.exceptions(f"stripe_us:{line}") == []
    assert found.entry("line/stripe_us:txn_hold") == "1250 -25, 1260 25"
    assert found.entry("line/stripe_us:txn_release") == "1250 25, 1260 -25"
    entries = [f"line/stripe_us:{line}" for line in lines]
    assert found.balance("1250", *entries) == found.balance("1260", *entries) == 0
    assert found.payout("po_801")["settlement_status"] == "reconciled"
    assert found.payout("po_801")["reserve_amount"] == -45


# --- 9 and 10: conversion and rounding ---


@planted
def _conversion(world: HardWorld) -> None:
    world.order("linden_de:901", "100.00", currency="GBP", created=SOLD, transaction_id="ch_901")
    world.charge("stripe_de", "ch_901", "100.00", currency="GBP", settled="114.30", fee="2.00", when=SOLD)
    world.rows["stripe.charges"][-1]["amount_refunded"] = 2000
    world.store_refund("linden_de:991", "linden_de:901", "20.00", when=LATER, gateway_refund="re_901")
    world.gateway_refund("stripe_de", "re_901", "ch_901", "20.00", currency="GBP", settled="23.40", when=LATER)


def test_09_conversion(found: Findings) -> None:
    """An order in pounds is settled in euros at the gateway's rate, and refunded at that of another day.

    The amounts agree in the currency that the customer saw; the customer's debt is settled at the rate of the sale,
    and what the rates differ by is a gain or loss of its own.
    """
    assert found.verdict("txn_ch_901", "stripe_de") == ("fx_diff", "linden_de:901")
    assert found.verdict("txn_re_901", "stripe_de") == ("fx_diff", "linden_de:901")
    assert found.exceptions("linden_de:901") == []
    assert found.entry("line/stripe_de:txn_ch_901") == "1250 112.3, 6100 2, 1100 -115, 6900 0.7"
    assert found.entry("line/stripe_de:txn_re_901") == "1250 -23.4, 1100 23, 6900 0.4"


@planted
def _rounding(world: HardWorld) -> None:
    for order_id, charged in ((1001, "20.01"), (1002, "20.02")):
        world.order(f"cedar_us:{order_id}", "20.00", created=SOLD, transaction_id=f"ch_{order_id}")
        world.charge("stripe_us", f"ch_{order_id}", charged, when=SOLD, fee="0.88")
    # A shop that keeps two decimals of a currency that has none.
    world.order("aoi_jp:1003", "9573.30", created=SOLD, transaction_id="ch_1003")
    world.charge("stripe_jp", "ch_1003", "9573", when=SOLD, fee="345")


def test_10_rounding(found: Findings) -> None:
    """A cent too much is rounding and goes to an account of its own; two cents are a difference."""
    assert found.verdict("txn_ch_1001") == ("matched_tolerance", "cedar_us:1001")
    assert found.entry("line/stripe_us:txn_ch_1001") == "1250 19.13, 6100 0.88, 1100 -20, 6910 -0.01"
    assert found.exceptions("cedar_us:1001") == []
    assert found.verdict("txn_ch_1002") == ("amount_diff", "cedar_us:1002")
    assert found.exceptions("cedar_us:1002") == ["amount_mismatch"]
    assert found.verdict("txn_ch_1003", "stripe_jp") == ("matched_tolerance", "aoi_jp:1003")
    assert found.balance("1100", "sale/aoi_jp:1003", "line/stripe_jp:txn_ch_1003") == 0


# --- 11 to 13: tax, gift cards, tips ---


@planted
def _tax(world: HardWorld) -> None:
    world.sale(1101, "100.00", tax="8.88")
    # The order was edited after the engine had committed it: 20 there, 19 here.
    world.add(
        "ops.tax_engines", tax_engine_id="avatax_de", tax_engine_system="avatax", entity_code="DE",
        order_reference="id",
    )  # fmt: skip
    world.add("ops.tax_engine_stores", tax_engine_id="avatax_de", store_id="linden_de")
    world.order("linden_de:1102", "100.00", tax="19.00", created=SOLD, transaction_id="ch_1102")
    world.charge("stripe_de", "ch_1102", "119.00", when=SOLD, fee="2.04")
    world.add(
        "tax.avatax_transactions", tax_engine_id="avatax_de", id=1102, code="1102", version=1,
        document_type="SalesInvoice", status="Committed", currency_code="EUR", document_date="2026-10-20",
        country="DE", total_amount=Decimal("100.00"), total_taxable=Decimal("100.00"), total_exempt=Decimal(0),
        total_tax=Decimal("20.00"), order_reference="1102", modified_date="2026-10-20T15:00:00",
    )  # fmt: skip
    world.add(
        "tax.avatax_summaries", tax_engine_id="avatax_de", transaction_id=1102, position=1, country="DE",
        juris_type="Country", juris_code="DE", tax_name="VAT", rate=Decimal("0.2"),
        taxable=Decimal("100.00"), tax=Decimal("20.00"),
    )  # fmt: skip


def test_11_tax_as_collected(found: Findings) -> None:
    """Whatever an engine says, what the customer paid as tax is owed: it is the tax of the sale, by jurisdiction."""
    assert found.entry("sale/cedar_us:1101") == "1100 108.88, 4000 -100, 2201 -8.88"
    assert found.exceptions("cedar_us:1101") == []


def test_11_tax_differs_from_the_engine(found: Findings) -> None:
    """The engine committed another tax than the store collected: an exception, and what was collected is still owed."""
    assert found.entry("sale/linden_de:1102") == "1100 119, 4000 -100, 2210 -19"
    assert found.exceptions("DE:DE:EUR:2026-10") == ["tax_store_vs_engine"]
    ((difference,),) = found.query(
        "select store_difference_amount from marts.rec_tax where entity_code = 'DE' and tax_jurisdiction = 'DE'"
    )
    assert difference == 1


@planted
def _gift_cards(world: HardWorld) -> None:
    # The extension of WooCommerce lowers the total and leaves lines and tax as they are.
    world.order("cedar_us:1201", "100.00", tax="20.00", total="90.00", created=SOLD, transaction_id="ch_1201")
    world.add(
        "woocommerce.order_gift_cards", store_id="cedar_us", order_id=1201, id=1, code="AAAA-1201",
        amount=Decimal("30.00"),
    )  # fmt: skip
    world.charge("stripe_us", "ch_1201", "90.00", when=SOLD, fee="2.91")
    # A mug and a card are bought; the card is given back.
    world.add("ops.gift_card_products", store_id="cedar_us", named_by="sku", product="gc-50")
    world.order("cedar_us:1202", "20.00", total="70.00", created=SOLD, transaction_id="ch_1202")
    world.add(
        "woocommerce.order_lines", store_id="cedar_us", order_id=1202, id=9202, name="Gift card", sku="GC-50",
        product_id=8, quantity=1, subtotal=50, total=50,
    )  # fmt: skip
    world.charge("stripe_us", "ch_1202", "70.00", when=SOLD, fee="2.33")
    world.store_refund("cedar_us:1292", "cedar_us:1202", "50.00", when=LATER, gateway_refund="re_1202")
    world.add(
        "woocommerce.refund_lines", store_id="cedar_us", refund_id=1292, id=9292, product_id=8, sku="GC-50",
        quantity=-1, total=-50, total_tax=0,
    )  # fmt: skip
    world.gateway_refund("stripe_us", "re_1202", "ch_1202", "50.00", when=LATER)
    # Cards pay all of it, and no gateway is asked; a part goes back to them.
    for order_id, status in ((1203, "completed"), (1204, "cancelled")):
        world.order(f"cedar_us:{order_id}", "100.00", tax="20.00", total="0.00", method="", status=status, created=SOLD)
        world.add(
            "woocommerce.order_gift_cards", store_id="cedar_us", order_id=order_id, id=2, code="BBBB-1203",
            amount=Decimal("120.00"),
        )  # fmt: skip
    world.store_refund("cedar_us:1293", "cedar_us:1203", "24.00", tax="4.00", when=LATER)
    # The German shop owed 500 for cards before; the Japanese shop owed nothing, and takes a card that it never sold.
    world.add("ops.gift_card_openings", store_id="linden_de", currency_code="EUR", opening=500)
    world.add("ops.gift_card_openings", store_id="aoi_jp", currency_code="JPY", opening=0)
    for key, net, card in (("linden_de:1205", "40.00", "40.00"), ("aoi_jp:1206", "3000", "3000")):
        store, order_id = key.split(":")
        world.order(key, net, total="0", method="", created=SOLD)
        world.add(
            "woocommerce.order_gift_cards", store_id=store, order_id=int(order_id), id=3, code="CCCC-1205",
            amount=Decimal(card),
        )  # fmt: skip
    with (PROJECT / "seeds" / "account_mapping.csv").open(encoding="utf-8") as mapping:
        chart = {row["account_code"] for row in csv.DictReader(mapping) if row["entity_code"] == "DE"}
    for code in sorted(chart):
        world.add(
            "erp.accounts", erp_id="erp_main", id=f"{code} - L", code=code, name=f"Account {code}",
            company="Lindenhof GmbH", modified="2026-01-01",
        )  # fmt: skip
    world.add(
        "erp.gl_entries", erp_id="erp_main", id="GL1", company="Lindenhof GmbH", posting_date=date(2026, 9, 30),
        account_id="2150 - L", voucher_type="Journal Entry", voucher_id="ACC-1", debit=0, credit=500, currency="EUR",
        docstatus=1, modified="2026-09-30",
    )  # fmt: skip


def test_12_gift_card_pays_in_part(found: Findings) -> None:
    """A card pays 30 of 120: the gateway takes 90, and that is all it should.

    The sale is whole; 30 of it are settled by what the shop owed for the card.
    """
    assert found.verdict("txn_ch_1201") == ("matched", "cedar_us:1201")
    assert found.exceptions("cedar_us:1201") == []
    assert found.ready("sale/cedar_us:1201")
    assert found.balance("4000", "sale/cedar_us:1201") == -100
    assert found.balance("1100", "sale/cedar_us:1201", "line/stripe_us:txn_ch_1201") == 0


def test_12_sale_of_a_gift_card(found: Findings) -> None:
    """A mug for 20 and a card for 50: only the mug is sold. The card is owed until its price is given back."""
    assert found.entry("sale/cedar_us:1202") == "1100 70, 4000 -20, 2150 -50"
    assert found.entry("refund/cedar_us:1292") == "1100 -50, 2150 50"
    assert found.exceptions("cedar_us:1202") == []


def test_12_gift_cards_pay_all(found: Findings) -> None:
    """No gateway takes anything, and the sale is booked when the cards paid; what is refunded goes back to them.

    A cancelled order has given the cards their money back, so nothing was sold.
    """
    assert found.order("cedar_us:1203") == ("not_expected", "0")
    assert found.exceptions("cedar_us:1203", "cedar_us:1204") == []
    assert found.entry("sale/cedar_us:1203") == "4000 -100, 2201 -20, 2150 120"
    assert found.ready("sale/cedar_us:1203")
    assert found.entry("refund/cedar_us:1293") == "4200 20, 2201 4, 2150 -24"
    assert not found.ready("sale/cedar_us:1204")


def test_12_sub_ledger_of_gift_cards(found: Findings) -> None:
    """What is owed rolls forward from what was owed before, and equals the ledger and the ERP.

    More redeemed than issued is an exception only where all issues are known.
    """
    rows = found.query(
        "select entity_code, cast(period_month as varchar), opening_amount, issued_amount, redeemed_amount, "
        "voided_amount, returned_amount, closing_amount, ledger_difference_amount, erp_difference_amount, "
        "gift_card_status from marts.rec_gift_cards order by entity_code desc, period_month"
    )
    assert [tuple(_plain(one) if isinstance(one, Decimal) else one for one in row) for row in rows] == [
        ("US", "2026-10-01", "0", "50", "150", "50", "24", "-126", "0", None, "matched"),
        ("JP", "2026-10-01", "0", "0", "3000", "0", "0", "-3000", "0", None, "overdrawn"),
        ("DE", "2026-09-01", "500", "0", "0", "0", "0", "500", "0", "0", "matched"),
        ("DE", "2026-10-01", "500", "0", "40", "0", "0", "460", "0", "0", "matched"),
    ]
    keys = ("US:USD:overdrawn", "DE:EUR:overdrawn", "DE:EUR:erp", "DE:EUR:ledger", "JP:JPY:overdrawn")
    assert [key for key in keys if found.exceptions(key)] == ["JP:JPY:overdrawn"]


@planted
def _tips(world: HardWorld) -> None:
    world.order("cedar_us:1301", "100.00", fee="15.00", created=SOLD, transaction_id="ch_1301")
    world.charge("stripe_us", "ch_1301", "115.00", when=SOLD, fee="3.64")
    world.order("cedar_us:1302", "100.00", created=SOLD, transaction_id="ch_1302")
    world.charge("stripe_us", "ch_1302", "115.00", when=SOLD, fee="3.64")
    world.order("linden_de:1303", "100.00", fee="15.00", created=SOLD, transaction_id="ch_1303")
    world.charge("stripe_de", "ch_1303", "115.00", when=SOLD, fee="3.64")


def test_13_tips(found: Findings) -> None:
    """A tip that is a line of the order is part of what was paid; one that only the gateway knows is a difference."""
    assert found.verdict("txn_ch_1301") == ("matched", "cedar_us:1301")
    assert found.exceptions("cedar_us:1301") == []
    assert found.verdict("txn_ch_1302") == ("amount_diff", "cedar_us:1302")
    assert found.exceptions("cedar_us:1302") == ["amount_mismatch"]
    assert not found.ready("sale/cedar_us:1302")


def test_13_tips_are_owed_to_staff(found: Findings) -> None:
    """A tip is no revenue, unless the entity keeps tips for itself."""
    assert found.entry("sale/cedar_us:1301") == "1100 115, 4000 -100, 2160 -15"
    assert found.entry("sale/linden_de:1303") == "1100 115, 4000 -115"


# --- 14: month end ---


@planted
def _month_end(world: HardWorld) -> None:
    # In New York it is still October.
    world.sale(1401, "70.00", fee="2.33", created=at("2026-11-01 03:25"))
    world.sale(1402, "71.00", fee="2.36", created=at("2026-10-28 15:00"))
    paid = world.payout("stripe_us", "po_1401", ["txn_ch_1402"], when=at("2026-10-31 20:10"), arrival="2026-11-03")
    world.banked("2026-11-03", paid, "STRIPE po_1401")
    world.payout(
        "stripe_us", "po_1402", ["txn_ch_1401"], when=at("2026-11-04 20:10"), arrival="2026-11-06",
        status="in_transit",
    )  # fmt: skip


def test_14_cut_off(found: Findings) -> None:
    """Sold in one month, paid out in the same or the next, on the bank in the next.

    Each line belongs to its own day in the time zone of the books; a payout on its way is in transit, and that is no
    exception.
    """
    assert found.day("sale/cedar_us:1401") == found.day("line/stripe_us:txn_ch_1401") == "2026-10-31"
    assert found.day("payout/stripe_us:po_1401") == "2026-10-31"
    assert found.day("bank/stripe_us:po_1401") == "2026-11-03"
    assert found.payout("po_1401")["settlement_status"] == "reconciled"
    assert found.payout("po_1402")["settlement_status"] == "in_transit"
    assert found.exceptions("stripe_us:po_1401", "stripe_us:po_1402", "cedar_us:1401") == []
    assert found.entry("payout/stripe_us:po_1402") == "1250 -67.67, 1210 67.67"
    assert not found.ready("bank/stripe_us:po_1402")


# --- 15 and 16: doubles, and data that is none ---


@planted
def _duplicates(world: HardWorld) -> None:
    for order_id, refunded in ((1501, 0), (1502, 3000)):
        world.sale(order_id, "30.00", fee="1.17")
        world.charge(
            "stripe_us", f"ch_{order_id}b", "30.00", when=SOLD, fee="1.17",
            metadata_order_key=f"wc_order_cedar_us_{order_id}", amount_refunded=refunded,
        )  # fmt: skip
    world.gateway_refund("stripe_us", "re_1502b", "ch_1502b", "30.00", when=LATER)
    # One row of one report, delivered again in the report of the next day.
    for report, day in (("R1", "2026-10-20"), ("R2", "2026-10-21")):
        world.add(
            "paypal.report_lines", gateway_id="paypal_us", report_id=report, row_number=1, section_number=1,
            file_sha256=report * 32,
            transaction_id="PAY1503", transaction_event_code="T0006", gross_transaction_currency="USD",
            gross_transaction_amount=4000, transaction_debit_or_credit="CR", fee_amount=149, fee_currency="USD",
            fee_debit_or_credit="DR", custom_field="1503", account_id="A",
            transaction_initiation_date=SOLD, transaction_completion_date=SOLD, file_name=f"STL-{day}.csv",
        )  # fmt: skip
    world.order("cedar_us:1503", "40.00", method="ppcp-gateway", created=SOLD, transaction_id="PAY1503")


def test_15_double_charge(found: Findings) -> None:
    """A customer is charged twice for one order.

    The first charge is matched. The second is a duplicate: its money waits in suspense, never in revenue, until it is
    given back; then nothing of it is left and the exception is gone.
    """
    assert found.verdict("txn_ch_1501") == ("matched", "cedar_us:1501")
    assert found.verdict("txn_ch_1501b")[0] == "duplicate"
    assert found.exceptions("cedar_us:1501") == ["duplicate_payment"]
    assert found.entry("line/stripe_us:txn_ch_1501b") == "1250 28.83, 6100 1.17, 1290 -30"
    assert found.entry("sale/cedar_us:1501") == "1100 30, 4000 -30"
    assert found.exceptions("cedar_us:1502", "stripe_us:txn_ch_1502b", "stripe_us:re_1502b") == []
    assert found.balance("1290", "line/stripe_us:txn_ch_1502b", "line/stripe_us:txn_re_1502b") == 0


def test_15_record_delivered_twice(found: Findings) -> None:
    """The same row in two reports is one movement."""
    rows = found.query(
        "select settlement_line_key, match_status, order_key from marts.rec_settlement_lines "
        "where payment_key = 'paypal_us:PAY1503'"
    )
    ((key, status, order),) = rows
    assert (status, order) == ("matched", "cedar_us:1503")
    assert found.entry(f"line/{key}") == "1251 38.51, 6100 1.49, 1100 -40"


@planted
def _order_made_twice(world: HardWorld) -> None:
    for order_id, minutes in ((1504, 0), (1505, 4), (1506, 90)):
        world.sale(order_id, "33.00", created=SOLD + timedelta(minutes=minutes), billing_email="twice@example.com")
    # Of the second pair one was given back.
    for order_id in (1507, 1508):
        world.sale(order_id, "34.00", billing_email="twice@example.com")
    world.store_refund("cedar_us:1598", "cedar_us:1508", "34.00", when=LATER, gateway_refund="re_1508")
    world.gateway_refund("stripe_us", "re_1508", "ch_1508", "34.00", when=LATER)


def test_15_order_made_twice(found: Findings) -> None:
    """A customer orders and pays the same basket twice within minutes: both are sold, and somebody should ask."""
    assert found.exceptions("cedar_us:1505") == ["duplicate_order"]
    assert found.ready("sale/cedar_us:1505")
    assert found.exceptions("cedar_us:1504", "cedar_us:1506", "cedar_us:1507", "cedar_us:1508") == []


@planted
def _test_data(world: HardWorld) -> None:
    world.order("cedar_us:1601", "45.00", created=SOLD)
    world.add(
        "stripe.charges", gateway_id="stripe_us", id="ch_1601", amount=4500, amount_captured=4500, currency="usd",
        status="succeeded", captured=True, livemode=False, created=int(SOLD.timestamp()),
        metadata_order_key="wc_order_cedar_us_1601",
    )  # fmt: skip
    world.sale(1602, "12.00")
    world.charge(
        "stripe_us", "ch_staging", "12.00", when=SOLD, fee="0.65", metadata_order_id="1602",
        metadata_order_key="wc_order_cedar_us_1602", metadata_site_url="https://staging.example",
    )  # fmt: skip


def test_16_test_data(found: Findings) -> None:
    """A test charge pays nothing: it is counted and moves no account, and the order it names is unpaid.

    A copy of the shop that takes real money is no shop of ours, whatever order it names.
    """
    (status,) = found.query(
        "select match_status from marts.fct_payment_events where payment_key = 'stripe_us:ch_1601'"
    )[0]
    assert status == "test_data"
    assert found.exceptions("cedar_us:1601") == ["payment_missing"]
    assert not found.ready("sale/cedar_us:1601")
    assert found.verdict("txn_ch_staging") == ("missing_in_store", None)
    assert found.exceptions("stripe_us:txn_ch_staging") == ["order_missing"]
    assert found.entry("line/stripe_us:txn_ch_staging") == "1250 11.35, 6100 0.65, 1290 -12"
    assert found.exceptions("cedar_us:1602") == []


# --- 17 and 18: authorisations that expire, orders that are edited ---


@planted
def _expired_authorisation(world: HardWorld) -> None:
    for order_id, status, paid in ((1701, "cancelled", False), (1702, "completed", True)):
        world.order(
            f"cedar_us:{order_id}", "55.00", status=status, paid=paid, created=SOLD, transaction_id=f"ch_{order_id}"
        )
        world.add(
            "stripe.charges", gateway_id="stripe_us", id=f"ch_{order_id}", amount=5500, amount_captured=0,
            amount_refunded=5500, currency="usd", status="succeeded", captured=False, livemode=True,
            created=int(SOLD.timestamp()), metadata_order_key=f"wc_order_cedar_us_{order_id}",
        )  # fmt: skip
        world.add(
            "stripe.refunds", gateway_id="stripe_us", id=f"re_{order_id}", amount=5500, currency="usd",
            charge=f"ch_{order_id}", status="succeeded", reason="expired_uncaptured_charge",
            created=int(LATER.timestamp()),
        )  # fmt: skip


def test_17_expired_authorisation(found: Findings) -> None:
    """An authorisation is never captured; the gateway notes a refund that moves no money.

    For a cancelled order that is as it should be. An order that was shipped all the same is not paid.
    """
    assert found.exceptions("cedar_us:1701", "stripe_us:re_1701") == []
    assert found.exceptions("cedar_us:1702", "stripe_us:re_1702") == ["stale_authorisation"]
    for order_id in (1701, 1702):
        assert not found.ready(f"sale/cedar_us:{order_id}")
        assert not found.ready(f"refund/stripe_us:re_{order_id}")


@planted
def _edited_order(world: HardWorld) -> None:
    for order_id, net in ((1801, "110.00"), (1802, "90.00")):
        world.order(
            f"cedar_us:{order_id}", net, created=SOLD, transaction_id=f"ch_{order_id}",
            date_modified_gmt=at("2026-10-25 10:00"),
        )  # fmt: skip
        world.charge("stripe_us", f"ch_{order_id}", "100.00", when=SOLD, fee="3.20")


def test_18_order_edited_after_payment(found: Findings) -> None:
    """An order is paid and then made dearer or cheaper, without a refund or a second payment.

    The charge is the order's without doubt, but not its amount: the sale waits until someone has looked.
    """
    for order_id, difference in ((1801, "10"), (1802, "-10")):
        key = f"cedar_us:{order_id}"
        assert found.verdict(f"txn_ch_{order_id}") == ("amount_diff", key)
        assert found.order(key) == ("amount_mismatch", difference)
        assert set(found.exceptions(key)) <= {"amount_mismatch", "order_edited_after_payment"}
        assert found.exceptions(key)
        assert not found.ready(f"sale/{key}")


# --- 19: refunds that only one side knows ---


@planted
def _one_sided_refunds(world: HardWorld) -> None:
    for order_id in (1901, 1902, 1903, 1904, 1905):
        world.sale(order_id, "50.00")
    world.gateway_refund("stripe_us", "re_1901", "ch_1901", "5.00", when=LATER)
    world.store_refund("cedar_us:1992", "cedar_us:1902", "6.00", when=LATER)
    world.store_refund("cedar_us:1993", "cedar_us:1903", "7.00", when=at("2026-11-05 09:00"))
    world.store_refund("cedar_us:1994", "cedar_us:1904", "8.00", when=LATER, gateway_refund="re_1904")
    world.gateway_refund("stripe_us", "re_1904", "ch_1904", "8.00", when=LATER, status="failed")
    world.line("stripe_us", "txn_re_1904_back", "8.00", "refund_failure", source="re_1904", when=at("2026-10-30 10:00"))
    # Two of the same amount, and the order remembers neither.
    for refund, when in (("1995", LATER), ("1996", PAID_OUT_LATER)):
        world.store_refund(f"cedar_us:{refund}", "cedar_us:1905", "9.00", when=when)
        world.gateway_refund("stripe_us", f"re_{refund}", "ch_1905", "9.00", when=when)


def test_19_refund_only_at_the_gateway(found: Findings) -> None:
    """Given back from the gateway's own pages: the store does not know, and the money waits in suspense."""
    assert found.verdict("txn_re_1901") == ("missing_in_store", "cedar_us:1901")
    assert found.exceptions("stripe_us:re_1901") == ["refund_missing_in_store"]
    assert found.balance("1250", "line/stripe_us:txn_re_1901") == -5
    assert found.balance("4200", "line/stripe_us:txn_re_1901") == 0


def test_19_refund_only_in_the_store(found: Findings) -> None:
    """Noted by hand and never paid: an exception after some days, and the credit note waits. Not on the first day."""
    assert found.exceptions("cedar_us:1902") == ["refund_missing_in_gateway"]
    assert not found.ready("refund/cedar_us:1992")
    assert found.exceptions("cedar_us:1903") == []


def test_19_refund_that_failed(found: Findings) -> None:
    """The customer's bank sends a refund back: the money is here again, and the customer still waits."""
    assert found.exceptions("cedar_us:1904") == ["refund_failed"]
    lines = ("line/stripe_us:txn_re_1904", "line/stripe_us:txn_re_1904_back")
    assert found.balance("1250", *lines) == found.balance("1290", *lines) == found.balance("1100", *lines) == 0
    assert not found.ready("refund/cedar_us:1994")


def test_19_several_refunds_of_one_amount(found: Findings) -> None:
    """Two equal refunds of one order without ids pair in order of time, and both are booked."""
    for refund in ("1995", "1996"):
        assert found.verdict(f"txn_re_{refund}") == ("matched", "cedar_us:1905")
        assert found.entry(f"refund/cedar_us:{refund}") == "4200 9, 1100 -9"
    assert found.exceptions("cedar_us:1905") == []


# --- 20: renewals ---


@planted
def _renewals(world: HardWorld) -> None:
    world.sale(2001, "19.00")
    # The renewal's charge still carries the key of the order that began it all.
    world.order("cedar_us:2002", "19.00", created=LATER, transaction_id="ch_2002", created_via="subscription")
    world.charge("stripe_us", "ch_2002", "19.00", when=LATER, fee="0.85", metadata_order_key="wc_order_cedar_us_2001")
    world.add(
        "stripe.charges", gateway_id="stripe_us", id="ch_2002_retry", amount=1900, amount_captured=0, currency="usd",
        status="failed", captured=False, livemode=True, created=int(LATER.timestamp()), failure_code="card_declined",
        metadata_order_id="2002",
    )  # fmt: skip
    # Charged, but the message that makes the order was lost.
    world.charge("stripe_us", "ch_2003", "19.00", when=PAID_OUT, fee="0.85", metadata_order_id="2003")


def test_20_renewals(found: Findings) -> None:
    """A renewal is an order like any other, whatever its charge remembers of the first one; declined attempts move
    nothing. A renewal that was charged without an order is an exception."""
    assert found.verdict("txn_ch_2001") == ("matched", "cedar_us:2001")
    assert found.verdict("txn_ch_2002") == ("matched", "cedar_us:2002")
    assert found.exceptions("cedar_us:2001", "cedar_us:2002") == []
    assert found.verdict("txn_ch_2003") == ("missing_in_store", None)
    assert found.exceptions("stripe_us:txn_ch_2003") == ["order_missing"]


# --- 21 and 22: fees without an order, money that is no sale ---


@planted
def _standalone(world: HardWorld) -> None:
    world.line("stripe_us", "txn_radar", "-7.00", "fee", when=SOLD, type_="stripe_fee")
    world.line("stripe_us", "txn_network", "-3.00", "network_cost", when=SOLD)
    world.line("stripe_us", "txn_fee_tax", "-1.33", "tax", when=SOLD, type_="tax_fee")
    world.line("stripe_us", "txn_topup", "500.00", "topup", when=SOLD)
    world.line("stripe_us", "txn_loan", "900.00", "financing_payout", when=SOLD)
    world.line("stripe_us", "txn_climate", "-2.00", "contribution", when=SOLD)
    world.line("stripe_us", "txn_levy", "-4.00", "hologram_levy", when=SOLD)


def test_21_standalone_fees(found: Findings) -> None:
    """Fees that belong to no sale: explained by what they are."""
    for line, amount in (("txn_radar", "7"), ("txn_network", "3")):
        assert found.verdict(line) == ("fee_only", None)
        assert found.entry(f"line/stripe_us:{line}") == f"1250 -{amount}, 6100 {amount}"
        assert found.exceptions(f"stripe_us:{line}") == []


def test_21_tax_on_fees(found: Findings) -> None:
    """The tax on a gateway's fees is input tax, not a fee and not unknown."""
    assert found.verdict("txn_fee_tax") == ("fee_only", None)
    assert found.exceptions("stripe_us:txn_fee_tax") == []
    assert found.balance("1290", "line/stripe_us:txn_fee_tax") == 0


def test_22_unknown_lines_wait_in_suspense(found: Findings) -> None:
    """A category that nobody has treated is not guessed: an exception, suspense, and the clearing account still equals
    what the gateway holds."""
    assert found.verdict("txn_levy") == ("needs_review", None)
    assert found.exceptions("stripe_us:txn_levy") == ["unknown_line_type"]
    assert found.entry("line/stripe_us:txn_levy") == "1250 -4, 1290 4"
    differences = found.query("select gateway_id, difference_amount from marts.rec_clearing")
    assert all(difference == 0 for gateway, difference in differences if gateway.startswith("stripe")), differences


def test_22_money_that_is_no_sale(found: Findings) -> None:
    """Money put into the balance, a loan, a donation: known kinds, each with an account of its own."""
    for line in ("txn_topup", "txn_loan", "txn_climate"):
        assert found.verdict(line) == ("non_order", None)
        assert found.exceptions(f"stripe_us:{line}") == []
    assert found.entry("line/stripe_us:txn_topup") == "1250 500, 1220 -500"
    assert found.entry("line/stripe_us:txn_loan") == "1250 900, 2300 -900"
    assert found.entry("line/stripe_us:txn_climate") == "1250 -2, 6200 2"


# --- 23 and 24: settled elsewhere, payouts without a list ---


@planted
def _elsewhere(world: HardWorld) -> None:
    world.order("cedar_us:2301", "45.00", method="cod", created=SOLD)
    # Amex settles itself: the acquirer only reports it.
    world.order("cedar_us:2302", "46.00", method="ppcp-gateway", created=SOLD, transaction_id="PAY2302")
    world.capture("PAY2302", "46.00", "1.63", custom_field="2302")


def test_23_settled_elsewhere(found: Findings) -> None:
    """Cash at the door passes no gateway, so none is expected to show it; an order whose method names a gateway is
    looked for there and nowhere else."""
    assert found.order("cedar_us:2301")[0] == "not_expected"
    assert found.exceptions("cedar_us:2301") == []
    rows = found.query("select gateway_id, order_status from marts.rec_orders where order_key = 'cedar_us:2302'")
    assert rows == [("paypal_us", "captured")]
    assert found.exceptions("cedar_us:2302") == []


@planted
def _manual_payout(world: HardWorld) -> None:
    world.sale(2401, "300.00")
    world.line("stripe_us", "txn_instant", "-3.00", "fee", when=LATER, type_="stripe_fee")
    paid = world.payout("stripe_us", "po_2401", [], amount="250.00", when=LATER, arrival="2026-10-28", automatic=False)
    world.banked("2026-10-28", paid, "STRIPE po_2401")


def test_24_manual_payout(found: Findings) -> None:
    """A payout by hand lists no lines, so there is nothing to foot: the running balance has to agree instead. Its fee
    is a line of its own."""
    payout = found.payout("po_2401")
    assert payout["settlement_status"] == "reconciled"
    assert payout["residual_amount"] in (0, 250)
    assert found.exceptions("stripe_us:po_2401", "stripe_us:txn_instant") == []
    assert found.verdict("txn_instant") == ("fee_only", None)
    assert found.entry("payout/stripe_us:po_2401") == "1250 -250, 1210 250"
    ((difference,),) = found.query("select difference_amount from marts.rec_clearing where gateway_id = 'stripe_us'")
    assert difference == 0


# --- all of them ---


def test_no_case_disturbs_another(found: Findings) -> None:
    """An exception that no case asks for: one invented by the company of the others."""
    known = {
        "stale_authorisation",
        "amount_mismatch", "dispute_open", "dispute_double_loss", "payout_failed", "duplicate_payment",
        "payment_missing", "order_missing", "refund_missing_in_store", "refund_missing_in_gateway", "refund_failed",
        "unknown_line_type", "order_edited_after_payment", "contract_violation", "tax_store_vs_engine",
        "gift_card_imbalance", "duplicate_order", "ambiguous_match",
    }  # fmt: skip
    kinds = {kind for (kind,) in found.query("select distinct exception_type from marts.rec_exceptions")}
    assert kinds <= known
    evidence = found.query("select evidence from marts.rec_exceptions")
    assert all(json.loads(text) for (text,) in evidence)


def _plain(value: Decimal | None) -> str:
    if value is None:
        return "-"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
