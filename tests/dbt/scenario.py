"""The events of the scenario test: one of each kind, on three stores, in October and November 2026."""

from tests.dbt.world import World, at

OCT_20 = at("2026-10-20 15:00")
OLD = at("2026-10-22 15:00")


def play() -> World:
    """The whole scenario."""
    world = World()
    _ordinary_orders(world)
    _orders_without_money(world)
    _doubtful_payments(world)
    _refunds(world)
    _disputes(world)
    _odd_lines(world)
    _germany(world)
    _japan(world)
    _payouts_and_banks(world)
    _bad_records(world)
    return world


def _ordinary_orders(world: World) -> None:
    world.order(
        "cedar_us:1001", "100.00", tax="8.88", shipping="6.50", fee="-5.00", discount="10.00", created=OCT_20,
        transaction_id="ch_1001",
    )  # fmt: skip
    world.charge("stripe_us", "ch_1001", "110.38", when=OCT_20, fee="3.50")
    # Booked on 1 November at Greenwich, on 31 October in New York; paid out in November.
    world.order("cedar_us:1009", "70.00", created=at("2026-11-01 03:25"), transaction_id="ch_1009")
    world.charge("stripe_us", "ch_1009", "70.00", when=at("2026-11-01 03:30"), fee="2.33")
    # A cent more than the order: within tolerance.
    world.order("cedar_us:1030", "20.00", created=OLD, transaction_id="ch_1030")
    world.charge("stripe_us", "ch_1030", "20.01", when=OLD, fee="0.88")
    # Authorised 120, captured 90, as older API versions book it: the whole and a part of it back.
    world.order("cedar_us:1020", "90.00", created=OLD, transaction_id="ch_1020")
    world.charge("stripe_us", "ch_1020", "120.00", when=OLD, fee="2.91", captured="90.00", settled="120.00")
    world.add(
        "stripe.refunds", gateway_id="stripe_us", id="re_part", amount=3000, currency="usd", charge="ch_1020",
        status="succeeded", created=int(OLD.timestamp()),
    )  # fmt: skip
    world.line(
        "stripe_us", "txn_part", "-30.00", "partial_capture_reversal", source="re_part", when=OLD, type_="refund"
    )
    world.order("cedar_us:1022", "50.00", tax="3.42", tax_code="US-NV-TAX-1", created=OLD, transaction_id="ch_1022")
    world.charge("stripe_us", "ch_1022", "53.42", when=OLD, fee="1.85")


def _orders_without_money(world: World) -> None:
    world.order("cedar_us:1002", "45.00", created=OLD)
    world.order("cedar_us:1019", "45.00", created=at("2026-11-04 18:00"))
    world.order("cedar_us:1010", "0.00", discount="45.00", method="", created=OLD)
    world.order("cedar_us:1011", "45.00", method="cod", created=OLD)
    for order_id, status in (
        (1012, "pending"),
        (1013, "cancelled"),
        (1014, "trash"),
        (1024, "failed"),
        (1025, "on-hold"),
    ):
        world.order(f"cedar_us:{order_id}", "45.00", status=status, created=OLD, paid=False)
    # A declined attempt moves no money.
    world.add(
        "stripe.charges", gateway_id="stripe_us", id="ch_failed", amount=4500, amount_captured=0, currency="usd",
        status="failed", captured=False, livemode=True, created=int(OLD.timestamp()), failure_code="card_declined",
        metadata_order_key="wc_order_cedar_us_1024",
    )  # fmt: skip


