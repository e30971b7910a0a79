"""The entity's policies: when a sale becomes revenue (at capture, with each shipment, or when the store calls the order
completed), and whether entries are posted one by one or summed up.

One small retailer, built once. The American entity recognises with shipment, the German one with completion, the
Japanese one with capture. Journal lines read ``account amount``, debit positive, in the books' currency: 1100 is
customers, 2170 their deposits, 2201 and 2210 tax, 4000 sales, 4100 shipping, 4200 returns.
"""

import json
import random
import shutil
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from retail_assets.accounting.ledger import LedgerEntry, read_ledger
from retail_assets.accounting.plan import Books, plan_entity
from retail_assets.commands.policy import explained
from retail_assets.settings import load_settings
from tests.accounting.test_plan import carried_out
from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import Warehouse
from tests.dbt.world import World, at

pytestmark = pytest.mark.slow

SOLD: Final = at("2026-10-20 15:00")
PAID_LATE: Final = at("2026-10-30 15:00")


class RecognitionWorld(World):
    """The small retailer with warehouses that report what they ship, and a courier who collects cash."""

    def __init__(self) -> None:
        super().__init__()
        policies = {"US": "shipment", "DE": "completion", "JP": "capture"}
        for entity in self.rows["ops.entities"]:
            entity["revenue_recognition"] = policies[entity["entity_code"]]
        self.add("ops.fulfilment_stores", provider_id="lager", store_id="cedar_us")
        self.add(
            "ops.gateways", gateway_id="courier_us", gateway_system="settlement_file", entity_code="US",
            bank_id="bank_us", order_reference="number", reference_prefix="",
        )  # fmt: skip
        self.add(
            "ops.gateway_stores", gateway_id="courier_us", store_id="cedar_us", payment_method="cod",
            reports_after_days=14,
        )  # fmt: skip

    def basket(
        self, order_id: int, goods: dict[str, tuple[int, str]], *, shipping: str = "0", captured: str = "", **order: Any
    ) -> None:
        """An American order of articles (number of pieces and net price of them all), paid in full or what is given."""
        created = order.pop("created", SOLD)
        net = sum((Decimal(price) for _, price in goods.values()), Decimal())
        lines = self.rows["woocommerce.order_lines"]
        method = order.get("method", "stripe")
        if method == "stripe":
            order["transaction_id"] = f"ch_{order_id}"
        total = self.order(f"cedar_us:{order_id}", str(net), shipping=shipping, created=created, **order)
        template = lines.pop()
        for sku, (pieces, price) in goods.items():
            own = {"id": self.number(), "sku": sku, "quantity": pieces, "subtotal": price, "total": price}
            lines.append(template | own | {"total_tax": Decimal(0)})
        if method == "stripe":
            self.charge("stripe_us", f"ch_{order_id}", captured or str(total), when=created, fee="1.00")

    def shipped(self, order_id: int, sku: str, when: datetime, pieces: int = 1, *, shipment: str = "") -> None:
        """What the warehouse reports."""
        self.add(
            "fulfilment.shipments", provider_id="lager", shipment_id=shipment or f"S{order_id}{sku}",
            order_reference=str(order_id), sku=sku, line_id="", occurrence=1, quantity=pieces, shipped_at=when,
            file_name="shipments.csv", file_sha256="5" * 64, row_number=2,
        )  # fmt: skip

    def delivery_note(self, order_id: int, sku: str, day: str, pieces: int = 1) -> None:
        """What the ERP reports."""
        note = f"DN-{order_id}-{sku}"
        self.add(
            "erp.deliveries", erp_id="erp_main", company="Cedar & Pine LLC", id=note, number=note, docstatus=1,
            is_return=False, order_reference=str(order_id), shipped_on=f"{day} 09:00:00", modified=f"{day} 09:00:00",
        )  # fmt: skip
        self.add("erp.delivery_lines", erp_id="erp_main", delivery_id=note, id="1", sku=sku, quantity=pieces)

    def refund(self, order_id: int, amount: str, when: datetime, *, tax: str = "0", sku: str = "") -> None:
        """A refund of an American order in the store and at the gateway, of one article or of a bare amount."""
        key = f"cedar_us:{order_id + 4000}"
        named = tax if sku else None
        self.store_refund(key, f"cedar_us:{order_id}", amount, when=when, tax=named, gateway_refund=f"re_{order_id}")
        if sku:
            self.rows["woocommerce.refund_lines"][-1]["sku"] = sku
        self.gateway_refund("stripe_us", f"re_{order_id}", f"ch_{order_id}", amount, when=when)


def _play() -> RecognitionWorld:
    world = RecognitionWorld()
    _waits_over_month_end(world)
    _shipped_in_parts(world)
    _refunded(world)
    _paid_on_delivery(world)
    _at_midnight(world)
    _parcels_of_unknown_contents(world)
    _gift_cards(world)
    _completed(world)
    # A payment of another amount: its sale is held until somebody decides.
    world.basket(5050, {"MUG": (1, "50.00")}, captured="56.00")
    world.order("aoi_jp:7001", "8703.00", tax="870.30", created=SOLD, transaction_id="ch_7001")
    world.charge("stripe_jp", "ch_7001", "9573", when=SOLD, fee="345")
    return world


