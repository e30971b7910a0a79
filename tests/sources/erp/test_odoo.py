"""An Odoo database through dlt into the warehouse."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.erp.errors import CredentialsError, ErpRefusedError
from retail_assets.sandbox.odoo import OdooData, create_app, fill_books
from retail_assets.settings import Erp, instance_of
from retail_assets.sources.erp import erp_source, examine
from retail_assets.sources.erp import odoo as source_module
from retail_assets.sources.intake import Counts, Intake
from tests.sources.acceptance import Wire
from tests.sources.loading import Home
from tests.support.server import running

KEY = "canary-key"
COMPANY = "Cedar & Pine GmbH"
START = datetime(2026, 11, 5, 10, 0, 0, 500_000, UTC)


class Clock:
    """The server's time, set by the test."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def data(clock: Clock) -> OdooData:
    return OdooData(clock)


@pytest.fixture
def made(data: OdooData) -> dict[str, int]:
    return fill_books(data)


@pytest.fixture
def url(data: OdooData, made: dict[str, int]) -> Iterator[str]:
    with running(create_app(data, key=KEY, series=19)) as address:
        yield address


def settings_for(url: str, **changes: Any) -> Erp:
    block = {"id": "books", "system": "odoo", "base_url": url, "database": "books", "retries": 0}
    return instance_of("erps", {**block, "login": "reader", "api_key": KEY, **changes})


def load(home: Home, url: str, *resources: str, **changes: Any) -> Mapping[str, Counts]:
    erp = settings_for(url, **changes)

    def source(intake: Any) -> Any:
        found = erp_source(erp, intake)
        return found.with_resources(*resources) if resources else found

    return home.load("erp", "books", source)


def test_books_and_documents_arrive(home: Home, url: str) -> None:
    """false for nothing, [id, name] for a relation, floats for amounts: none of them fitted a column."""
    counts = load(home, url)
    assert {name: count.notes for name, count in counts.items() if count.notes} == {}
    assert home.quarantined() == []
    assert home.query(
        "select number, platform_ref, entry_type, company, total_debit, docstatus from raw_erp.journal_entries "
        "order by id"
    ) == [
        ("PSP/2026/11/0001", "settl-1", "entry", COMPANY, Decimal("88.01"), 1),
        ("INV/2026/00001", None, "out_invoice", COMPANY, Decimal("25"), 1),
        ("RINV/2026/00001", None, "out_refund", COMPANY, Decimal("12.5"), 1),
        ("PBNK1/2026/00001", None, "entry", COMPANY, Decimal("12.5"), 1),
    ]
    assert home.query(
        "select code, debit, credit, gl_entries.currency, currency_amount from raw_erp.gl_entries "
        "join raw_erp.accounts on accounts.id = account_id where voucher_number = 'PSP/2026/11/0001' order by code"
    ) == [
        ("1200", Decimal("85.3"), Decimal(0), "EUR", None),
        ("1250", Decimal(0), Decimal("88.01"), "EUR", None),
        ("6100", Decimal("2.71"), Decimal(0), "USD", Decimal("3.18")),
    ]
    assert home.query(
        "select number, total_amount, outstanding_amount, is_return, order_reference, return_against from "
        "raw_erp.sales_invoices order by id"
    ) == [
        ("INV/2026/00001", Decimal(25), Decimal("12.5"), False, "1001", None),
        ("RINV/2026/00001", Decimal("-12.5"), Decimal(0), True, None, "2"),
    ]
    assert home.query("select direction, amount, currency, journal, reference, invoice_ids from raw_erp.payments") == [
        ("receive", Decimal("12.5"), "EUR", "PSP settlements", "1001", "2")
    ]
    assert home.query(
        "select date::varchar, from_currency, to_currency, exchange_rate from raw_erp.exchange_rates"
    ) == [("2026-11-01", "USD", "EUR", Decimal("0.853023969974"))]


def test_stock_and_deliveries(home: Home, url: str) -> None:
    """What lies at customers is no stock; a receipt from a supplier is no return; floats hold 40.99999999999999."""
    load(home, url, "stock_levels", "stock_movements", "deliveries")
    assert home.query("select location, sku, on_hand, reserved from raw_erp.stock_levels") == [
        ("WH/Stock", "MUG-1", Decimal(41), Decimal(5))
    ]
    assert home.query(
        "select number, is_return, order_reference, return_against, shipped_on, tracking_number "
        "from raw_erp.deliveries order by id"
    ) == [
        ("WH/OUT/00001", False, "1001", None, "2026-11-05 09:30:00", "1Z"),
        ("WH/IN/00002", True, None, "2", "2026-11-05 09:30:00", None),
    ]
    assert home.query("select delivery_id, sku, quantity, sales_order from raw_erp.delivery_lines order by 1") == [
        ("2", "MUG-1", Decimal(2), "S00001"),
        ("3", "MUG-1", Decimal(1), None),
    ]
    assert home.one("select count(*) from raw_erp.stock_movements") == 3
    payload = home.one("select _payload from raw_erp.deliveries where number = 'WH/OUT/00001'")
    assert '"partner_id":[1,"Ada Lovelace"]' in payload
    assert '"lines":[{"id":2,' in payload


