"""``retail trace`` on the small retailer of the scenario: any name leads to the whole chain, and to the raw records."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.commands.trace import print_trace, trace_of
from retail_assets.ops import inbox, outbox
from retail_assets.ops.inbox import NewEvent
from retail_assets.ops.outbox import NewPosting
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings, load_settings
from tests.dbt.compiled import Compiled
from tests.dbt.scenario import play
from tests.dbt.world import at
from tests.support.chain import AS_OF, environment

pytestmark = pytest.mark.slow

_NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
_ENTRY = "line/stripe_us:txn_ch_1001"


@pytest.fixture(scope="module")
def settings(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The scenario, built; its charge 1001 is posted, and its order 1001 has an invoice."""
    world = play()
    common = {"erp_id": "erp_main", "company": _company(world.rows["ops.erps"]), "docstatus": 1}
    world.add(
        "erp.journal_entries", **common, id="ACC-JV-1001", platform_ref=f"{_ENTRY}#1", entry_type="entry",
        posting_date=date(2026, 10, 20), total_debit="110.38", modified="2026-11-01 00:00:00",
    )  # fmt: skip
    world.add(
        "erp.sales_invoices", **common, id="SINV-1001", order_reference="1001", currency="USD", total_amount="110.38",
        is_return=False, posting_date=date(2026, 10, 20), modified="2026-11-01 00:00:00",
    )  # fmt: skip
    # Nothing but their amount and time tells that these belong together.
    world.order("cedar_us:1090", "77.77", created=at("2026-10-22 15:00"))
    world.charge("stripe_us", "ch_1090", "77.77", when=at("2026-10-22 15:02"), fee="2.00")
    for order_id, net in ((1091, "30.00"), (1092, "12.50")):
        world.order(f"cedar_us:{order_id}", net, created=at("2026-10-23 15:00"))
    world.charge(
        "stripe_us", "ch_1091", "42.50", when=at("2026-10-23 15:02"), fee="1.53", metadata_order_id="1091, 1092"
    )
    warehouse = project.empty(tmp_path_factory.mktemp("trace"))
    world.write(warehouse)
    project.make(warehouse)
    found = load_settings({"RETAIL_HOME": str(warehouse.home), "RETAIL_AS_OF": AS_OF})
    store = open_store(found.operations_url)
    posting = NewPosting(
        posting_key=f"{_ENTRY}#1", entry_id=_ENTRY, revision=1, kind="entry", entity_code="US", erp_id="erp_main",
        content_hash="c" * 64, payload="{}", posting_date=date(2026, 10, 20),
    )  # fmt: skip
    with writing(store) as connection:
        outbox.claim(connection, [posting], worker="one", run_id="run", actor="ann", now=_NOW)
        outbox.mark_sent(connection, [posting.posting_key], worker="one", now=_NOW)
        outbox.mark_posted(connection, {posting.posting_key: "ACC-JV-1001"}, worker="one", now=_NOW)
    store.dispose()
    return found


def _company(erps: list[dict[str, str]]) -> str:
    return next(row["company"] for row in erps if row["entity_code"] == "US")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("1001", "order"),
        ("#1001", "order"),
        ("cedar_us:1001", "order"),
        ("wc_order_cedar_us_1001", "order"),
        ("ch_1001", "payment"),
        ("CH_1001", "payment"),
        ("txn_ch_1001", "settlement line"),
        ("po_named", "payout"),
        ("bank_us:S1:2", "bank line"),
        (_ENTRY, "journal entry"),
        ("ACC-JV-1001", "ERP document"),
        ("SINV-1001", "ERP document"),
    ],
)
def test_any_name_leads_to_the_whole_chain(settings: Settings, name: str, kind: str) -> None:
    """A chain that can be followed from the order but not from the bank line or the ERP leaves somebody asking."""
    found = trace_of(settings, name)
    assert kind in {item["kind"] for item in found["named"]}
    assert "cedar_us:1001" in {row["order_key"] for row in found["orders"]}
    by_key = {row["settlement_line_key"]: row for row in found["settlement_lines"]}
    assert by_key["stripe_us:txn_ch_1001"]["match_rule"] == "gateway_id"
    assert [row["bank_match_rule"] for row in found["payouts"]] == ["payout_reference"]
    assert [row["bank_line_key"] for row in found["bank_lines"]] == ["bank_us:S1:2"]
    assert ("stripe_us:ch_1001", "gateway_id") in {(row["payment_key"], row["match_rule"]) for row in found["payments"]}
    documents = {(row["document_number"], row["match_rule"]) for row in found["erp_documents"]}
    assert documents == {("ACC-JV-1001", "posting_key"), ("SINV-1001", "order_number")}
    assert {row["entry_id"]: row["erp_documents"] for row in found["journals"]}[_ENTRY] == "ACC-JV-1001"