def _waits_over_month_end(world: RecognitionWorld) -> None:
    world.basket(5001, {"MUG": (1, "100.00")}, tax="8.88", shipping="6.50", created=PAID_LATE)
    world.shipped(5001, "MUG", at("2026-11-02 15:00"))
    world.basket(5002, {"MUG": (1, "45.00")}, created=PAID_LATE)


def _shipped_in_parts(world: RecognitionWorld) -> None:
    # The warehouse and the ERP tell of the same parcel, a day apart.
    world.basket(5003, {"MUG": (1, "60.00"), "CAP": (1, "40.00")}, tax="11.00", shipping="10.00")
    world.shipped(5003, "MUG", at("2026-10-25 15:00"))
    world.delivery_note(5003, "MUG", "2026-10-26")
    world.shipped(5003, "CAP", at("2026-11-03 15:00"))
    # Three pieces for a price that three do not share evenly; the ERP alone knows of the last one.
    world.basket(5004, {"CUP": (3, "100.00")})
    world.shipped(5004, "CUP", at("2026-10-25 15:00"))
    world.delivery_note(5004, "CUP", "2026-10-26", 3)
    world.basket(5006, {"CUP": (3, "100.00")})
    world.shipped(5006, "CUP", at("2026-10-25 15:00"), shipment="one")
    world.shipped(5006, "CUP", at("2026-10-27 15:00"), 2, shipment="two")
    # More left than was ordered.
    world.basket(5005, {"MUG": (2, "50.00")})
    world.shipped(5005, "MUG", at("2026-10-25 15:00"), 3)


def _refunded(world: RecognitionWorld) -> None:
    world.basket(5010, {"MUG": (1, "100.00")}, tax="8.00", status="refunded")
    world.shipped(5010, "MUG", at("2026-10-25 15:00"))
    world.refund(5010, "108.00", at("2026-10-28 15:00"), tax="8.00", sku="MUG")
    world.basket(5011, {"MUG": (1, "100.00")}, tax="8.00", status="refunded")
    world.refund(5011, "108.00", at("2026-10-28 15:00"))
    # The cap is sold out: given back while the mug is on its way. The shipping stays with the shop.
    world.basket(5012, {"MUG": (1, "60.00"), "CAP": (1, "40.00")}, tax="10.00", shipping="10.00")
    world.shipped(5012, "MUG", at("2026-10-25 15:00"))
    world.refund(5012, "44.00", at("2026-10-28 15:00"), tax="4.00", sku="CAP")
    # The mug comes back before the cap has left.
    world.basket(5013, {"MUG": (1, "60.00"), "CAP": (1, "40.00")})
    world.shipped(5013, "MUG", at("2026-10-25 15:00"))
    world.refund(5013, "60.00", at("2026-10-28 15:00"), sku="MUG")
    world.shipped(5013, "CAP", at("2026-11-02 15:00"))
    # A bare amount before anything left, as amends.
    world.basket(5014, {"MUG": (1, "60.00"), "CAP": (1, "40.00")})
    world.refund(5014, "15.00", at("2026-10-22 15:00"))
    world.shipped(5014, "MUG", at("2026-10-25 15:00"))
    world.shipped(5014, "CAP", at("2026-10-26 15:00"))


def _paid_on_delivery(world: RecognitionWorld) -> None:
    world.basket(5020, {"MUG": (1, "45.00")}, method="cod")
    world.shipped(5020, "MUG", at("2026-10-28 15:00"))
    world.add(
        "settlement_file.lines", gateway_id="courier_us", file_name="courier.csv", line_id="C1", has_own_id=True,
        type="Collected", category="charge", booked_at=at("2026-11-02 15:00"), currency="USD", gross=Decimal(45),
        fee=Decimal(2), net=Decimal(43), payment_id="C1", order_reference="5020", file_sha256="6" * 64, row_number=2,
    )  # fmt: skip


def _at_midnight(world: RecognitionWorld) -> None:
    # 31 October 23:30 and 1 November 00:30 in New York, still in summer time; that night the clocks go back, so that
    # 1 November 23:30 is five hours behind Greenwich.
    for order_id, moment in ((5030, "2026-11-01 03:30"), (5031, "2026-11-01 04:30"), (5032, "2026-11-02 04:30")):
        world.basket(order_id, {"MUG": (1, "10.00")})
        world.shipped(order_id, "MUG", at(moment))


def _parcels_of_unknown_contents(world: RecognitionWorld) -> None:
    for order_id, completed in ((5040, at("2026-10-26 12:00")), (5041, None)):
        parcel = {"tracking_number": "94", "date_shipped": str(int(at("2026-10-24 12:00").timestamp()))}
        meta = [{"id": 1, "key": "_wc_shipment_tracking_items", "value": [parcel]}]
        status = "completed" if completed else "processing"
        world.basket(
            order_id, {"MUG": (1, "10.00")}, meta_data=meta, date_completed_gmt=completed, status=status
        )  # fmt: skip