def _doubtful_payments(world: World) -> None:
    world.order("cedar_us:1003", "50.00", created=OCT_20, transaction_id="ch_1003")
    world.charge("stripe_us", "ch_1003", "56.00", when=OCT_20, fee="1.92")
    world.order("cedar_us:1004", "30.00", created=OCT_20, transaction_id="ch_1004")
    world.charge("stripe_us", "ch_1004", "30.00", when=OCT_20, fee="1.17")
    world.charge("stripe_us", "ch_1004b", "30.00", when=OCT_20, fee="1.17", metadata_order_key="wc_order_cedar_us_1004")
    # Captured, but the store cancelled it without ever seeing the payment.
    world.order("cedar_us:1021", "44.00", status="cancelled", paid=False, created=OLD, transaction_id="ch_1021")
    world.charge("stripe_us", "ch_1021", "44.00", when=OLD, fee="1.58")
    # Two charges name one order and neither is its transaction: nobody can tell which.
    world.order("cedar_us:1023", "60.00", created=OLD)
    for charge in ("ch_1023", "ch_1023b"):
        world.charge("stripe_us", charge, "60.00", when=OLD, fee="2.04", metadata_order_key="wc_order_cedar_us_1023")
    # A staging copy of the shop took live money for a number that the real shop uses as well.
    world.charge(
        "stripe_us", "ch_staging", "12.00", when=OLD, fee="0.65", metadata_order_id="1010",
        metadata_site_url="https://staging.example",
    )  # fmt: skip
    world.charge("stripe_us", "ch_young", "13.00", when=at("2026-11-04 20:00"), fee="0.68", metadata_order_id="9998")
    world.add(
        "stripe.charges", gateway_id="stripe_us", id="ch_test", amount=4500, amount_captured=4500, currency="usd",
        status="succeeded", captured=True, livemode=False, created=int(OLD.timestamp()),
        metadata_order_key="wc_order_cedar_us_1002",
    )  # fmt: skip
    # The store says 100 + 9, the total says 110.
    world.order("cedar_us:1018", "100.00", tax="9.00", total="110.00", created=OLD, transaction_id="ch_1018")
    world.charge("stripe_us", "ch_1018", "110.00", when=OLD, fee="3.49")


def _refunds(world: World) -> None:
    world.order("cedar_us:1005", "40.00", tax="3.55", status="refunded", created=OCT_20, transaction_id="ch_1005")
    world.charge("stripe_us", "ch_1005", "43.55", when=OCT_20, fee="1.56", amount_refunded=4355)
    world.store_refund(
        "cedar_us:2905", "cedar_us:1005", "43.55", tax="3.55", when=at("2026-10-21 10:00"), gateway_refund="re_1005"
    )
    world.gateway_refund("stripe_us", "re_1005", "ch_1005", "43.55", when=at("2026-10-21 10:00"))
    # A bare amount, refunded on 1 November in Greenwich and on 31 October in New York; paid out later than its charge.
    world.order("cedar_us:1006", "80.00", tax="7.10", created=OCT_20, transaction_id="ch_1006")
    world.charge("stripe_us", "ch_1006", "87.10", when=OCT_20, fee="2.83", amount_refunded=1000)
    world.store_refund("cedar_us:2906", "cedar_us:1006", "10.00", when=at("2026-11-01 02:00"))
    world.gateway_refund("stripe_us", "re_1006", "ch_1006", "10.00", when=at("2026-11-01 02:00"))
    world.order("cedar_us:1015", "25.00", created=OCT_20, transaction_id="ch_1015")
    world.charge("stripe_us", "ch_1015", "25.00", when=OCT_20, fee="1.03")
    world.store_refund("cedar_us:2915", "cedar_us:1015", "25.00", when=OLD)
    world.order("cedar_us:1016", "25.00", created=OCT_20, transaction_id="ch_1016")
    world.charge("stripe_us", "ch_1016", "25.00", when=OCT_20, fee="1.03", amount_refunded=500)
    world.gateway_refund("stripe_us", "re_1016", "ch_1016", "5.00", when=OLD)
    world.order("cedar_us:1017", "25.00", created=OCT_20, transaction_id="ch_1017")
    world.charge("stripe_us", "ch_1017", "25.00", when=OCT_20, fee="1.03")
    world.store_refund("cedar_us:2917", "cedar_us:1017", "25.00", when=OLD, gateway_refund="re_1017")
    world.gateway_refund("stripe_us", "re_1017", "ch_1017", "25.00", when=OLD, status="failed")
    world.line(
        "stripe_us", "txn_re_1017_back", "25.00", "refund_failure", source="re_1017", when=at("2026-10-24 10:00")
    )
    # Refunded this morning in the store, not yet at the gateway.
    world.order("cedar_us:1026", "25.00", created=OCT_20, transaction_id="ch_1026")
    world.charge("stripe_us", "ch_1026", "25.00", when=OCT_20, fee="1.03")
    world.store_refund("cedar_us:2926", "cedar_us:1026", "5.00", when=at("2026-11-05 09:00"))
    # Paid in cash and given back in cash.
    world.store_refund("cedar_us:2911", "cedar_us:1011", "45.00", when=OLD)


