"""An ERPNext site through dlt into the warehouse."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from retail_assets.sources.erp import erp_source
from retail_assets.sources.erp import erpnext as source_module
from retail_assets.sources.intake import Counts
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
    return home.load("erp", "erp_main", lambda intake: erp_source(erp, intake).with_resources(*resources))


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