def test_each_link_ends_at_the_raw_record(settings: Settings) -> None:
    """A verdict without the record that it rests on, or with the record of something else."""
    found = trace_of(settings, "1001", with_payload=True)
    records = {
        section: [(record["table"], record["key"]) for row in found[section] for record in row["records"]]
        for section in ("orders", "payments", "settlement_lines", "payouts", "bank_lines")
    }
    assert records == {
        "orders": [("raw_woocommerce.orders", "cedar_us:1001")],
        "payments": [("raw_stripe.charges", "stripe_us:ch_1001")],
        "settlement_lines": [("raw_stripe.balance_transactions", "stripe_us:txn_ch_1001")],
        "payouts": [("raw_stripe.payouts", "stripe_us:po_named")],
        "bank_lines": records["bank_lines"],
    }
    assert [table for table, _ in records["bank_lines"]] == ["raw_bank.entries"]
    entry = next(row for row in found["journals"] if row["entry_id"] == "sale/cedar_us:1001")
    assert {(one["table"], one["key"]) for one in entry["records"]} == {
        ("raw_woocommerce.orders", "cedar_us:1001"),
        ("raw_stripe.charges", "stripe_us:ch_1001"),
    }
    assert json.loads(found["orders"][0]["records"][0]["payload"])["number"] == "1001"


def test_a_payout_shows_its_own_lines_and_no_others(settings: Settings) -> None:
    """Up from a line of the payout and down again would bring the whole ledger."""
    found = trace_of(settings, "po_short")
    assert {row["settlement_key"] for row in found["payouts"]} == {"stripe_us:po_short"}
    assert {row["settlement_key"] for row in found["settlement_lines"]} == {"stripe_us:po_short"}
    assert {row["exception_type"] for row in found["exceptions"]} == {"bank_amount_mismatch"}


def test_rivals_are_shown_from_both_sides(settings: Settings) -> None:
    """Of an ambiguous match somebody has to decide, who needs to see what claims what."""
    for name in ("cedar_us:1023", "ch_1023"):
        found = trace_of(settings, name)
        assert "cedar_us:1023" in {row["order_key"] for row in found["orders"]}
        assert "ambiguous" in {row["match_status"] for row in found["settlement_lines"]}
    assert {row["payment_key"] for row in trace_of(settings, "cedar_us:1023")["payments"]} == {
        "stripe_us:ch_1023",
        "stripe_us:ch_1023b",
    }


@pytest.mark.parametrize("name", ["cedar_us:1091", "1092", "ch_1091", "txn_ch_1091"])
def test_a_charge_for_several_orders_leads_to_each_and_back(settings: Settings, name: str) -> None:
    """A charge that pays two orders names neither, and the way from one to the other ended there."""
    found = trace_of(settings, name)
    assert {row["order_key"] for row in found["orders"]} == {"cedar_us:1091", "cedar_us:1092"}
    assert [row["settlement_line_key"] for row in found["settlement_lines"]] == ["stripe_us:txn_ch_1091"]


def test_a_refused_record_is_found_by_its_key(settings: Settings) -> None:
    """An order that never got in is asked for by its number as well."""
    found = trace_of(settings, "1099")
    assert [(row["field"], row["reason"]) for row in found["refused_records"]] == [("total", "not a number")]


def test_what_is_not_found_is_said_with_near_misses(settings: Settings) -> None:
    """A mistyped reference that answers with silence sends people to look in the wrong place."""
    found = trace_of(settings, "ch_10011")
    assert not found["named"]
    assert "ch_1001" in {item["name"] for item in found["near_misses"]}
    console = Console(file=io.StringIO(), width=200)
    print_trace(console, "ch_10011", found)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "Nothing is called 'ch_10011'" in printed
    assert "payment stripe_us:ch_1001" in printed


