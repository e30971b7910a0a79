"""An ERPNext site through dlt into the warehouse."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.sandbox.erp_seed import ShippedLine, add_deliveries
from retail_assets.sandbox.erpnext import create_app
from retail_assets.sources.erp import erp_source, examine
from retail_assets.sources.erp import erpnext as source_module
from retail_assets.sources.intake import Counts, Intake
from tests.erp.books import KEY, SECRET, SEED, US
from tests.sources.erp.site import FakeSite, settings_for
from tests.sources.loading import Home
from tests.support.server import running


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> FakeSite:
    """A site that gives three documents a page."""
    monkeypatch.setattr(source_module, "_PAGE_SIZE", 3)
    return FakeSite()


@pytest.fixture
def url(site: FakeSite) -> Iterator[str]:
    with running(site.app()) as address:
        yield address


def load(home: Home, url: str, *resources: str, **changes: Any) -> Mapping[str, Counts]:
    erp = settings_for(url, **changes)

    def source(intake: Any) -> Any:
        found = erp_source(erp, intake)
        return found.with_resources(*resources) if resources else found

    return home.load("erp", "erp_main", source)


def names(home: Home) -> list[str]:
    return [value for (value,) in home.query("select id from raw_erp.journal_entries order by id")]


@pytest.mark.parametrize("number", [0, 2, 3, 4, 7, 9, 10])
def test_ties_larger_than_a_page_are_read_whole(home: Home, site: FakeSite, url: str, number: int) -> None:
    """Documents of one bulk import share a moment: what did not fit on a page was lost, or asked for without end."""
    for position in range(number):
        site.entry(position, "2026-11-05 10:00:00.000000")
    site.entry(90, "2026-11-05 09:00:00.000000")
    site.entry(91, "2026-11-05 11:00:00.000000")
    counts = load(home, url, "journal_entries")["journal_entries"]
    assert names(home) == [*(f"JE-{position:03}" for position in range(number)), "JE-090", "JE-091"]
    assert counts.received == counts.loaded == number + 2
    assert home.logged() == {"journal_entries": (number + 2, number + 2, 0)}


def test_the_next_load_reads_changes_and_the_overlap(home: Home, site: FakeSite, url: str) -> None:
    """A document that was committed late, with an earlier time than the cursor, was never read."""
    for position in range(8):
        site.entry(position, f"2026-11-05 10:{position:02}:00.500000")
    load(home, url, "journal_entries")
    before = home.content("erp")
    site.queries.clear()
    load(home, url, "journal_entries")
    assert home.content("erp") == before
    assert site.queries[0]["filters"] == [["modified", ">=", "2026-11-05 09:57:00.500000"]]
    site.entry(50, "2026-11-05 10:06:59.000000")
    site.documents["Journal Entry"][0] |= {"docstatus": 2, "modified": "2026-11-05 12:00:00.000000"}
    load(home, url, "journal_entries")
    assert "JE-050" in names(home)
    assert home.one("select docstatus from raw_erp.journal_entries where id = 'JE-000'") == 2


def test_a_document_changed_while_reading_has_its_last_state(home: Home, site: FakeSite, url: str) -> None:
    """A journal entry cancelled during the load came twice, and the version before the cancellation won."""
    for position in range(7):
        site.entry(position, f"2026-11-05 10:{position:02}:00.000000")

    def cancel(number: int) -> None:
        if number == 2:
            site.documents["Journal Entry"][0] |= {"docstatus": 2, "modified": "2026-11-05 11:00:00.000000"}
            site.entry(80, "2026-11-05 13:00:00.000000")

    site.before_page = cancel
    counts = load(home, url, "journal_entries")["journal_entries"]
    assert home.one("select docstatus from raw_erp.journal_entries where id = 'JE-000'") == 2
    assert len(names(home)) == len(set(names(home))) == 8
    assert counts.received == counts.loaded == 9


@pytest.mark.parametrize(
    ("custom_fields", "key_field", "reference"),
    [((), "platform_ref", None), (("platform_ref",), "platform_ref", "sale/1"), (("our_key",), "our_key", "sale/2")],
    ids=["absent", "default name", "other name"],
)
def test_our_key_is_read_where_it_exists(
    home: Home, site: FakeSite, url: str, custom_fields: tuple[str, ...], key_field: str, reference: str | None
) -> None:
    """An ERP in which the key field is not set up yet, or has another name, could not be loaded at all."""
    site.custom_fields = custom_fields
    site.entry(1, "2026-11-05 10:00:00.000000", platform_ref="sale/1", our_key="sale/2")
    load(home, url, "journal_entries", key_field=key_field)
    assert home.one("select platform_ref from raw_erp.journal_entries") == reference


def test_amounts_of_the_ledger_are_exact(home: Home, site: FakeSite, url: str) -> None:
    """ERPNext sends amounts as floats: they were rounded in silence, or what its own arithmetic left was refused."""
    line = {
        "company": "c",
        "posting_date": "2026-11-05",
        "account": "a",
        "account_currency": "USD",
        "credit": 0.0,
        "debit_in_account_currency": 0.0,
        "credit_in_account_currency": 0.0,
        "voucher_type": "Journal Entry",
        "voucher_no": "JE-1",
        "is_cancelled": 0,
    }
    site.documents["GL Entry"] = [
        {**line, "name": f"GL-{number}", "debit": debit, "modified": f"2026-11-05 10:00:0{number}.000000"}
        for number, debit in enumerate([0.1, 1234567890.12, 99.999912345, 0.30000000000000004, 1e-17, 1e300])
    ]
    counts = load(home, url, "gl_entries")["gl_entries"]
    assert [row[0] for row in home.query("select debit from raw_erp.gl_entries order by id")] == [
        Decimal("0.1000"),
        Decimal("1234567890.1200"),
        Decimal("99.999912345"),
        Decimal("0.3"),
        Decimal(0),
    ]
    assert (counts.received, counts.loaded, counts.quarantined) == (6, 5, 1)
    (refused,) = home.quarantined()
    assert (refused["record_key"], refused["field"]) == ("GL-5", "debit")


def test_all_lists_are_read_and_logged(home: Home, site: FakeSite, url: str) -> None:
    """A list without documents could not be told from one that is not read."""
    load(home, url, *source_module.KINDS, "deletions")
    assert home.logged() == dict.fromkeys([*source_module.KINDS, "deletions"], (0, 0, 0))
    assert site.keys == {"token key:canary-secret"}


def test_what_is_no_erpnext_is_an_error(home: Home) -> None:
    """A log-in page with status 200 was taken for an ERP without accounts."""

    async def respond(_: Any) -> Response:
        return PlainTextResponse("<html>Login</html>")

    with (
        running(Starlette(routes=[Route("/api/resource/{doctype}", respond)])) as address,
        pytest.raises(Exception, match="Account did not answer with an ERPNext list"),
    ):
        load(home, address, "accounts")


def shipped(order: str, sku: str, pieces: int, day: int, **more: Any) -> ShippedLine:
    return ShippedLine(US, order, sku, pieces, datetime(2026, 11, day, 9, 30), **more)  # noqa: DTZ001 - the ERP's own


@contextmanager
def stocked(folder: Path, **options: Any) -> Iterator[tuple[str, Any]]:
    """The simulated site with stock and deliveries; its address, and the site to change things in."""
    lines = [
        shipped("1001", "MUG-1", 2, 3, tracking_number="1Z"),
        shipped("1001", "POT-1", 1, 3, tracking_number="1Z"),
        shipped("1001", "MUG-1", 1, 5, is_return=True),
    ]
    seed = add_deliveries(SEED, lines, in_stock=10, reserved={"MUG-1": 4})
    app = create_app(folder / "erp.sqlite", seed, KEY, SECRET, **options)
    with running(app) as url:
        yield url, app.state.site
    app.state.site.close()


ACCESS = {"api_key": KEY, "api_secret": SECRET}


def test_stock_and_deliveries(home: Home, tmp_path: Path) -> None:
    """The lines of a delivery are a list of their own, returns are negative, and a Bin names no company."""
    with stocked(tmp_path) as (address, _):
        load(home, address, "stock_levels", "stock_movements", "deliveries", **ACCESS)
    levels = "select company, location, sku, on_hand, reserved from raw_erp.stock_levels order by sku"
    assert home.query(levels) == [
        (US, "Stores - CP", "MUG-1", Decimal(10), Decimal(4)),
        (US, "Stores - CP", "POT-1", Decimal(10), Decimal(0)),
    ]
    notes = home.query(
        "select id, is_return, return_against, order_reference, shipped_on, tracking_number, docstatus "
        "from raw_erp.deliveries order by id"
    )
    first, second = (row[0] for row in notes)
    assert [row[1:] for row in notes] == [
        (False, None, "1001", "2026-11-03 09:30:00", "1Z", 1),
        (True, first, "1001", "2026-11-05 09:30:00", None, 1),
    ]
    assert home.query("select delivery_id, sku, quantity from raw_erp.delivery_lines order by 1, 2") == [
        (first, "MUG-1", Decimal(2)),
        (first, "POT-1", Decimal(1)),
        (second, "MUG-1", Decimal(1)),
    ]
    assert home.query(
        "select from_location, to_location, sum(quantity) from raw_erp.stock_movements group by 1, 2 order by 1, 2"
    ) == [("Stores - CP", None, Decimal(3)), (None, "Stores - CP", Decimal(23))]
    assert '"items":[{"name":"dni' in home.one("select _payload from raw_erp.deliveries where not is_return")


def test_a_cancelled_delivery_is_seen(home: Home, tmp_path: Path) -> None:
    """Goods that never left counted as shipped."""
    with stocked(tmp_path) as (address, site):
        load(home, address, "stock_levels", "stock_movements", "deliveries", **ACCESS)
        note = home.one("select id from raw_erp.deliveries where not is_return")
        with site.transaction():
            site.update("Delivery Note", note, {"docstatus": 2})
        load(home, address, "stock_levels", "stock_movements", "deliveries", **ACCESS)
    assert home.query("select docstatus, status, shipped_on from raw_erp.deliveries where not is_return") == [
        (2, "Cancelled", None)
    ]
    assert home.query("select sku, on_hand from raw_erp.stock_levels order by sku") == [
        ("MUG-1", Decimal(12)), ("POT-1", Decimal(11)),
    ]  # fmt: skip
    assert home.one("select count(*) from raw_erp.stock_movements where docstatus = 2") == 4


def test_deletions_are_read_from_the_erps_own_list(home: Home, tmp_path: Path) -> None:
    """A deleted draft stayed in the warehouse; an account that is renamed leaves no trace but its absence."""
    with stocked(tmp_path) as (address, site):
        with site.transaction():
            draft = site.insert("Delivery Note", {"company": US, "customer": "Ada"})["name"]
        load(home, address, **ACCESS)
        account = home.one("select min(id) from raw_erp.accounts")
        with site.transaction():
            site.delete("Delivery Note", draft)
            site._connection.execute('update "Account" set name = ? where name = ?', ("Renamed - CP", account))
        load(home, address, **ACCESS)
        before = home.content("erp")
        load(home, address, **ACCESS)
        assert home.content("erp") == before
    assert home.query("select table_name, id, is_deleted, found_by from raw_erp.deletions order by 1") == [
        ("accounts", account, True, "comparison"),
        ("deliveries", draft, True, "deleted_document"),
    ]


def test_what_a_user_may_not_read_stops_nothing_else(home: Home, tmp_path: Path) -> None:
    """One missing role took the whole ERP with it: Custom Field needs a right that few users have."""
    with stocked(tmp_path, forbidden={"Custom Field", "Bin", "Deleted Document"}) as (address, _):
        counts = load(home, address, **ACCESS)
        found = examine(settings_for(address, **ACCESS), tmp_path)
    assert counts["accounts"].loaded > 0
    assert counts["deliveries"].loaded == 2
    notes = {name: " ".join(count.notes) for name, count in counts.items() if count.notes}
    assert "stock_levels of erp_main are not loaded: our user may not read Bin" in notes["stock_levels"]
    assert "our posting keys are not read" in notes["journal_entries"]
    assert set(notes) == {"stock_levels", "journal_entries", "deletions"}
    assert "not to be read: stock_levels (our user may not read Bin" in found


def test_refused_keys_say_so(home: Home, tmp_path: Path) -> None:
    """A wrong key came up as an HTTP status, or as an ERP without accounts."""
    with stocked(tmp_path) as (address, _), pytest.raises(Exception, match="ERPNext refused api_key and api_secret"):
        examine(settings_for(address, api_key=KEY, api_secret="wrong-canary"), tmp_path)


def test_a_site_that_was_restored_is_read_whole(home: Home, site: FakeSite, url: str) -> None:
    """After a restore nothing is as new as the cursor: what was posted since then was never read."""
    site.entry(1, "2026-11-05 10:00:00.000000")
    site.entry(2, "2026-11-05 12:00:00.000000")
    load(home, url, "journal_entries")
    site.documents["Journal Entry"] = site.documents["Journal Entry"][:1]
    site.entry(3, "2026-11-05 10:30:00.000000")
    counts = load(home, url, "journal_entries")
    assert "JE-003" in names(home)
    assert "as after a restore" in counts["journal_entries"].notes[0]


def test_a_first_load_that_is_killed_goes_on_at_its_checkpoint(home: Home, site: FakeSite, url: str) -> None:
    """A kill in the third hour read all documents anew, or left out what a moment held beyond its page."""
    for position in range(20):
        # Seven documents share a moment: there a walk cannot stop.
        second = 5 if 5 <= position < 12 else position
        site.entry(position, f"2026-11-05 10:{second:02}:00.500000")
    erp = settings_for(url)

    def source(intake: Intake) -> Any:
        intake.portion = 4
        return erp_source(erp, intake).with_resources("journal_entries")

    def fail(number: int) -> None:
        if number == 5:
            raise RuntimeError

    site.before_page = fail
    with pytest.raises(Exception, match="500"):
        home.load("erp", "erp_main", source)
    loaded = names(home)
    assert 0 < len(loaded) < 20
    site.before_page = lambda _number: None
    site.queries.clear()
    site.documents["Journal Entry"][0] |= {"docstatus": 2, "modified": "2026-11-05 12:00:00.000000"}
    home.load("erp", "erp_main", source)
    assert names(home) == [f"JE-{position:03}" for position in range(20)]
    assert home.one("select docstatus from raw_erp.journal_entries where id = 'JE-000'") == 2
    # From the checkpoint less the overlap, once; the portions of the same load go on exactly.
    assert site.queries[0]["filters"] != []
    assert len(site.queries) < 20
