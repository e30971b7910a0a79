"""A real Tryton through dlt into the warehouse."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from retail_assets.erp.errors import CredentialsError
from retail_assets.settings import Erp, instance_of
from retail_assets.sources.erp import erp_source, examine
from retail_assets.sources.erp import tryton as source_module
from retail_assets.sources.intake import Counts, Intake
from tests.sources.loading import Home
from tests.support.tryton import COMPANY, DATABASE, LOGIN, PASSWORD, RunningTryton

DAY = {"__class__": "date", "year": 2026, "month": 11, "day": 5}


def settings_for(url: str, **changes: Any) -> Erp:
    block = {"id": "books", "system": "tryton", "base_url": url, "database": DATABASE, "retries": 0}
    return instance_of("erps", {**block, "login": LOGIN, "password": PASSWORD, **changes})


def load(home: Home, server: RunningTryton, *resources: str, **changes: Any) -> Mapping[str, Counts]:
    erp = settings_for(server.url, **changes)

    def source(intake: Any) -> Any:
        made = erp_source(erp, intake)
        return made.with_resources(*resources) if resources else made

    return home.load("erp", "books", source)


def context(server: RunningTryton) -> dict[str, Any]:
    return {"company": server.call("model.company.company.search", [], 0, None, None, {})[0]}


def draft(server: RunningTryton, text: str) -> int:
    """A draft journal entry over 1.00."""
    here = context(server)
    account = server.call("model.account.account.search", [["code", "=", "1.1.1"]], 0, 1, None, here)[0]
    journal = server.call("model.account.journal.search", [["code", "=", "MISC"]], 0, 1, None, here)[0]
    period = server.call(
        "model.account.period.search", [["start_date", "<=", DAY]], 0, 1, [["start_date", "DESC"]], here
    )
    one, zero = ({"__class__": "Decimal", "decimal": text} for text in ("1.00", "0"))
    lines = [{"account": account, "debit": one, "credit": zero}, {"account": account, "debit": zero, "credit": one}]
    values = {"description": text, "date": DAY, "period": period[0], "journal": journal, "lines": [["create", lines]]}
    return server.call("model.account.move.create", [values], here)[0]


def test_books_and_documents_arrive(home: Home, tryton: RunningTryton) -> None:
    """Decimals and dates are objects in Tryton's JSON, references are texts: none of them fitted a column."""
    counts = load(home, tryton)
    assert {name for name, count in counts.items() if count.notes} == set()
    assert home.quarantined() == []
    assert counts["accounts"].loaded == home.one("select count(*) from raw_erp.accounts") > 50
    entries = home.query(
        "select id, number, company, entry_type, posting_date::varchar, docstatus, total_debit, reference "
        "from raw_erp.journal_entries where docstatus = 1 order by id"
    )
    assert entries == [
        ("1", "1", COMPANY, "entry", "2026-11-05", 1, Decimal("88.01"), "settl-1"),
        ("2", "2", COMPANY, "account.invoice", "2026-11-05", 1, Decimal("25.00"), None),
        ("3", "3", COMPANY, "account.invoice", "2026-11-05", 1, Decimal("12.50"), None),
    ]
    assert home.query(
        "select debit, credit, gl_entries.currency, currency_amount, voucher_type, voucher_id "
        "from raw_erp.gl_entries join raw_erp.accounts on accounts.id = account_id "
        "where voucher_number = '1' order by 1"
    ) == [
        (Decimal(0), Decimal("88.01"), "EUR", None, "account.move", "1"),
        (Decimal("2.71"), Decimal(0), "USD", Decimal("3.18"), "account.move", "1"),
        (Decimal("85.30"), Decimal(0), "EUR", None, "account.move", "1"),
    ]
    assert home.query(
        "select number, total_amount, outstanding_amount, is_return, order_reference, docstatus, currency "
        "from raw_erp.sales_invoices order by id"
    ) == [
        ("1", Decimal("25.00"), Decimal("25.00"), False, "1001", 1, "EUR"),
        ("2", Decimal("-12.50"), Decimal("-12.50"), True, "1001", 1, "EUR"),
    ]