def _gift_cards(world: RecognitionWorld) -> None:
    # A card pays 30 of 120; another order sells a card beside a mug.
    world.basket(5060, {"MUG": (1, "100.00")}, tax="20.00", total="90.00")
    world.add(
        "woocommerce.order_gift_cards", store_id="cedar_us", order_id=5060, id=1, code="AAAA-5060", amount=Decimal(30)
    )
    world.shipped(5060, "MUG", at("2026-10-25 15:00"))
    world.add("ops.gift_card_products", store_id="cedar_us", named_by="sku", product="gift")
    world.basket(5061, {"MUG": (1, "60.00"), "GIFT": (1, "50.00")})
    world.shipped(5061, "MUG", at("2026-10-25 15:00"))


def _completed(world: RecognitionWorld) -> None:
    sold = at("2026-10-28 10:00")
    world.order(
        "linden_de:6001", "83.42", tax="11.68", shipping="5.00", currency="GBP", created=sold, transaction_id="ch_6001",
        date_completed_gmt=at("2026-11-01 23:30"),
    )  # fmt: skip
    world.charge(
        "stripe_de", "ch_6001", "100.10", currency="GBP", settled="116.50", fee="4.00", when=sold, amount_refunded=5005
    )
    world.store_refund(
        "linden_de:6901", "linden_de:6001", "50.05", when=at("2026-11-03 10:00"), gateway_refund="re_6001"
    )
    world.gateway_refund(
        "stripe_de", "re_6001", "ch_6001", "50.05", currency="GBP", settled="59.00", when=at("2026-11-03 10:00")
    )
    world.order("linden_de:6002", "60.00", created=sold, transaction_id="ch_6002", status="processing")
    world.charge("stripe_de", "ch_6002", "60.00", when=sold, fee="1.15")
    # Completed on the last evening of October by the clock of Berlin, an hour after summer time ended there.
    world.order(
        "linden_de:6003", "70.00", created=at("2026-10-25 00:30"), transaction_id="ch_6003",
        date_completed_gmt=at("2026-10-31 22:59"),
    )  # fmt: skip
    world.charge("stripe_de", "ch_6003", "70.00", when=at("2026-10-25 00:30"), fee="1.15")


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """All cases, made by the models, with all promises held."""
    warehouse = project.empty(tmp_path_factory.mktemp("recognition"))
    _play().write(warehouse)
    project.make(warehouse)
    return warehouse


def _books(built: Warehouse, order_key: str) -> list[str]:
    """The entries of an order but for those of the gateway's ledger: id, day, lines."""
    entries: dict[str, list[str]] = {}
    for entry_id, day, account, amount in built.query(
        f"""
        select entries.entry_id, entries.posting_date, lines.account_code,
            lines.base_debit_amount - lines.base_credit_amount
        from marts.acc_journal_entries as entries inner join marts.acc_journal_lines as lines using (entry_id)
        where entries.order_key = '{order_key}' and entry_type in ('sale', 'revenue', 'refund')
        order by entries.posting_date, entries.entry_type desc, entries.entry_id, lines.line_no
        """
    ):
        entries.setdefault(f"{entry_id.partition('/')[0]} {day}", []).append(f"{account} {amount.normalize():f}")
    return [f"{head}: {', '.join(lines)}" for head, lines in entries.items()]


def _deposits(built: Warehouse, order_key: str, day: str) -> Decimal:
    """What an order's customer is owed at the end of a day."""
    ((amount,),) = built.query(
        f"""
        select coalesce(sum(lines.base_credit_amount - lines.base_debit_amount), 0)
        from marts.acc_journal_entries as entries inner join marts.acc_journal_lines as lines using (entry_id)
        where entries.order_key = '{order_key}' and account_role = 'customer_deposits' and posting_date <= '{day}'
        """
    )
    return amount


def test_what_is_not_shipped_at_month_end_is_a_deposit(built: Warehouse) -> None:
    """Revenue of October for goods that left in November, or tax that waits although the money came."""
    assert _books(built, "cedar_us:5001") == [
        "sale 2026-10-30: 1100 115.38, 2170 -106.5, 2201 -8.88",
        "revenue 2026-11-02: 2170 106.5, 4000 -100, 4100 -6.5",
    ]
    assert _deposits(built, "cedar_us:5001", "2026-10-31") == Decimal("106.5")
    assert _deposits(built, "cedar_us:5001", "2026-11-30") == 0
    assert _books(built, "cedar_us:5002") == ["sale 2026-10-30: 1100 45, 2170 -45"]


def test_only_the_shipped_part_is_revenue(built: Warehouse) -> None:
    """A parcel that two systems report counted twice, or a whole order recognised with its first parcel."""
    assert _books(built, "cedar_us:5003") == [
        "sale 2026-10-20: 1100 121, 2170 -110, 2201 -11",
        "revenue 2026-10-25: 2170 66, 4000 -60, 4100 -6",
        "revenue 2026-11-03: 2170 44, 4000 -40, 4100 -4",
    ]


