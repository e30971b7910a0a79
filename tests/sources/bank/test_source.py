"""Statement files in a folder, through dlt into the warehouse."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.ops import drift
from retail_assets.ops.store import open_store
from retail_assets.sandbox import bank as sandbox
from retail_assets.sandbox.profiles import BANKS
from retail_assets.settings import Bank, instance_of
from retail_assets.sources.bank import bank_source
from retail_assets.sources.intake import Counts
from tests.sources.bank.files import IBAN, balance, document, entry, page, statement
from tests.sources.loading import Home

BANK = instance_of(
    "banks",
    {
        "id": "bank_de",
        "entity": "DE",
        "format": "camt.053",
        "folder": "bank_de",
        "account": IBAN,
        "currency": "EUR",
    },
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder a bank's statements are dropped into."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, folder: Path) -> Mapping[str, Counts]:
    return home.load("bank", BANK.id, lambda intake: bank_source(BANK, folder, intake))


def entries(home: Home) -> list[tuple[str, int, Decimal]]:
    return home.query("select statement_id, entry_number, amount from raw_bank.entries order by all")


GOOD = document(statement(entry("10.00"), entry("-4.00"), closing="106.00", identifier="GOOD"))


def test_a_bad_file_stops_no_other_and_heals(home: Home, folder: Path) -> None:
    """One corrupt file held back every statement, or was skipped without a trace, or stayed an alarm for ever."""
    (folder / "1_bad.xml").write_bytes(GOOD[:-40].replace(b"GOOD", b"LATE"))
    (folder / "2_foreign.xml").write_bytes(
        document(statement(identifier="FOREIGN", account="<IBAN>DE02120300000000202051</IBAN>"))
    )
    (folder / "3_sum.xml").write_bytes(document(statement(entry("1.00"), closing="999.00", identifier="SUM")))
    (folder / "4_good.xml").write_bytes(GOOD)
    for name in ("5_unfinished.xml.tmp", ".6_hidden.xml", "7.xml.part", "8.XML.FILEPART"):
        (folder / name).write_bytes(b"<half")
    (folder / "archive").mkdir()
    counts = load(home, folder)["statements"]
    assert (counts.received, counts.loaded, counts.quarantined) == (4, 1, 3)
    assert home.logged() == {"statements": (4, 1, 3)}
    assert entries(home) == [("GOOD", 1, Decimal("10.0000")), ("GOOD", 2, Decimal("-4.0000"))]
    refused = {row["record_key"]: row for row in home.quarantined()}
    assert refused.keys() == {"1_bad.xml", "FOREIGN", "SUM"}
    assert "line 1" in refused["1_bad.xml"]["reason"]
    assert refused["FOREIGN"]["value"] == "DE02120300000000202051"
    assert IBAN in refused["FOREIGN"]["reason"]
    assert refused["SUM"]["origin"] == "3_sum.xml, statement 1"

    (folder / "1_bad.xml").write_bytes(GOOD.replace(b"GOOD", b"LATE"))
    (folder / "3_sum_corrected.xml").write_bytes(document(statement(entry("1.00"), closing="101.00", identifier="SUM")))
    (folder / "3_sum.xml").unlink()
    load(home, folder)
    assert {row["record_key"] for row in home.quarantined()} == {"FOREIGN"}
    assert {row["record_key"] for row in home.quarantined("superseded")} == {"1_bad.xml", "SUM"}
    assert [key[0] for key in entries(home)] == ["GOOD", "GOOD", "LATE", "LATE", "SUM"]


def test_a_file_is_loaded_once(home: Home, folder: Path) -> None:
    """A statement that the bank sent twice, or that was copied under another name, doubled the cash."""
    (folder / "a.xml").write_bytes(GOOD)
    (folder / "copy of a.xml").write_bytes(GOOD)
    assert load(home, folder)["statements"].received == 1
    before = home.content("bank")
    (folder / "b.xml").write_bytes(GOOD)
    assert load(home, folder)["statements"].received == 0
    assert home.content("bank") == before
    assert home.logged() == {"statements": (0, 0, 0)}


@pytest.mark.parametrize("arrival", ["together", "in order", "late"])
def test_the_version_made_last_holds(home: Home, folder: Path, arrival: str) -> None:
    """A corrected statement kept the entries of the wrong one, or lost to it because of its file name."""
    wrong = document(
        statement(entry("10.00"), entry("5.00"), entry("-3.00"), closing="112.00", made_at="2026-11-05T01:00:00Z")
    )
    right = document(statement(entry("11.00"), entry("1.00"), closing="112.00", made_at="2026-11-06T01:00:00Z"))
    files = [("a_wrong.xml", wrong), ("b_right.xml", right)]
    for name, content in files if arrival != "late" else files[::-1]:
        (folder / name).write_bytes(content)
        if arrival != "together":
            load(home, folder)
    counts = load(home, folder)["statements"]
    assert entries(home) == [("STMT-1", 1, Decimal("11.0000")), ("STMT-1", 2, Decimal("1.0000"))]
    assert home.query("select entry_count, file_name from raw_bank.statements") == [(2, "b_right.xml")]
    assert counts.received == counts.loaded
    if arrival == "together":
        assert "a_wrong.xml: statement STMT-1 is an older version" in counts.notes[0]


def test_a_quiet_day_is_loaded(home: Home, folder: Path) -> None:
    """A statement without entries ended the load."""
    (folder / "quiet.xml").write_bytes(document(statement()))
    assert load(home, folder)["statements"].loaded == 1
    assert entries(home) == []


def test_no_folder_is_no_files(home: Home, tmp_path: Path) -> None:
    """A bank whose first file has not arrived yet failed the run."""
    assert load(home, tmp_path / "nowhere")["statements"].received == 0


def configured(system: str, **parts: Any) -> Bank:
    block = {"id": BANK.id, "entity": "DE", "format": system, "folder": "b", "account": IBAN, "currency": "EUR"}
    return instance_of("banks", {**block, **parts})


def load_as(home: Home, folder: Path, bank: Bank) -> Counts:
    return home.load("bank", bank.id, lambda intake: bank_source(bank, folder, intake))["statements"]


def test_a_foreign_statement_is_an_alarm_once(home: Home, folder: Path) -> None:
    """A neighbour's statement in the folder was refused again at every run, for ever."""
    (folder / "foreign.xml").write_bytes(document(statement(account="<IBAN>DE02120300000000202051</IBAN>")))
    assert load(home, folder)["statements"].quarantined == 1
    assert load(home, folder)["statements"].received == 0
    other = configured("camt.053", account="DE02120300000000202051")
    counts = load_as(home, folder, other)
    assert (counts.received, counts.loaded) == (1, 1), "the account was corrected, so the file is read again"