def test_rates_are_those_of_the_companys_currency(home: Home, tryton: RunningTryton) -> None:
    """Tryton's rates are relative to each other: that of the company's own currency need not be 1."""
    load(home, tryton, "exchange_rates")
    ours = home.query(
        "select date::varchar, from_currency, to_currency, exchange_rate from raw_erp.exchange_rates "
        "where from_currency = 'USD' and date > '2000-01-01' order by date"
    )
    base = Decimal(tryton.call("model.currency.currency.rate.search_read", [["currency.code", "=", "EUR"]], 0, 1, None,
                               ["rate"], {})[0]["rate"]["decimal"])  # fmt: skip
    expected = [(base / Decimal(rate)).quantize(Decimal("1e-12")) for rate in ("1.15", "1.1723")]
    assert ours == [("2026-10-01", "USD", "EUR", expected[0]), ("2026-11-01", "USD", "EUR", expected[1])]


def test_stock_and_deliveries(home: Home, tryton: RunningTryton) -> None:
    """Stock is computed and reservations are moves: on hand, promised and shipped were not to be told apart."""
    load(home, tryton, "stock_levels", "stock_movements", "deliveries")
    assert home.query("select company, location, sku, on_hand, reserved from raw_erp.stock_levels") == [
        (COMPANY, "Warehouse", "MUG-1", Decimal(41), Decimal(5))
    ]
    assert home.query(
        "select id, is_return, order_reference, shipped_on, docstatus, status from raw_erp.deliveries order by id"
    ) == [
        ("stock.shipment.out,1", False, "1001", "2026-11-05", 1, "done"),
        ("stock.shipment.out,2", False, "1002", None, 0, "assigned"),
        ("stock.shipment.out.return,1", True, "1001", "2026-11-05", 1, "done"),
    ]
    assert home.query("select delivery_id, sku, quantity from raw_erp.delivery_lines order by 1") == [
        ("stock.shipment.out,1", "MUG-1", Decimal(2)),
        ("stock.shipment.out,2", "MUG-1", Decimal(5)),
        ("stock.shipment.out.return,1", "MUG-1", Decimal(1)),
    ]
    assert home.query(
        "select from_location, to_location, quantity from raw_erp.stock_movements where voucher_id is null"
    ) == [("Supplier", "Storage Zone", Decimal(42))]


def test_the_payload_is_the_record_as_sent(home: Home, tryton: RunningTryton) -> None:
    """A trace that ends at our own rewriting of a record proves nothing."""
    load(home, tryton, "sales_invoices")
    payload = home.one("select _payload from raw_erp.sales_invoices where id = '1'")
    assert '"total_amount":{"__class__":"Decimal","decimal":"25.00"}' in payload.replace(" ", "")


def test_reading_again_changes_nothing(home: Home, tryton: RunningTryton) -> None:
    """The overlap of the second load brought versions that differed, or doubled lines."""
    load(home, tryton, compare_hours=0)
    before = home.content("erp")
    load(home, tryton, compare_hours=0)
    assert home.content("erp") == before


def test_changes_and_deletions_are_seen(home: Home, tryton: RunningTryton) -> None:
    """write_date is null until the first change, and a deleted draft leaves no trace at all."""
    here = context(tryton)
    load(home, tryton, compare_hours=0)
    created, deleted = draft(tryton, "later"), draft(tryton, "mistake")
    load(home, tryton, compare_hours=0)
    assert {("later",), ("mistake",)} < set(home.query("select reference from raw_erp.journal_entries"))
    tryton.call("model.account.move.write", [created], {"description": "changed"}, here)
    tryton.call("model.account.move.delete", [deleted], here)
    counts = load(home, tryton, compare_hours=0)
    assert home.one("select reference from raw_erp.journal_entries where id = ?", str(created)) == "changed"
    gone = home.query("select table_name, id, is_deleted, found_by from raw_erp.deletions order by 1, 2")
    assert ("journal_entries", str(deleted), True, "comparison") in gone
    assert {table for table, *_ in gone} == {"journal_entries", "gl_entries"}
    assert counts["deletions"].loaded == 3
    tryton.call("model.account.move.delete", [created], here)