def test_the_system_that_knows_of_most_pieces_counts(built: Warehouse) -> None:
    """Pieces of two systems added up, more recognised than was ordered, or cents lost between the parts."""
    assert _books(built, "cedar_us:5004") == [
        "sale 2026-10-20: 1100 100, 2170 -100",
        "revenue 2026-10-26: 2170 100, 4000 -100",
    ]
    assert _books(built, "cedar_us:5006")[1:] == [
        "revenue 2026-10-25: 2170 33.33, 4000 -33.33",
        "revenue 2026-10-27: 2170 66.67, 4000 -66.67",
    ]
    assert _books(built, "cedar_us:5005")[1:] == ["revenue 2026-10-25: 2170 50, 4000 -50"]


def test_a_refund_after_shipment_is_a_return(built: Warehouse) -> None:
    """A return that is taken out of a deposit which is revenue already."""
    assert _books(built, "cedar_us:5010")[1:] == [
        "revenue 2026-10-25: 2170 100, 4000 -100",
        "refund 2026-10-28: 4200 100, 2201 8, 1100 -108",
    ]


def test_a_refund_before_shipment_comes_out_of_the_deposit(built: Warehouse) -> None:
    """A return of goods that were never sold, or a deposit that stays for ever."""
    assert _books(built, "cedar_us:5011") == [
        "sale 2026-10-20: 1100 108, 2170 -100, 2201 -8",
        "refund 2026-10-28: 2201 8, 1100 -108, 2170 100",
    ]
    # What remains of the shipping is earned once nothing is left to ship.
    assert _books(built, "cedar_us:5012")[1:] == [
        "revenue 2026-10-25: 2170 66, 4000 -60, 4100 -6",
        "revenue 2026-10-28: 2170 4, 4100 -4",
        "refund 2026-10-28: 2201 4, 1100 -44, 2170 40",
    ]


def test_a_refund_is_of_the_article_it_names(built: Warehouse) -> None:
    """The deposit of a cap used up by the return of a mug."""
    assert _books(built, "cedar_us:5013")[1:] == [
        "revenue 2026-10-25: 2170 60, 4000 -60",
        "refund 2026-10-28: 4200 60, 1100 -60",
        "revenue 2026-11-02: 2170 40, 4000 -40",
    ]
    assert _books(built, "cedar_us:5014")[1:] == [
        "refund 2026-10-22: 1100 -15, 2170 15",
        "revenue 2026-10-25: 2170 60, 4000 -60",
        "revenue 2026-10-26: 2170 25, 4000 -25",
    ]


def test_cash_on_delivery_is_revenue_when_it_is_collected(built: Warehouse) -> None:
    """Revenue on the day of shipment from a customer who may still refuse the parcel."""
    assert _books(built, "cedar_us:5020") == [
        "sale 2026-11-02: 1100 45, 2170 -45",
        "revenue 2026-11-02: 2170 45, 4000 -45",
    ]


@pytest.mark.parametrize(("order_id", "day"), [(5030, "2026-10-31"), (5031, "2026-11-01"), (5032, "2026-11-01")])
def test_the_day_is_that_of_the_books(built: Warehouse, order_id: int, day: str) -> None:
    """A cut-off at Greenwich, or an hour off after the clocks went back."""
    assert _books(built, f"cedar_us:{order_id}")[1:] == [f"revenue {day}: 2170 10, 4000 -10"]


def test_a_parcel_of_unknown_contents_counts_once_the_order_is_completed(built: Warehouse) -> None:
    """A tracking number alone taken for the whole order, or an order that is never earned."""
    assert _books(built, "cedar_us:5040")[1:] == ["revenue 2026-10-26: 2170 10, 4000 -10"]
    assert _books(built, "cedar_us:5041")[1:] == []


def test_completion_makes_revenue_at_the_rate_of_the_deposit(built: Warehouse) -> None:
    """A gain or loss on money that was there already, or November's rate on October's deposit."""
    assert _books(built, "linden_de:6001") == [
        "sale 2026-10-28: 1100 115.12, 2170 -101.68, 2210 -13.43, 6910 -0.01",
        "revenue 2026-11-02: 2170 101.68, 4000 -95.93, 4100 -5.75",
        "refund 2026-11-03: 4200 57.56, 1100 -57.56",
    ]
    assert _books(built, "linden_de:6002") == ["sale 2026-10-28: 1100 60, 2170 -60"]
    assert _books(built, "linden_de:6003")[1:] == ["revenue 2026-10-31: 2170 70, 4000 -70"]


def test_gift_cards_are_no_deposits(built: Warehouse) -> None:
    """A card that waits for a parcel, or a deposit of what a card has paid that is never earned."""
    assert _books(built, "cedar_us:5060") == [
        "sale 2026-10-20: 1100 90, 2170 -100, 2201 -20, 2150 30",
        "revenue 2026-10-25: 2170 100, 4000 -100",
    ]
    assert _books(built, "cedar_us:5061") == [
        "sale 2026-10-20: 1100 110, 2170 -60, 2150 -50",
        "revenue 2026-10-25: 2170 60, 4000 -60",
    ]