def _disputes(world: World) -> None:
    for order_id in (1007, 1008, 1027):
        world.order(f"cedar_us:{order_id}", "35.00", created=OCT_20, transaction_id=f"ch_{order_id}")
    world.charge("stripe_us", "ch_1007", "35.00", when=OCT_20, fee="1.32", disputed=True)
    world.dispute(
        "stripe_us", "dp_1007", "ch_1007", "35.00", when=at("2026-10-30 09:00"), fee="15.00", status="needs_response"
    )
    world.charge("stripe_us", "ch_1008", "35.00", when=OCT_20, fee="1.32", disputed=True)
    world.dispute("stripe_us", "dp_1008", "ch_1008", "35.00", when=at("2026-10-23 09:00"), fee="15.00", status="won")
    world.line(
        "stripe_us", "txn_dp_1008_back", "35.00", "dispute_reversal", source="dp_1008", when=at("2026-10-30 09:00"),
        type_="adjustment",
    )  # fmt: skip
    # Refunded first, disputed all the same.
    world.charge("stripe_us", "ch_1027", "35.00", when=OCT_20, fee="1.32", disputed=True, amount_refunded=3500)
    world.store_refund("cedar_us:2927", "cedar_us:1027", "35.00", when=OLD, gateway_refund="re_1027")
    world.gateway_refund("stripe_us", "re_1027", "ch_1027", "35.00", when=OLD)
    world.dispute(
        "stripe_us", "dp_1027", "ch_1027", "35.00", when=at("2026-10-28 09:00"), fee="15.00", status="under_review"
    )


def _odd_lines(world: World) -> None:
    world.line("stripe_us", "txn_radar", "-7.00", "fee", when=OCT_20, type_="stripe_fee")
    world.line("stripe_us", "txn_hold", "-25.00", "risk_reserved_funds", when=OCT_20, type_="reserve_hold")
    world.line("stripe_us", "txn_levy", "-4.00", "hologram_levy", when=OCT_20)


def _germany(world: World) -> None:
    intent = [{"id": 9, "key": "_stripe_intent_id", "value": "pi_ch_2001"}]
    world.order("linden_de:2001", "100.00", tax="19.00", created=OCT_20, meta_data=intent)
    world.charge("stripe_de", "ch_2001", "119.00", when=OCT_20, fee="2.04")
    world.order(
        "linden_de:2002", "83.42", tax="11.68", shipping="5.00", currency="GBP", created=at("2026-10-28 10:00"),
        transaction_id="ch_2002",
    )  # fmt: skip
    world.charge(
        "stripe_de", "ch_2002", "100.10", currency="GBP", settled="116.50", fee="4.00", when=at("2026-10-28 10:00"),
        amount_refunded=5005,
    )  # fmt: skip
    world.store_refund(
        "linden_de:2902", "linden_de:2002", "50.05", when=at("2026-11-02 10:00"), gateway_refund="re_2002"
    )
    world.gateway_refund(
        "stripe_de", "re_2002", "ch_2002", "50.05", currency="GBP", settled="59.00", when=at("2026-11-02 10:00")
    )
    world.order("linden_de:2003", "40.00", created=OLD, transaction_id="ch_2003")
    world.charge("stripe_de", "ch_2003", "40.00", currency="GBP", settled="46.00", fee="1.00", when=OLD)
    world.order("linden_de:2004", "60.00", created=OLD)
    world.charge("stripe_de", "ch_2004", "60.00", when=OLD, fee="1.15", metadata_merchant_reference="LH-2004")
    world.order("linden_de:2005", "61.00", created=OLD)
    world.charge("stripe_de", "ch_2005", "61.00", when=OLD, fee="1.17", description="Lindenhof - Order 2005")


def _japan(world: World) -> None:
    # The shop keeps two decimals, the yen has none.
    world.order("aoi_jp:3001", "8703.00", tax="870.30", created=at("2026-10-31 15:20"), transaction_id="ch_3001")
    world.charge("stripe_jp", "ch_3001", "9573", when=at("2026-10-31 15:30"), fee="345")
    # Sequential numbers: the number of one order is the id of another.
    world.order("aoi_jp:3050", "5000.00", number="3060", created=OLD)
    world.order("aoi_jp:3060", "5000.00", number="3070", created=OLD)
    world.charge("stripe_jp", "ch_3050", "5000", when=OLD, fee="180", metadata_order_id="3060")
    world.charge("stripe_jp", "ch_3060", "5000", when=OLD, fee="180", metadata_order_id="3070")