def test_small_pages_lose_nothing(home: Home, tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that ends on a full one was taken for the last, or the next began with the same record."""
    load(home, tryton)
    at_once = home.content("erp")
    for size in (1, 7):
        monkeypatch.setattr(source_module, "_PAGE_SIZE", size)
        other = Home(home.path / f"pages{size}")
        other.path.mkdir()
        load(other, tryton, *([] if size > 1 else ["sales_invoices", "deliveries", "stock_levels"]))
        content = other.content("erp")
        assert {name: rows for name, rows in content.items() if rows} == {
            name: at_once[name] for name, rows in content.items() if rows
        }


def test_rest_gives_the_same_rows(home: Home, tryton: RunningTryton) -> None:
    """With the key of a user application the answers have another form; the rows must not."""
    user = tryton.call("model.res.user.search", [["login", "=", LOGIN]], 0, 1, None, {})[0]
    made = tryton.call("model.res.user.application.create", [{"application": "rest", "user": user}], {})
    key = tryton.call("model.res.user.application.read", made, ["key"], {})[0]["key"]
    load(home, tryton)
    over_rest = Home(home.path / "rest")
    over_rest.path.mkdir()
    counts = load(over_rest, tryton, login=None, password=None, api_key=key)
    assert {name: count.notes for name, count in counts.items() if count.notes} == {}

    def rows(of: Home) -> dict[str, list[tuple[Any, ...]]]:
        names = ("accounts", "journals", "journal_entries", "gl_entries", "sales_invoices", "exchange_rates",
                 "stock_levels", "stock_movements", "deliveries")  # fmt: skip
        return {
            name: of.query(f"select * exclude (_payload, _payload_sha256, _loaded_at) from raw_erp.{name} order by all")
            for name in names
        }

    assert rows(over_rest) == rows(home)
    assert examine(settings_for(tryton.url, login=None, password=None, api_key=key), home.path)
    with pytest.raises(Exception, match="refused our api_key"):
        load(home, tryton, "accounts", login=None, password=None, api_key="wrong-canary")


def test_what_cannot_be_read_stops_nothing_else(
    home: Home, tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is not activated took the books with it."""
    kind = source_module.Kind("account.payment", ("number",), source_module._journal)
    monkeypatch.setattr(source_module, "KINDS", {**source_module.KINDS, "payments": (kind,)})
    counts = load(home, tryton, "payments", "sales_invoices")
    assert counts["sales_invoices"].loaded == 2
    (note,) = counts["payments"].notes
    assert "payments of books are not loaded: Tryton has no model account.payment" in note
    assert "payments (Tryton has no model account.payment" in examine(settings_for(tryton.url), home.path)


def test_refused_log_ins_say_what_to_do(home: Home, tryton: RunningTryton) -> None:
    """A wrong password came up as an HTTP status, and trying again blocked the user."""
    with pytest.raises(CredentialsError, match="refused our login and password"):
        examine(settings_for(tryton.url, password="wrong-canary"), home.path)
    with pytest.raises(CredentialsError, match="does not exist: check base_url, database and series"):
        examine(settings_for(tryton.url, database="nodb"), home.path)
    with pytest.raises(CredentialsError, match="give login and password"):
        examine(settings_for(tryton.url, login=None), home.path)
    assert examine(settings_for(tryton.url), home.path) == f"answers at {tryton.url}"


def test_a_long_first_load_is_taken_in_portions(
    home: Home, tryton: RunningTryton, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portion began a company or a kind of shipment anew, or skipped what a position did not tell apart."""
    load(home, tryton)
    monkeypatch.setattr(source_module, "_PAGE_SIZE", 3)
    erp = settings_for(tryton.url)
    portions: list[set[str]] = []

    def source(intake: Intake) -> Any:
        intake.portion = 4
        portions.append(set(intake.unfinished))
        return erp_source(erp, intake).with_resources("journals", "journal_entries", "deliveries", "exchange_rates")

    other = Home(home.path / "other")
    other.path.mkdir()
    other.load("erp", "books", source)
    assert len(portions) > 2
    for name in ("journals", "journal_entries", "deliveries", "delivery_lines", "exchange_rates"):
        assert other.content("erp")[name] == home.content("erp")[name]