def test_capture_is_what_it_was(built: Warehouse) -> None:
    """An entity of another policy in whose books a deposit appears."""
    assert _books(built, "aoi_jp:7001") == ["sale 2026-10-21: 1100 9573, 4000 -8703, 2220 -870"]


def test_money_at_the_gateways_knows_no_policy(built: Warehouse) -> None:
    """A clearing account or a customer's account that depends on when revenue is recognised."""
    assert built.query("select gateway_id from marts.rec_clearing where difference_amount <> 0") == []
    assert built.query(
        """
        select entries.order_key, sum(lines.base_debit_amount - lines.base_credit_amount)
        from marts.acc_journal_entries as entries inner join marts.acc_journal_lines as lines using (entry_id)
        where account_role = 'receivables' and order_key <> 'cedar_us:5050'
        group by all having sum(base_debit_amount - base_credit_amount) <> 0
        """
    ) == []  # fmt: skip


def test_every_entry_names_what_justifies_it(built: Warehouse) -> None:
    """Revenue without a shipment behind it, or one that cannot be traced to the warehouse's file."""
    events = {
        entry: (event, json.loads(why))
        for entry, event, why in built.query("select entry_id, event_type, justified_by from marts.acc_events")
    }
    assert events["revenue/cedar_us:5003/2026-10-25"] == (
        "goods_shipped",
        ["order:cedar_us:5003", "capture:stripe_us:ch_5003", "shipment:provider:lager:S5003MUG"],
    )
    assert events["revenue/linden_de:6003/2026-10-31"] == (
        "order_completed", ["order:linden_de:6003", "capture:stripe_de:ch_6003", "completion:linden_de:6003"],
    )  # fmt: skip
    assert events["revenue/cedar_us:5012/2026-10-28"][1][2:] == ["refund:cedar_us:9012"]
    assert built.query(
        """
        select distinct source_system, source_table, source_key from marts.acc_journal_line_sources
        where entry_id = 'revenue/cedar_us:5003/2026-10-25' order by all
        """
    ) == [("fulfilment", "shipments", "lager:S5003MUG"), ("woocommerce", "orders", "cedar_us:5003")]  # fmt: skip
    assert built.query(
        "select source_key from marts.acc_journal_line_sources where payload_sha256 is null and event_id like 'goods%'"
    ) == []  # fmt: skip


# --- any order of shipments and refunds ---

_MANY: Final = 500
_CENT: Final = Decimal("0.01")


class _Clerk:
    """Moves the deposit of one order event by event, as somebody with a ledger card would."""

    def __init__(self, revenue: Decimal, shipping: Decimal, weights: dict[str, Decimal]) -> None:
        self.deposit, self.weights = revenue + shipping, weights
        self.undelivered = dict(weights)
        self.given_up = self.released = self.returned = Decimal()

    def _earned(self) -> Decimal:
        whole = sum(self.weights.values(), Decimal())
        delivered = whole - sum(self.undelivered.values(), Decimal())
        share = (self.deposit * delivered / whole).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        return share.quantize(_CENT, ROUND_HALF_UP)

    def _settle(self) -> None:
        still_to_come = sum(self.undelivered.values(), Decimal()) - self.given_up
        earned = self._earned() if still_to_come > 0 else self.deposit
        self.released = min(earned, self.deposit - self.returned)

    def deliver(self, article: str, weight: Decimal) -> None:
        self.undelivered[article] -= weight
        self._settle()

    def refund(self, amount: Decimal, article: str | None) -> None:
        eligible = amount
        if article:
            eligible = min(amount, self.undelivered[article])
            self.given_up += eligible
        left = self.deposit - self._earned() - self.returned
        self.returned += min(eligible, max(left, Decimal()))
        self._settle()


