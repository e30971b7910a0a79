"""A second, deliberately naive reconciliation: if it finds anything that was not planted, the world lies."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from retail_assets import money
from retail_assets.sandbox.generator import SEED_FILE, documents_file
from retail_assets.sandbox.profiles import (
    ERP_SHIPS_FOR,
    GATEWAYS,
    STORES,
    TAX_ENGINES,
    GatewayProfile,
    TaxEngineProfile,
)
from retail_assets.sandbox.tax import TaxDocument
from tests.sandbox.conftest import State

NS = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"


def find_exceptions(state: State) -> set[tuple[str, str]]:
    """Every (exception type, subject) that the records of a world show."""
    as_of = int(datetime.fromisoformat(state.truth["as_of"]).timestamp())
    found: set[tuple[str, str]] = set()
    for gateway in GATEWAYS.values():
        found |= _of_gateway(state, gateway, as_of)
    for engine in TAX_ENGINES.values():
        found |= _of_tax(state, engine)
    return found | _of_stock(state)


def _of_stock(state: State) -> set[tuple[str, str]]:
    """Articles of which the ERP has less than is promised, and those of which the store shows another number."""
    seed = json.loads((state.home / "sandbox" / SEED_FILE).read_text(encoding="utf-8"))
    as_of = datetime.fromisoformat(state.truth["as_of"])
    on_hand: Counter[str] = Counter()
    moved: dict[str, datetime] = {}
    for receipt in seed["stock_receipts"]:
        on_hand[receipt["item_code"]] += receipt["qty"]
    for note in seed["delivery_notes"]:
        at = datetime.fromisoformat(f"{note['posting_date']}T{note['posting_time']}+00:00")
        for item in note["items"]:
            on_hand[item["item_code"]] -= item["qty"]
            moved[item["item_code"]] = max(at, moved.get(item["item_code"], at))
    promised: Counter[str] = Counter()
    waits: set[int] = set()
    for order in state.rows(ERP_SHIPS_FOR, "orders"):
        if order["status"] in ("processing", "on-hold"):
            waits.add(order["id"])
            for line in order["line_items"]:
                promised[line["sku"]] += line["quantity"]
    for refund in state.rows(ERP_SHIPS_FOR, "refunds"):
        if refund["parent_id"] in waits:
            for line in refund["line_items"]:
                promised[line["sku"]] += line["quantity"]
    for reservation in seed["reservations"]:
        sku = reservation["item_code"]
        promised[sku] = max(promised[sku], reservation["qty"])
    found: set[tuple[str, str]] = set()
    rows = state.table(ERP_SHIPS_FOR, "select body from documents where resource in ('products', 'variations')")
    for article in (json.loads(body) for (body,) in rows):
        sku = article["sku"]
        if sku not in moved or not article["manage_stock"]:
            continue
        key = f"{ERP_SHIPS_FOR}:{article['id']}"
        if on_hand[sku] < promised[sku]:
            found.add(("oversold", key))
        wrong = article["stock_quantity"] != max(on_hand[sku] - promised[sku], 0)
        if wrong and as_of - moved[sku] > timedelta(hours=1):
            found.add(("stock_sync_delay", key))
    return found


def _of_tax(state: State, engine: TaxEngineProfile) -> set[tuple[str, str]]:
    """Sales on which the tax engine reckons otherwise than the shop."""
    store = STORES[engine.store_id]
    charged = {order["id"]: Decimal(order["total_tax"]) for order in state.rows(engine.store_id, "orders")}
    found: set[tuple[str, str]] = set()
    path = state.home / "sandbox" / documents_file(engine.engine_id)
    for document in msgspec.json.decode(path.read_bytes(), type=list[TaxDocument]):
        if document.is_return or document.order_id not in charged:
            continue
        if Decimal(sum(split.tax for split in document.splits)).scaleb(-2) != charged[document.order_id]:
            jurisdiction = f"{document.splits[0].country}-{document.splits[0].region}"
            subject = f"{store.entity_code}:{jurisdiction}:{document.currency}:{document.day:%Y-%m}"
            found.add(("tax_store_vs_engine", subject))
    return found


def _of_gateway(state: State, gateway: GatewayProfile, as_of: int) -> set[tuple[str, str]]:
    store_id, gateway_id = gateway.store_id, gateway.gateway_id
    orders = state.rows(store_id, "orders")
    succeeded = [charge for charge in state.rows(gateway_id, "charges") if charge["status"] == "succeeded"]
    charges = [charge for charge in succeeded if charge["captured"] and charge["livemode"]]
    authorised = {charge["id"] for charge in succeeded if not charge["captured"]}
    found: set[tuple[str, str]] = set()
    charges_of: dict[int, list[dict[str, Any]]] = {}
    together = set()
    for charge in charges:
        numbers = charge["metadata"].get("order_id", "").split(", ")
        if len(numbers) > 1:
            paid = [order for order in orders if order["number"] in numbers]
            total = money.from_minor(charge["amount"], charge["currency"], "stripe")
            assert sum(Decimal(order["total"]) for order in paid) == total, f"{charge['id']} is another sum"
            together |= {order["id"] for order in paid}
            continue
        candidates = candidates_of(charge, orders, gateway)
        assert len(candidates) <= 1, f"{charge['id']} could belong to several orders"
        if not candidates:
            found.add(("order_missing", f"{gateway_id}:{charge['balance_transaction']}"))
        else:
            charges_of.setdefault(candidates[0]["id"], []).append(charge)
    for order in orders:
        if order["transaction_id"] in authorised:
            found.add(("stale_authorisation", f"{store_id}:{order['id']}"))
        elif order["id"] not in together:
            found |= _of_order(order, charges_of.get(order["id"], []), gateway)
    found |= {("duplicate_order", f"{store_id}:{order_id}") for order_id in _repeated(orders)}
    for dispute in state.rows(gateway_id, "disputes"):
        if dispute["status"] == "needs_response":
            order_id = next(oid for oid, mine in charges_of.items() if dispute["charge"] in {c["id"] for c in mine})
            found.add(("dispute_open", f"{store_id}:{order_id}"))
    found |= _of_refunds(state, gateway, charges_of)
    found |= {
        ("unknown_line_type", f"{gateway_id}:{line['id']}")
        for line in state.rows(gateway_id, "balance_transactions")
        if line["reporting_category"] == "hologram_levy"
    }
    found |= _of_payouts(state, gateway, as_of)
    return found


def _repeated(orders: list[dict[str, Any]]) -> set[int]:
    """Paid orders that say what one of the same customer said within ten minutes before."""
    found: set[int] = set()
    last: dict[tuple[Any, ...], datetime] = {}
    for order in sorted(orders, key=lambda one: one["date_created_gmt"]):
        if order["date_paid_gmt"] is None or order["status"] not in ("processing", "completed"):
            continue
        lines = tuple(sorted((line["product_id"], line["quantity"], line["total"]) for line in order["line_items"]))
        said = (order["billing"]["email"], order["total"], lines)
        created = datetime.fromisoformat(order["date_created_gmt"])
        if said in last and (created - last[said]).total_seconds() <= 600:
            found.add(order["id"])
        last[said] = created
    return found


def candidates_of(
    charge: dict[str, Any], orders: list[dict[str, Any]], gateway: GatewayProfile
) -> list[dict[str, Any]]:
    """The orders a charge names, by whichever evidence is the strongest it has."""
    metadata, intent = charge["metadata"], charge["payment_intent"]
    description = charge["description"] or ""
    tests = [
        lambda order: order["transaction_id"] in (charge["id"], intent),
        lambda order: intent in [meta["value"] for meta in order["meta_data"] if meta["key"] == "_stripe_intent_id"],
        lambda order: metadata.get("order_key") == order["order_key"],
        lambda order: metadata.get("order_id") == order["number"],
        lambda order: metadata.get("merchant_reference") == gateway.reference_prefix + order["number"],
        lambda order: description.endswith(f" - Order {order['number']}"),
    ]
    for test in tests:
        hits = [order for order in orders if test(order)]
        if hits:
            return hits
    return []


def _of_order(order: dict[str, Any], charges: list[dict[str, Any]], gateway: GatewayProfile) -> set[tuple[str, str]]:
    key = f"{gateway.store_id}:{order['id']}"
    paid = order["date_paid_gmt"] is not None
    if not charges:
        expected = paid and order["payment_method"] == "stripe" and Decimal(order["total"]) > 0
        return {("payment_missing", key)} if expected else set()
    assert paid, f"{key} is charged but not paid"
    first, *others = sorted(charges, key=lambda charge: charge["id"] != order["transaction_id"])
    found = {("duplicate_payment", f"{gateway.gateway_id}:{other['balance_transaction']}") for other in others}
    charged = money.from_minor(first["amount_captured"], first["currency"], "stripe")
    if charged != Decimal(order["total"]) or first["currency"].upper() != order["currency"]:
        changed = order["status"] == "completed" and order["date_modified_gmt"] > order["date_completed_gmt"]
        found.add(("order_edited_after_payment" if changed else "amount_mismatch", key))
    return found


def _of_refunds(
    state: State, gateway: GatewayProfile, charges_of: dict[int, list[dict[str, Any]]]
) -> set[tuple[str, str]]:
    """Refunds pair one to one by order and amount."""
    order_of = {charge["id"]: order_id for order_id, charges in charges_of.items() for charge in charges}
    given = Counter(
        (order_of[refund["charge"]], money.from_minor(refund["amount"], refund["currency"], "stripe"))
        for refund in state.rows(gateway.gateway_id, "refunds")
        # What older versions of the API book for money that was never captured.
        if refund["reason"]
    )
    failed = {
        order_of[refund["charge"]]
        for refund in state.rows(gateway.gateway_id, "refunds")
        if refund["status"] == "failed"
    }
    others = {order["id"] for order in state.rows(gateway.store_id, "orders") if order["payment_method"] != "stripe"}
    recorded = Counter(
        (refund["parent_id"], Decimal(refund["amount"]))
        for refund in state.rows(gateway.store_id, "refunds")
        if refund["parent_id"] not in others
    )
    there = {("refund_missing_in_store", f"{gateway.store_id}:{order_id}") for order_id, _ in given - recorded}
    there |= {("refund_failed", f"{gateway.store_id}:{order_id}") for order_id in failed}
    return there | {("refund_missing_in_gateway", f"{gateway.store_id}:{order_id}") for order_id, _ in recorded - given}


def _of_payouts(state: State, gateway: GatewayProfile, as_of: int) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    lines = bank_lines(state, gateway.bank_id)
    # Several payouts in one line, or one in several, are no matter of one to one.
    composed = {case["settlement_key"] for case in state.truth["cases"] if not case["settlement_line_key"]}
    for payout in state.rows(gateway.gateway_id, "payouts"):
        key = f"{gateway.gateway_id}:{payout['id']}"
        if payout["status"] == "failed":
            found.add(("payout_failed", key))
        if payout["status"] == "failed" or key in composed:
            continue
        amount = money.from_minor(payout["amount"], payout["currency"], "stripe")
        names = {payout["id"], payout["trace_id"]["value"]} - {None}
        named = [line for line in lines if any(name in line["text"] for name in names)]
        arrival = datetime.fromtimestamp(payout["arrival_date"], UTC).date()
        exact = [line for line in lines if line["amount"] == amount and line["value_date"] == arrival.isoformat()]
        hits = named or exact
        assert len(hits) <= 1, f"{key} could be several bank lines"
        if not hits and payout["arrival_date"] < as_of - 3 * 86_400:
            found.add(("payout_not_in_bank", key))
        if hits and hits[0]["amount"] != amount:
            found.add(("bank_amount_mismatch", key))
    return found


def bank_lines(state: State, bank_id: str) -> list[dict[str, Any]]:
    """The entries of all statements of a bank, in order."""
    found: list[dict[str, Any]] = []
    for path in sorted((state.home / "inbox" / bank_id).glob("*.xml")):
        for entry in etree.parse(path).iter(f"{NS}Ntry"):
            amount = Decimal(entry.findtext(f"{NS}Amt"))
            sign = 1 if entry.findtext(f"{NS}CdtDbtInd") == "CRDT" else -1
            details = f"{NS}NtryDtls/{NS}TxDtls/"
            end_to_end = entry.findtext(f"{details}{NS}Refs/{NS}EndToEndId")
            remittance = entry.findtext(f"{details}{NS}RmtInf/{NS}Ustrd")
            value_date = entry.findtext(f"{NS}ValDt/{NS}Dt")
            found.append({"amount": sign * amount, "text": f"{end_to_end} {remittance}", "value_date": value_date})
    return found