def test_a_corrected_statement_without_entries_names_its_file(home: Home, folder: Path) -> None:
    """Entries of a version that no longer holds must be told from those that do: by the file they are from."""
    (folder / "a.xml").write_bytes(document(statement(entry("5.00"), closing="105.00", made_at="2026-11-05T01:00:00Z")))
    load(home, folder)
    (folder / "b.xml").write_bytes(document(statement(made_at="2026-11-06T01:00:00Z")))
    load(home, folder)
    left = home.query(
        "select count(*) from raw_bank.entries join raw_bank.statements using (bank_id, account_id, statement_id, "
        "file_sha256)"
    )
    assert left == [(0,)]


def test_a_file_too_large_is_not_read(home: Home, folder: Path) -> None:
    """A file of 20 GB in the folder took the machine's memory."""
    (folder / "a.xml").write_bytes(b" " * ((1 << 20) + 1))
    counts = load_as(home, folder, configured("camt.053", largest_file_mb=1))
    assert counts.quarantined == 1
    assert "largest_file_mb" in home.quarantined()[0]["reason"]


def test_overlapping_downloads_count_once(home: Home, folder: Path) -> None:
    """Each export repeats the last days of the one before: the cash was there twice, or half a day was missing."""
    mapping = {"columns": {"booking_date": "Day", "amount": "Amount"}}
    bank = configured("csv", mapping=mapping)
    (folder / "export.csv").write_text("Day,Amount\n2026-11-02,1.00\n2026-11-03,2.00\n")
    load_as(home, folder, bank)
    (folder / "export (1).csv").write_text("Day,Amount\n2026-11-03,2.00\n2026-11-03,3.00\n2026-11-04,4.00\n")
    load_as(home, folder, bank)
    (folder / "an older one.csv").write_text("Day,Amount\n2026-11-01,9.00\n2026-11-02,0.50\n")
    load_as(home, folder, bank)
    assert home.query("select statement_id, amount from raw_bank.entries order by all") == [
        ("2026-11-01", Decimal(9)),
        ("2026-11-02", Decimal(1)),
        ("2026-11-03", Decimal(2)),
        ("2026-11-03", Decimal(3)),
        ("2026-11-04", Decimal(4)),
    ]