def test_deposits_move_as_a_clerk_would_move_them(built: Warehouse, tmp_path: Path) -> None:
    """A deposit that is used up twice, or never, when shipments and refunds come in an order that nobody thought of."""
    chance = random.Random(11)
    rows: dict[str, list[dict[str, Any]]] = {"sales": [], "goods": [], "refunds": [], "lines": []}
    expected: dict[tuple[str, date, str | None], tuple[Decimal, Decimal]] = {}
    for number in range(_MANY):
        key = f"s:{number}"
        weights = {f"A{place}": _cents(chance, 1, 9000) for place in range(chance.randint(1, 3))}
        revenue = sum(weights.values(), Decimal()) - chance.choice([Decimal(0), _CENT, Decimal("0.37")])
        shipping = chance.choice([Decimal(0), _cents(chance, 1, 1500)])
        clerk = _Clerk(max(revenue, _CENT), shipping, weights)
        rows["sales"].append(
            {"order_key": key, "revenue_amount": clerk.deposit - shipping, "shipping_amount": shipping}
        )
        undelivered = dict(weights)
        whole = sum(weights.values(), Decimal())
        for day in range(1, chance.randint(2, 9)):
            happened_on = date(2026, 10, day)
            before = (clerk.released, clerk.returned)
            for article in chance.sample(sorted(weights), chance.randint(0, len(weights))):
                weight = chance.choice([undelivered[article], _part(chance, undelivered[article])])
                if weight:
                    undelivered[article] -= weight
                    clerk.deliver(article, weight)
                    rows["goods"].append({
                        "order_key": key, "article": article, "delivered_on": happened_on, "delivered_weight": weight,
                        "article_weight": weights[article], "order_weight": whole,
                    })  # fmt: skip
                    moved = (clerk.returned - before[1], clerk.released - before[0])
                    expected[key, happened_on, None] = moved
            for place in range(chance.choice([0, 0, 0, 1, 2])):
                before = (clerk.released, clerk.returned)
                refund, article = f"{key}:{day}:{place}", chance.choice([None, *sorted(weights)])
                amount = _cents(chance, 1, 6000)
                clerk.refund(amount, article)
                rows["refunds"].append({"refund_key": refund, "order_key": key, "posting_date": happened_on,
                                        "tax_split": "none", "receivable_amount": amount})  # fmt: skip
                if article:
                    rows["lines"].append({"refund_key": refund, "sku": article, "net_amount": -amount})
                expected[key, happened_on, refund] = (clerk.returned - before[1], clerk.released - before[0])
        for article, weight in weights.items():
            rows["goods"].append({"order_key": key, "article": article, "delivered_on": None, "delivered_weight": 0,
                                  "article_weight": weight, "order_weight": whole})  # fmt: skip
    found = _deposits_moved(built, tmp_path, rows)
    assert len(found) > _MANY
    assert found == expected


def _cents(chance: random.Random, least: int, most: int) -> Decimal:
    return Decimal(chance.randint(least, most)) * _CENT


def _part(chance: random.Random, weight: Decimal) -> Decimal:
    return (weight * chance.randint(0, 100) / 100).quantize(_CENT)