def _payouts_and_banks(world: World) -> None:
    first = [
        "txn_ch_1001", "txn_ch_1003", "txn_ch_1004", "txn_ch_1004b", "txn_ch_1005", "txn_re_1005", "txn_ch_1006",
        "txn_radar", "txn_hold", "txn_levy",
    ]  # fmt: skip
    paid = world.payout("stripe_us", "po_named", first, when=at("2026-10-23 20:10"), arrival="2026-10-26")
    # Leaves in October, arrives in November, and only amount and date tell the bank line.
    unnamed = ["txn_ch_1007", "txn_ch_1008", "txn_ch_1015", "txn_ch_1016", "txn_ch_1017"]
    across = world.payout("stripe_us", "po_across", unnamed, when=at("2026-10-31 20:10"), arrival="2026-11-02")
    late = world.payout(
        "stripe_us", "po_late", ["txn_ch_1020", "txn_part"], when=at("2026-10-26 20:10"), arrival="2026-10-28"
    )
    short = world.payout("stripe_us", "po_short", ["txn_ch_1030"], when=at("2026-10-26 20:10"), arrival="2026-10-28")
    world.payout(
        "stripe_us", "po_residual", ["txn_ch_1021"], amount="42.41", when=at("2026-10-26 20:10"), arrival="2026-11-04"
    )
    failed = world.payout(
        "stripe_us", "po_failed", ["txn_ch_1022"], when=at("2026-10-26 20:10"), arrival="2026-10-28", status="failed"
    )
    world.line(
        "stripe_us", "txn_po_failed_back", str(failed), "payout_reversal", source="po_failed",
        when=at("2026-10-29 10:00"), type_="payout_failure",
    )  # fmt: skip
    world.payout(
        "stripe_us", "po_manual", [], amount="10.00", when=at("2026-11-04 20:10"), arrival="2026-11-06",
        automatic=False, status="in_transit",
    )  # fmt: skip
    closing = world.statement(
        "bank_us", 1, "2026-10-26", [("-4200.00", "Rent"), (str(paid), "STRIPE po_named")], opening="10000.00"
    )
    closing = world.statement("bank_us", 2, "2026-10-28", [(str(short - 1), "STRIPE PAYOUT PO_SHORT")], opening=closing)
    world.statement("bank_us", 3, "2026-11-03", [(str(across), "STRIPE TRANSFER")], opening=closing)
    assert late > 0

    german = ["txn_ch_2001", "txn_ch_2002", "txn_ch_2004"]
    paid = world.payout("stripe_de", "po_de", german, when=at("2026-10-30 07:30"), arrival="2026-11-02", trace="778899")
    world.statement("bank_de", 1, "2026-11-02", [(str(paid), "STRIPE 778899")], opening="0.00")

    japanese = ["txn_ch_3050", "txn_ch_3060"]
    paid = world.payout("stripe_jp", "po_jp", japanese, when=at("2026-10-30 01:20"), arrival="2026-11-04")
    world.statement("bank_jp", 1, "2026-11-02", [("-3000", "家賃")], opening="100000")
    # Statement 2 was never delivered.
    world.statement("bank_jp", 3, "2026-11-04", [(str(paid), "STRIPE po_jp")], opening="95000")


def _bad_records(world: World) -> None:
    world.add(
        "ops.quarantine", quarantine_id="q1", system="woocommerce", instance_id="cedar_us", table_name="orders",
        record_key="1099", field="total", value="12,50", reason="not a number", origin="GET orders",
        payload_sha256="0" * 64,
        first_seen_at=at("2026-11-05 11:00"), last_seen_at=at("2026-11-05 11:00"), status="open",
    )  # fmt: skip
    world.add(
        "ops.quarantine", quarantine_id="q2", system="woocommerce", instance_id="cedar_us", table_name="orders",
        record_key="1001", field="total", value="x", reason="not a number", origin="GET orders",
        payload_sha256="1" * 64,
        first_seen_at=at("2026-11-04 11:00"), last_seen_at=at("2026-11-04 11:00"), status="superseded",
    )  # fmt: skip
    for resource, system, instance in (("orders", "woocommerce", "cedar_us"), ("charges", "stripe", "stripe_us")):
        world.add(
            "ops.load_status", system=system, instance_id=instance, resource=resource, loaded_at=at("2026-11-05 11:00"),
            received=30, loaded=29, quarantined=1,
        )  # fmt: skip