@pytest.fixture
def cli(settings: Settings) -> Iterator[CliRunner]:
    with environment({"RETAIL_HOME": str(settings.home), "RETAIL_AS_OF": AS_OF, "COLUMNS": "200"}):
        yield CliRunner()


def test_the_command_prints_the_chain(cli: CliRunner) -> None:
    """What people see: the rule of each link and where its record is; with --raw the record itself."""
    shown = cli.invoke(app, ["trace", "1001", "--raw"])
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "matched by gateway_id" in words
    assert "raw raw_stripe.balance_transactions stripe_us:txn_ch_1001" in words
    assert '"order_key": "wc_order_cedar_us_1001"' in words


def test_scripts_get_json_and_an_exit_code(cli: CliRunner) -> None:
    """A script that cannot tell found from not found."""
    shown = cli.invoke(app, ["trace", "po_named", "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.output)["payouts"][0]["net_amount"]
    assert cli.invoke(app, ["trace", "nonsense-42", "--json"]).exit_code == 1


@pytest.mark.parametrize("name", ["1090", "ch_1090"])
def test_a_suggested_order_is_told_from_both_ends(settings: Settings, name: str) -> None:
    """Whoever works an order without payment had to look through the gateway's list for one of its amount."""
    (suggestion,) = trace_of(settings, name)["suggestions"]
    assert (suggestion["payment_key"], suggestion["order_key"]) == ("stripe_us:ch_1090", "cedar_us:1090")
    assert suggestion["evidence_class"] == "payer unknown, within minutes, only candidate"


@pytest.fixture(scope="module")
def told(settings: Settings) -> Settings:
    """A webhook told of order 1001, another of 1002, and one of a gateway, which names no record."""
    store = open_store(settings.operations_url)
    event = NewEvent("cedar_us", b"one", "d1", "0" * 64, "order.updated", _NOW, "f" * 32, b'{"id": 1001}')
    other = event._replace(identity=b"two", delivery_id="d2", trace_id="e" * 32, body=b'{"id": 1002}')
    gateway = event._replace(identity=b"three", source="stripe_us", delivery_id="evt_3", trace_id="d" * 32)
    with writing(store) as connection:
        inbox.put(connection, [event, other, gateway])
    inbox.sort(store, {1: "orders/1001", 2: "orders/1002", 3: "changes"})
    inbox.begin(store, "cedar_us", up_to=1, run_id="run-7", now=_NOW)
    store.dispose()
    return settings


@pytest.mark.parametrize("name", ["1001", "f" * 32, "F" * 32, "d1"])
def test_one_trace_leads_from_the_webhook_to_the_document_in_the_erp(told: Settings, name: str) -> None:
    """The intake's log has a trace id, the ledger a document: nobody could get from one to the other in one step."""
    found = trace_of(told, name)
    (event,) = found["webhooks"]
    assert (event["trace_id"], event["run_id"], event["topic"]) == ("f" * 32, "run-7", "order.updated")
    (order,) = found["orders"]
    assert [record["table"] for record in order["records"]] == ["raw_woocommerce.orders"]
    assert order["records"][0]["loaded_at"]
    assert _ENTRY in {row["entry_id"] for row in found["journals"]}
    (posting,) = found["postings"]
    assert (posting["entry_id"], posting["state"], posting["run_id"]) == (_ENTRY, "posted", "run")
    document = next(row for row in found["erp_documents"] if row["document_number"] == posting["erp_document"])
    assert (document["entry_id"], document["match_rule"]) == (_ENTRY, "posting_key")


def test_a_webhook_that_names_no_record_is_found_all_the_same(told: Settings) -> None:
    """An event that was heard, of which the command says that nothing is called so."""
    found = trace_of(told, "evt_3")
    assert [(item["kind"], item["key"]) for item in found["named"]] == [("webhook", "d" * 32)]
    assert [(row["source"], row["run_id"]) for row in found["webhooks"]] == [("stripe_us", None)]
    assert found["orders"] == []