def _deposits_moved(
    built: Warehouse, home: Path, rows: dict[str, list[dict[str, Any]]]
) -> dict[tuple[str, date, str | None], tuple[Decimal, Decimal]]:
    """What the model makes of these rows: returned and released, by order, day and refund."""
    nodes = json.loads((built.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    everywhere = {
        "sales": ("intermediate.int_sales_recognised", {"revenue_recognition": "shipment", "exchange_rate": 1,
                                                        "base_digits": 2, "currency_digits": 2}),
        "goods": ("intermediate.int_goods_delivered", {}),
        "refunds": ("intermediate.int_refunds_recognised", {"currency_digits": 2, "tips_amount": 0,
                                                            "gift_cards_sold_amount": 0}),
        "lines": ("staging.stg_woocommerce__refund_lines", {}),
    }  # fmt: skip
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute("create schema staging")
        connection.execute("create schema intermediate")
        connection.execute(
            "create table intermediate.int_tax_split_by_jurisdiction "
            "(subject text, subject_key text, tax_jurisdiction text, tax_amount decimal(18, 4))"
        )
        for name, (relation, same) in everywhere.items():
            columns = built.query(
                "select column_name, data_type from information_schema.columns "
                f"where table_schema || '.' || table_name = '{relation}' order by ordinal_position"
            )
            connection.execute(f"create table {relation} ({', '.join(f'{column} {kind}' for column, kind in columns)})")
            values = [[(row | same).get(column) for row in rows[name]] for column, _ in columns]
            connection.execute(f"insert into {relation} select {', '.join('unnest(?)' for _ in columns)}", values)
        moved = connection.execute(nodes["model.retail.int_deposits_moved"]["compiled_code"]).fetchall()
    return {(order, day, refund): (returned, released) for order, day, refund, returned, _, released, *_ in moved}


# --- what is posted: entries one by one, or sums ---

_SUM_UP: Final = "update raw_ops.entities set posting = 'summary' where entity_code = 'US'"
_SALES: Final = "summary:US:2026-10-20:cedar_us:stripe_us:USD:sale"


@pytest.fixture(scope="module")
def summed(built: Warehouse, project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The same evidence, but the American entity posts summaries."""
    return project.build(built, tmp_path_factory.mktemp("summed"), _SUM_UP)


def _ledger(warehouse: Warehouse) -> list[LedgerEntry]:
    return read_ledger(
        warehouse.rows("from marts.acc_journal_entries"), warehouse.rows("from marts.acc_journal_lines")
    )  # fmt: skip


def test_summaries_come_to_what_the_lines_come_to(built: Warehouse, summed: Warehouse) -> None:
    """A cent, a side or a day that differs between the two ways of posting."""
    totals = """
        select entity_code, account_code, currency_code, posting_date, sum(debit_amount), sum(credit_amount),
            sum(base_debit_amount), sum(base_credit_amount)
        from marts.acc_journal_lines inner join marts.acc_journal_entries using (entry_id, entity_code)
        group by all order by all
    """
    assert summed.query(totals) == built.query(totals)
    assert {entry.status for entry in _ledger(summed) if entry.entry_id.startswith("summary:")} == {"ready"}
    assert len(_ledger(summed)) < len(_ledger(built))
    kinds = "select distinct entity_code, entry_type from marts.acc_journal_entries where {} order by all"
    assert summed.query(kinds.format("entry_id like 'summary:%'")) == [
        ("US", "refund"), ("US", "revenue"), ("US", "sale"), ("US", "settlement_line")
    ]  # fmt: skip
    assert summed.query(kinds.format("entry_id not like 'summary:%' and posting_status = 'ready'")) == [
        ("DE", "refund"), ("DE", "revenue"), ("DE", "sale"), ("DE", "settlement_line"),
        ("JP", "sale"), ("JP", "settlement_line"),
    ]  # fmt: skip


def test_what_is_held_is_in_no_summary(built: Warehouse, summed: Warehouse) -> None:
    """A doubtful sale that is posted because it hides in a sum."""
    held = "select entry_id, hold_reason from marts.acc_journal_entries where posting_status = 'held' order by all"
    assert summed.query(held) == built.query(held)
    assert "sale/cedar_us:5050" in {entry for entry, _ in summed.query(held)}
    summarised = summed.query(f"select source_key from marts.acc_journal_line_sources where entry_id = '{_SALES}'")
    assert ("cedar_us:5003",) in summarised
    assert ("cedar_us:5050",) not in summarised


def test_summaries_drill_both_ways(built: Warehouse, summed: Warehouse) -> None:
    """A sum of which nobody can tell what is in it, or a record that is in no sum."""
    sources = "select distinct event_id, source_system, source_table, source_key, payload_sha256 {} order by all"
    everything = sources.format("from marts.acc_journal_line_sources")
    assert summed.query(everything) == built.query(everything)
    orders = summed.query(
        f"""
        select distinct source_key from marts.acc_journal_line_sources
        where entry_id = '{_SALES}' and source_table = 'orders' order by all
        """
    )
    assert [key for (key,) in orders] == [
        key
        for (key,) in built.query(
            """
            select order_key from marts.acc_journal_entries
            where
                entry_type = 'sale' and posting_date = '2026-10-20' and order_key like 'cedar%'
                and posting_status = 'ready'
            order by order_key
            """
        )
    ]
    assert summed.query(
        """
        select distinct entry_id from marts.acc_journal_line_sources
        where source_key = 'cedar_us:5003' and entry_id like '%sale'
        """
    ) == [(_SALES,)]
    events = "select event_id, justified_by from marts.acc_events order by all"
    assert summed.query(events) == built.query(events)


def test_summaries_keep_every_promise(summed: Warehouse, project: Compiled) -> None:
    """A data test of the marts that only holds for entries posted one by one."""
    about = {name: sql for name, sql in project.promises.items() if "journal" in name or "acc_" in name}
    assert len(about) > 10
    assert {name: rows for name, sql in about.items() if (rows := summed.query(sql))} == {}


def test_a_decision_changes_the_posted_summary(
    built: Warehouse, summed: Warehouse, project: Compiled, tmp_path: Path
) -> None:
    """A sale that is decided after its day was posted: it joins by a reversal and a new revision of the sum, and moves
    no more than itself."""
    books = Books("US", "erp_main", "Cedar & Pine LLC", "USD")
    first = plan_entity(books, _ledger(summed), [])
    decided = project.build(
        built,
        tmp_path / "decided",
        _SUM_UP,
        "update raw_stripe.charges set amount_captured = 5000 where id = 'ch_5050'",
        "update raw_stripe.balance_transactions set amount = 5000, net = 4900 where id = 'txn_ch_5050'",
    )
    second = plan_entity(books, _ledger(decided), carried_out(first))
    assert _SALES in second.changed
    assert [(item.kind, item.posting_key) for item in second.items if item.entry_id == _SALES] == [
        ("reversal", f"{_SALES}#1!reversal"), ("entry", f"{_SALES}#2")
    ]  # fmt: skip
    moved = {total.account_code: total.debit - total.credit for total in second.totals()}
    assert (moved["2170"], moved["1100"]) == (Decimal(-50), Decimal(0))


# --- the chart ---


def test_an_account_that_the_erp_lacks_is_an_exception(built: Warehouse, project: Compiled, tmp_path: Path) -> None:
    """An entry that the ERP refuses at posting time, although its chart was there to see; or, where no chart is loaded,
    an alarm about every account."""
    chart = """
        insert into raw_erp.accounts by name
        select distinct 'erp_main' as erp_id, 'Lindenhof GmbH' as company, account_code as id, account_code as code,
            account_code as name, false as is_group, account_code = '4100' as is_disabled, '2026-01-01' as modified,
            '{}' as _payload, repeat('0', 64) as _payload_sha256, now() as _loaded_at
        from staging.account_mapping where entity_code = 'DE' and account_code <> '4000'
    """
    checked = project.build(built, tmp_path / "checked", chart)
    found = {
        exception: json.loads(evidence)["problem"]
        for exception, evidence in checked.query(
            """
            select exception_id, evidence from marts.rec_exceptions
            where exception_type = 'unmapped_account' and gateway_id is null
            """
        )
    }
    assert found == {
        "unmapped_account:DE:revenue": "the ERP has no account 4000",
        "unmapped_account:DE:shipping_income": "account 4100 is closed at the ERP",
    }
    held = (
        "select entry_id from marts.acc_journal_entries where entity_code = 'DE' and posting_status = 'held' order by 1"
    )
    assert [entry.partition("/")[0] for (entry,) in checked.query(held)] == ["revenue", "revenue"]
    assert built.query(held) == []


# --- classes of goods and cost centres ---

_CLASSES: Final = (
    "insert into staging.product_classes values (1, null, 'MUG*', 'mugs'), (2, 'cedar_us', 'CAP', 'caps')",
    """
    insert into staging.cost_centres values
        (1, 'US', null, 'revenue', 'mugs', 'Mugs - CP'), (2, null, 'cedar_us', 'revenue', null, 'Shop - CP')
    """,
)


def _roles(built: Warehouse) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What each entry moves by role and currency."""
    return {
        (entry, role, currency): tuple(amounts)
        for entry, role, currency, *amounts in built.query(
            """
            select entry_id, account_role, currency_code, sum(debit_amount - credit_amount),
                sum(base_debit_amount - base_credit_amount)
            from marts.acc_journal_lines group by all
            """
        )
    }


def test_goods_of_a_class_have_accounts_and_cost_centres_of_their_own(
    built: Warehouse, project: Compiled, tmp_path: Path
) -> None:
    """Revenue that was lost, doubled or rounded away on its way into classes; a class or a centre that never arrived; a
    class without an account that went to another's."""
    only = """
        update staging.account_mapping set product_class = 'mugs', account_code = '4010'
        where entity_code = 'US' and account_role = 'revenue'
    """
    classed = project.build(built, tmp_path / "classed", *_CLASSES, only)
    about = {name: sql for name, sql in project.promises.items() if "journal_lines" in name or "classed" in name}
    assert {name: rows for name, sql in about.items() if (rows := classed.query(sql))} == {}
    assert _roles(classed) == _roles(built)
    assert _books(classed, "cedar_us:5003")[1:] == [
        "revenue 2026-10-25: 2170 66, 4010 -60, 4100 -6",
        "revenue 2026-11-03: 2170 44, None -40, 4100 -4",
    ]
    assert set(
        classed.query(
            """
            select distinct store_id, product_class, cost_centre, account_code from marts.acc_journal_lines
            where entity_code = 'US' and (account_role = 'revenue' or cost_centre is not null)
            """
        )
    ) == {
        ("cedar_us", "mugs", "Mugs - CP", "4010"),
        ("cedar_us", "caps", "Shop - CP", None),
        ("cedar_us", None, "Shop - CP", None),
    }
    assert classed.query(
        "select held_by_exception_id from marts.acc_journal_entries where entry_id = 'revenue/cedar_us:5003/2026-11-03'"
    ) == [("unmapped_account:US:revenue:caps",)]
    assert classed.query(
        "select count(*) from marts.rec_exceptions where exception_id = 'unmapped_account:US:revenue:caps'"
    ) == [(1,)]
    entries = {entry.entry_id: entry for entry in _ledger(classed)}
    revenue = entries["revenue/cedar_us:5003/2026-10-25"]
    assert [line.cost_centre for line in revenue.lines] == ["", "Mugs - CP", ""]
    assert revenue.content_hash != {entry.entry_id: entry for entry in _ledger(built)}[revenue.entry_id].content_hash


# --- what a decision does, shown beforehand ---


def test_policy_check_shows_what_the_models_would_post(built: Warehouse) -> None:
    """A decision explained by other rules than those that post, or a warehouse that looking at it has changed."""
    (built.home / "dbt" / "run").mkdir(exist_ok=True)
    shutil.copy(built.home / "dbt" / "manifest.json", built.home / "dbt" / "run")
    before = built.path.read_bytes()
    # The configuration says capture; the warehouse was built with shipment.
    settings = load_settings({"RETAIL_HOME": str(built.home), "SANDBOX_URL": "http://127.0.0.1:1"})
    found = explained(settings, "US")
    assert built.path.read_bytes() == before
    assert {setting["name"]: setting["value"] for setting in found["settings"]}["revenue_recognition"] == "capture"
    assert all(setting["meaning"] or setting["about"] for setting in found["settings"])
    assert [order["situation"] for order in found["orders"]][:1] == ["refunded"]
    for order in found["orders"]:
        assert not [line for entry in order["entries"] for line in entry["lines"] if line["account_code"] == "2170"]
        (shipment,) = [one for one in order["instead"] if one["value"] == "shipment"]
        assert f"sale/{order['order_key']}" in {entry["entry_id"] for entry in shipment["comes"]}
        for entry in shipment["comes"]:
            assert [
                (line["account_code"], line["base_debit_amount"], line["base_credit_amount"]) for line in entry["lines"]
            ] == built.query(
                f"""
                select account_code, base_debit_amount, base_credit_amount from marts.acc_journal_lines
                where entry_id = '{entry["entry_id"]}' order by line_no
                """
            )
        (summary,) = [one for one in order["instead"] if one["value"] == "summary"]
        assert {entry["entry_id"].partition(":")[0] for entry in summary["comes"]} == {"summary"}