def test_a_new_column_of_an_export_is_drift(home: Home, folder: Path) -> None:
    """The bank added a column, for its fees perhaps, and nobody was told."""
    bank = configured("csv", mapping={"columns": {"booking_date": "Day", "amount": "Amount"}})
    contents = (
        "Day,Amount\n2026-11-02,1.00\n",
        "Amount,Day\n2.00,2026-11-03\n",
        "Day,Amount,Fee\n2026-11-04,3.00,0.1\n",
    )
    for number, content in enumerate(contents):
        (folder / f"{number}.csv").write_text(content)
        load_as(home, folder, bank)
    operations = open_store(home.operations_url)
    found = [(row["table_name"], row["field"], row["kind"]) for row in drift.rows(operations)]
    operations.dispose()
    assert found == [("statements", "Fee", "added")]


@pytest.mark.parametrize("system", ["mt940", "ofx", "csv", "camt.053"])
def test_every_format_fills_the_same_tables(home: Home, folder: Path, system: str) -> None:
    """A bank that sends no CAMT.053 had no statements; reading twice changes nothing."""
    day = date(2026, 11, 3)
    booked = sandbox.BankEntry(1050, day, day, "NOTPROVIDED", "STRIPE PAYOUT po_1", "Stripe Payments")
    item = sandbox.Statement(BANKS["bank_de"], "S-1", 1, day, 10_000, (booked,))
    parts = {"mapping": sandbox.CSV_MAPPING} if system == "csv" else {}
    bank = configured(system, account=item.bank.account, **parts)
    if system in ("ofx", "csv"):
        {"ofx": sandbox.write_ofx, "csv": sandbox.write_csv}[system]([item], folder)
    else:
        {"mt940": sandbox.write_mt940, "camt.053": sandbox.write_statement}[system](item, folder)
    assert load_as(home, folder, bank).loaded == 1
    before = home.content("bank")
    assert load_as(home, folder, bank).received == 0
    assert home.content("bank") == before
    assert home.query("select amount, value_date, counterparty from raw_bank.entries") == [
        (Decimal("10.5"), day, "Stripe Payments")
    ]
    assert "po_1" in home.one("select remittance_text from raw_bank.entries")
    assert home.query("select account_id, opening_balance, closing_balance from raw_bank.statements") == [
        (item.bank.account, Decimal(100), Decimal("110.5"))
    ]


def test_pages_load_as_they_arrive_and_a_missing_one_breaks_the_chain(home: Home, folder: Path) -> None:
    """The first pages of a statement waited for the last for ever, or a lost page was noticed by nobody."""
    pages = [
        page(1, False, balance("OPBD", "100.00"), balance("ITBD", "110.00"), entry("10.00")),
        page(2, False, balance("ITBD", "110.00"), balance("ITBD", "90.00"), entry("-20.00")),
        page(3, True, balance("ITBD", "90.00"), balance("CLBD", "95.00"), entry("5.00")),
    ]
    chain = """
        select statement_id, opening_balance = lag(closing_balance) over (order by closing_date, statement_id)
        from raw_bank.statements order by statement_id
    """
    for number in (1, 3):
        (folder / f"page{number}.xml").write_bytes(pages[number - 1])
    load(home, folder)
    assert home.query(chain) == [("STMT-1/00001", None), ("STMT-1/00003", False)]
    (folder / "page2.xml").write_bytes(pages[1])
    (folder / "page3 again.xml").write_bytes(pages[2] + b"\n")
    load(home, folder)
    assert home.query(chain) == [("STMT-1/00001", None), ("STMT-1/00002", True), ("STMT-1/00003", True)]
    assert sum(amount for _, _, amount in entries(home)) == -5
    assert home.quarantined() == []


def test_what_to_know_of_a_file_is_noted(home: Home, folder: Path) -> None:
    """A file without rows passed for a day without transactions."""
    mapping = sandbox.CSV_MAPPING
    block = {"id": "bank_de", "entity": "DE", "folder": "x", "account": IBAN, "currency": "EUR", "format": "csv"}
    bank = instance_of("banks", {**block, "mapping": mapping})
    statements = sandbox.make_statements(BANKS["bank_de"], [], date(2026, 11, 2), date(2026, 11, 2))
    (path,) = [sandbox.write_csv(statements, folder)]
    counts = home.load("bank", bank.id, lambda intake: bank_source(bank, folder, intake))["statements"]
    assert counts.notes == [f"{path.name}: has no rows"]
    assert (counts.received, counts.quarantined) == (0, 0)