def test_small_pages_lose_nothing(home: Home, url: str, data: OdooData, monkeypatch: pytest.MonkeyPatch) -> None:
    """One second holds many records, and a page ends within it."""
    load(home, url)
    before = home.content("erp")
    monkeypatch.setattr(source_module, "_PAGE_SIZE", 1)
    monkeypatch.setattr(source_module, "_ID_PAGE", 2)
    other = Home(home.path / "other")
    other.path.mkdir()
    load(other, url)
    assert other.content("erp") == before
    load(other, url, compare_hours=0)
    assert other.content("erp") == before


def test_changes_that_stamp_nothing_are_seen(
    home: Home, url: str, data: OdooData, made: dict[str, int], clock: Clock
) -> None:
    """A label that changes does not stamp its entry; a state or an open amount that Odoo computes stamps nothing."""
    load(home, url)
    clock.now += timedelta(hours=2)
    line = next(i for i, record in data.records["account.move.line"].items() if record["move_id"] == made["entry"])
    data.change("account.move.line", line, name="new label")
    data.change("account.move", made["invoice"], state="cancel")
    for identity, record in data.records["account.move.line"].items():
        if record["move_id"] == made["invoice"]:
            data.compute("account.move.line", identity, parent_state="cancel")
    data.compute("account.move", made["credit_note"], amount_residual=12.5)
    partial = data.add("account.partial.reconcile", amount=0.0)
    note_line = next(
        i for i, record in data.records["account.move.line"].items() if record["move_id"] == made["credit_note"]
    )
    data.compute("account.move.line", note_line, matched_debit_ids=[partial])
    load(home, url)
    assert home.one("select remarks from raw_erp.gl_entries where id = ?", str(line)) == "new label"
    assert home.query("select distinct docstatus from raw_erp.gl_entries where voucher_number = 'INV/2026/00001'") == [
        (2,)
    ]
    assert home.one("select outstanding_amount from raw_erp.sales_invoices where is_return") == Decimal("-12.5")


def test_a_record_committed_late_is_read(home: Home, url: str, data: OdooData, clock: Clock) -> None:
    """write_date is when the transaction started: it appears behind what was already read."""
    load(home, url)
    clock.now += timedelta(hours=1)
    data.change("account.account", 1, name="newest")
    load(home, url)
    data.compute("account.account", 2, name="late", write_date=(clock.now - timedelta(minutes=5)).replace(tzinfo=None))
    load(home, url)
    assert home.query("select name from raw_erp.accounts where id in ('1', '2') order by id") == [
        ("newest",), ("late",)
    ]  # fmt: skip


def test_a_deleted_draft_becomes_a_tombstone(
    home: Home, url: str, data: OdooData, made: dict[str, int], clock: Clock
) -> None:
    """A draft that is deleted leaves no trace in Odoo: it stayed in the warehouse for ever."""
    load(home, url, compare_hours=0)
    clock.now += timedelta(hours=1)
    draft = data.add("account.move", **{**_without_stamps(data, made["entry"]), "name": "/", "state": "draft"})
    load(home, url, compare_hours=0)
    assert home.one("select docstatus from raw_erp.journal_entries where id = ?", str(draft)) == 0
    removed = data.records["account.move"][draft]
    data.delete("account.move", draft)
    load(home, url, compare_hours=24)
    assert home.query("select * from raw_erp.deletions") == []
    load(home, url, compare_hours=0)
    tombstone = "select table_name, id, is_deleted, found_by from raw_erp.deletions"
    assert home.query(tombstone) == [("journal_entries", str(draft), True, "comparison")]
    data.records["account.move"][draft] = removed
    load(home, url, compare_hours=0)
    assert home.query(tombstone) == [("journal_entries", str(draft), False, "comparison")]


def _without_stamps(data: OdooData, move: int) -> dict[str, Any]:
    return {
        name: value
        for name, value in data.records["account.move"][move].items()
        if name not in ("id", "create_date", "write_date")
    }


def test_what_a_user_may_not_see_any_more_is_not_deleted(home: Home, url: str, data: OdooData) -> None:
    """A lost right marked as deleted whatever it had shown."""
    for number in range(30):
        data.add("account.journal", code=f"J{number}", name="More", type="general", company_id=1)
    load(home, url, compare_hours=0)
    data.records["account.journal"] = dict(list(data.records["account.journal"].items())[:3])
    counts = load(home, url, compare_hours=0)
    assert home.query("select * from raw_erp.deletions") == []
    (note,) = counts["deletions"].notes
    assert "28 of 31 known journals cannot be seen any more" in note


def test_a_quant_that_is_merged_away_is_gone_at_once(
    home: Home, url: str, data: OdooData, made: dict[str, int]
) -> None:
    """Odoo merges quants: the same stock was counted twice."""
    load(home, url)
    record = data.records["stock.quant"][made["quant"]]
    data.add("stock.quant", **{k: v for k, v in record.items() if k not in ("id", "create_date", "write_date")})
    data.delete("stock.quant", made["quant"])
    load(home, url)
    assert home.query("select table_name, id, is_deleted from raw_erp.deletions") == [
        ("stock_levels", str(made["quant"]), True)
    ]


def test_what_cannot_be_read_stops_nothing_else(home: Home, url: str, data: OdooData) -> None:
    """A module that is not installed, or a right that is missing, took the books with it."""
    data.missing, data.forbidden = {"stock.quant"}, {"account.payment", "ir.model.data", "sale.order"}
    counts = load(home, url)
    assert counts["journal_entries"].loaded == 4
    assert counts["deliveries"].loaded == 2
    assert home.one("select order_reference from raw_erp.deliveries where not is_return") == "S00001"
    notes = {name: " ".join(count.notes) for name, count in counts.items() if count.notes}
    assert "stock_levels of books are not loaded: Odoo has no model stock.quant" in notes["stock_levels"]
    assert "payments of books are not loaded: the user may not read account.payment" in notes["payments"]
    assert "posting keys are not read" in notes["journal_entries"]
    assert "order references are not read" in notes["deliveries"]
    assert set(notes) == {"stock_levels", "payments", "journal_entries", "deliveries"}
    found = examine(settings_for(url), home.path)
    assert "not to be read: payments (" in found
    assert "stock_levels (" in found


def test_refusals_say_what_to_do(home: Home, url: str) -> None:
    """A refused log-in is false, an error has HTTP 200: both were taken for an empty ERP."""
    with pytest.raises(CredentialsError, match="refused the log-in of reader to books"):
        examine(settings_for(url, api_key="wrong-canary"), home.path)
    with pytest.raises(ErpRefusedError, match=r"OperationalError.*nodb"):
        examine(settings_for(url, database="nodb"), home.path)
    with pytest.raises(CredentialsError, match="login is missing"):
        examine(settings_for(url, login=None), home.path)
    with pytest.raises(CredentialsError, match="refused the api_key"):
        examine(settings_for(url, api="json2", api_key="wrong-canary"), home.path)
    assert examine(settings_for(url), home.path) == f"answers at {url}"


def test_json2_gives_the_same_rows(home: Home, url: str, data: OdooData) -> None:
    """Odoo 19 has another interface; the rows must not differ."""
    load(home, url)
    other = Home(home.path / "json2")
    other.path.mkdir()
    load(other, url, api="json2", login=None)
    assert other.content("erp") == home.content("erp")
    data.forbidden = {"account.payment"}
    counts = load(other, url, "payments", api="json2", login=None)
    assert "the user may not read account.payment" in counts["payments"].notes[0]


def test_what_is_no_odoo_is_an_error(home: Home) -> None:
    """A log-in page with status 200 was taken for an ERP without accounts."""

    async def respond(_: Any) -> Response:
        return PlainTextResponse("<html>Login</html>")

    with (
        running(Starlette(routes=[Route("/jsonrpc", respond, methods=["POST"])])) as address,
        pytest.raises(Exception, match="is not Odoo's JSON-RPC"),
    ):
        load(home, address, "accounts")


def test_a_first_load_that_is_killed_goes_on_at_its_checkpoint(
    home: Home, data: OdooData, made: dict[str, int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in the third hour read all entries anew; what changed meanwhile lay before the place and was lost."""
    monkeypatch.setattr(source_module, "_PAGE_SIZE", 1)
    wire = Wire(create_app(data, key=KEY, series=19))
    with running(wire) as address:
        erp = settings_for(address)

        def load_portions(home: Home) -> None:
            def source(intake: Intake) -> Any:
                intake.portion = 3
                return erp_source(erp, intake).with_resources("journal_entries", "gl_entries")

            home.load("erp", "books", source)

        load_portions(home)
        requests = wire.requests
        again = Home(home.path / "again")
        again.path.mkdir()
        wire.requests, wire.fail_from = 0, int(requests * 0.7)
        with pytest.raises(Exception, match="500"):
            load_portions(again)
        assert (
            0
            < again.one("select count(*) from raw_erp.gl_entries")
            < home.one("select count(*) from raw_erp.gl_entries")
        )
        wire.requests, wire.fail_from = 0, None
        clock.now += timedelta(minutes=5)
        data.change("account.move", made["entry"], ref="changed")
        for one in (again, again, home):
            load_portions(one)
        assert again.content("erp") == home.content("erp")
        assert again.one("select count(*) from raw_erp.journal_entries where reference = 'changed'") == 1
