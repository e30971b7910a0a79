"""Settlement and transaction detail reports: every layout that is known, and whatever else a folder may hold."""

import csv
import io
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.sandbox import paypal
from retail_assets.settings import instance_of
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.paypal import build
from retail_assets.sources.paypal.layout import ReportError, moment, read_layout
from retail_assets.sources.paypal.reports import TOTALS, Report
from tests.sources.loading import NOW, Home
from tests.sources.paypal.account import ledger, reports_block

COLUMNS = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type", "Transaction Event Code",
    "Transaction Initiation Date", "Transaction Completion Date", "Transaction Debit or Credit",
    "Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency",
    "Custom Field", "Consumer ID", "Payment Tracking ID", "Store ID", "Bank Reference ID", "Credit Transactional Fee",
    "Credit Promotional Fee", "Credit Term",
)  # fmt: skip
OLD_COLUMNS = COLUMNS[:15]
MADE = "2026/01/07 02:44:19 -0800"
START, END = "2026/01/06 00:00:00 -0800", "2026/01/06 23:59:59 -0800"


def body(number: int, **changes: Any) -> dict[str, Any]:
    """A sale of 52.00 with a fee of 2.25."""
    return {
        "Transaction ID": f"{number:017d}",
        "Invoice ID": f"WC-{number}",
        "Transaction Event Code": "T0006",
        "Transaction Initiation Date": "2026/01/06 00:00:30 -0800",
        "Transaction Completion Date": "2026/01/06 00:00:31 -0800",
        "Transaction Debit or Credit": "CR",
        "Gross Transaction Amount": "5200",
        "Gross Transaction Currency": "AUD",
        "Fee Debit or Credit": "DR",
        "Fee Amount": "225",
        "Fee Currency": "AUD",
        **changes,
    }


def line(*values: Any, delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(values)
    return out.getvalue()


def footer(rows: list[dict[str, Any]], currency: str = "AUD", **wrong: int) -> list[Any]:
    of_currency = [row for row in rows if row["Gross Transaction Currency"] == currency]

    def total(amount: str, sign: str, value: str) -> int:
        return sum(int(row[amount] or 0) for row in of_currency if row[sign] == value)

    credits = total("Gross Transaction Amount", "Transaction Debit or Credit", "CR")
    debits = total("Gross Transaction Amount", "Transaction Debit or Credit", "DR")
    fees = [total("Fee Amount", "Fee Debit or Credit", sign) for sign in ("CR", "DR")]
    net = credits - debits + fees[0] - fees[1]
    balances = [0, net, 0, net, 0, 0]
    signed = [item for amount in balances for item in ("DR" if amount < 0 else "CR", abs(amount))]
    values = {"credits": credits, "debits": debits, "fee_credits": fees[0], "fee_debits": fees[1]} | wrong
    return [currency, *list(values.values())[:4], *signed, wrong.get("count", len(of_currency))]


def report(
    rows: list[dict[str, Any]],
    columns: tuple[str, ...] = COLUMNS,
    *,
    delimiter: str = ",",
    account: str = "EZ782AXEUJUW8",
    made: str = MADE,
    footers: list[list[Any]] | None = None,
) -> str:
    """A whole report of one section."""
    currencies = sorted({row["Gross Transaction Currency"] for row in rows})
    footers = [footer(rows, currency) for currency in currencies] if footers is None else footers

    def text(*values: Any) -> str:
        return line(*values, delimiter=delimiter)

    return "".join(
        [
            text("RH", made, "A", account, "009", ""),
            text("FH", "01"),
            text("SH", START, END, account, ""),
            text("CH", *columns),
            *(text("SB", *(row.get(name, "") for name in columns)) for row in rows),
            *(text("SF", *values) for values in footers),
            text("SC", len(rows)),
            *(text("RF", *values) for values in footers),
            text("RC", len(rows)),
            text("FF", len(rows)),
        ]
    )


class Read:
    """What became of one file."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.report = Report(read_layout(path), "0" * 64, **options)
        self.rows: list[dict[str, Any]] = []
        self.totals: list[dict[str, Any]] = []
        self.rejected: list[Any] = []
        self.received = 0
        for batch in self.report.batches(instance="paypal_us", loaded_at=NOW):
            self.received += batch.received
            self.rejected += batch.rejected
            for table, rows in batch.tables.items():
                (self.totals if table is TOTALS else self.rows).extend(rows.to_pylist())
        assert self.received == len(self.rows) + len(self.totals) + len(self.rejected)


def read(tmp_path: Path, content: str | bytes, name: str = "STL-20260106.01.009.CSV", **options: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Read(path, **options)


def test_a_report_is_read_with_its_footers(tmp_path: Path) -> None:
    """A sign, a time zone or a footer misread."""
    rows = [body(1), body(2, **{"Transaction Debit or Credit": "DR", "Fee Debit or Credit": "CR", "Fee Amount": "47"})]
    found = read(tmp_path, report(rows))
    assert found.rejected == []
    assert found.report.notes == []
    first, second = found.rows
    assert first["report_id"] == "EZ782AXEUJUW8/2026-01-06/01"
    assert (first["row_number"], second["row_number"]) == (5, 6)
    assert first["transaction_initiation_date"] == datetime(2026, 1, 6, 8, 0, 30, tzinfo=UTC)
    assert (first["gross_transaction_amount"], first["transaction_debit_or_credit"]) == (5200, "CR")
    assert (second["fee_amount"], second["fee_debit_or_credit"]) == (47, "CR")
    section, whole = found.totals
    assert (section["scope"], whole["scope"], whole["section_number"]) == ("section", "report", None)
    assert (section["gross_credits"], section["gross_debits"]) == (5200, 5200)
    assert (section["fee_credits"], section["fee_debits"]) == (47, 225)
    assert (section["ending_available"], section["record_count"]) == (-178, 2)
    assert section["period_end"] == datetime(2026, 1, 7, 7, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    """Old reports are UTF-16, newer ones begin with a byte order mark, and some were opened in a spreadsheet."""
    rows = [body(1, **{"Custom Field": "grüße 🧾"}), body(2)]
    found = read(tmp_path, report(rows).replace("\n", ends).encode(encoding))
    assert [row["custom_field"] for row in found.rows] == ["grüße 🧾", ""]
    assert (len(found.totals), found.rejected) == (2, [])


@pytest.mark.parametrize(
    "columns",
    [
        OLD_COLUMNS,
        tuple(name.replace(" ", "") for name in OLD_COLUMNS),
        tuple(name.replace("Transaction Debit", "Transaction  Debit") for name in COLUMNS),
        COLUMNS[:18],
        tuple(reversed(COLUMNS)),
        (*COLUMNS, "A Column Of 2031"),
    ],
    ids=["old", "camel", "blanks", "as wide as a footer", "reordered", "new"],
)
def test_columns_are_found_by_name(tmp_path: Path, columns: tuple[str, ...]) -> None:
    """A report of another version read by position, or its footers taken for body rows as they are as wide."""
    rows = [{**body(1), **{name: body(1).get(name, "") for name in COLUMNS}}]
    named = {name.replace(" ", ""): value for name, value in rows[0].items()}
    content = report([{**rows[0], **{name: named.get(name.replace(" ", ""), "") for name in columns}}], columns)
    found = read(tmp_path, content)
    assert found.rejected == []
    assert len(found.totals) == 2
    (row,) = found.rows
    assert (row["gross_transaction_amount"], row["fee_amount"], row["invoice_id"]) == (5200, 225, "WC-1")
    assert row["transaction_debit_or_credit"] == "CR"


def test_tabs(tmp_path: Path) -> None:
    """PayPal also delivers reports that are separated by tabs."""
    found = read(tmp_path, report([body(1), body(2)], delimiter="\t"), "STL-20260106.01.009.TAB")
    assert (len(found.rows), len(found.totals), found.rejected) == (2, 2, [])


def test_a_day_without_transactions(tmp_path: Path) -> None:
    """A quiet day was refused, or its balance was lost."""
    content = "".join(
        [
            line("RH", MADE, "A", "EZ782AXEUJUW8", "009"), line("FH", "01"),
            line("SH", START, END, "EZ782AXEUJUW8", ""),
            line("SF", *footer([], "USD")), line("SC", 0), line("FF", 0),
        ]
    )  # fmt: skip
    found = read(tmp_path, content)
    assert (found.rows, len(found.totals), found.rejected) == ([], 1, [])
    assert found.report.notes == ["STL-20260106.01.009.CSV has no rows"]


def test_fee_totals_may_stand_in_either_order(tmp_path: Path) -> None:
    """PayPal does not say which fee column comes first: with the other one every footer with a fee was refused."""
    rows = [body(1), body(2), body(3, **{"Fee Debit or Credit": "CR", "Fee Amount": "10"})]
    swapped = read(tmp_path, report(rows, footers=[footer(rows, fee_credits=450, fee_debits=10)]))
    assert swapped.rejected == []
    assert {(total["fee_credits"], total["fee_debits"]) for total in swapped.totals} == {(10, 450)}
    neither = read(tmp_path, report(rows, footers=[footer(rows, fee_credits=450, fee_debits=11)]))
    assert [r.field for r in neither.rejected] == ["fee_credits", "fee_credits"]


def test_footers_that_their_rows_contradict_are_refused_and_the_rows_load(tmp_path: Path) -> None:
    """A difference between rows and control totals passed in silence, or took the rows with it."""
    rows = [body(1), body(2)]
    wrong = [footer(rows, debits=134)]
    found = read(tmp_path, report(rows, footers=wrong))
    assert len(found.rows) == 2
    assert found.totals == []
    assert [(r.field, r.value) for r in found.rejected] == [("gross_debits", "134"), ("gross_debits", "134")]
    assert "is not what the AUD rows add up to, which is 0" in found.rejected[0].reason
    miscounted = read(tmp_path, report(rows).replace('"SC","2"', '"SC","3"'))
    assert [(r.field, r.value) for r in miscounted.rejected] == [("record count", "3")]
    assert len(miscounted.totals) == 2
    unbalanced = read(tmp_path, report(rows).replace('"CR","9950"', '"CR","9951"'))
    assert unbalanced.rejected == []
    assert "do not give the balance after" in unbalanced.report.notes[0]


def test_an_extract_without_frame_loads_and_says_so(tmp_path: Path) -> None:
    """Half a report: the first and last rows were cut off by whoever passed it on."""
    rows = [body(1), body(2)]
    content = "".join(row for row in report(rows).splitlines(True) if row[1:3] in ("SH", "CH", "SB"))
    found = read(tmp_path, content)
    assert (len(found.rows), found.rejected) == (2, [])
    assert "nothing says whether it is complete" in found.report.notes[0]


def test_sections_of_several_accounts(tmp_path: Path) -> None:
    """A partner's report has a section for each account: each adds up by itself, and strangers stay out."""
    first, second = [body(1), body(2)], [body(3, **{"Gross Transaction Amount": "777"})]
    content = report(first).split('"RF"')[0]
    section = report(second, account="ANOTHERACCT00")
    content += section[section.index('"SH"') : section.index('"RF"')]
    whole = footer(first + second)
    content += line("RF", *whole) + line("RC", 3) + line("FF", 3)
    found = read(tmp_path, content)
    assert [(row["account_id"], row["section_number"]) for row in found.rows] == [
        ("EZ782AXEUJUW8", 1), ("EZ782AXEUJUW8", 1), ("ANOTHERACCT00", 2),
    ]  # fmt: skip
    assert [(row["scope"], row["section_number"]) for row in found.totals] == [
        ("section", 1), ("section", 2), ("report", None),
    ]  # fmt: skip
    assert found.rejected == []
    strict = read(tmp_path, content, account_id="EZ782AXEUJUW8")
    assert [row["transaction_id"][-1] for row in strict.rows] == ["1", "2"]
    assert strict.rejected[0].field == "account_id"
    assert strict.rejected[0].value == "ANOTHERACCT00"


def test_bad_rows_are_named_and_the_others_load(tmp_path: Path) -> None:
    """An amount that is none, a fee without sign, half a date or a short row took the file with it."""
    rows = [
        body(1),
        body(2, **{"Gross Transaction Amount": "52.00"}),
        body(3, **{"Fee Debit or Credit": ""}),
        body(4, **{"Transaction Initiation Date": "2026/13/06 00:00:30 -0800"}),
        body(5, **{"Transaction Debit or Credit": "XX"}),
        body(6, **{"Gross Transaction Amount": "12345678901234567890"}),
        body(7, **{"Transaction Event Code": ""}),
        body(8, **{"Transaction Initiation Date": "2026/01/06", "Transaction ID": "12345678901234567890"}),
        body(9, **{"Fee Amount": "-0", "Fee Debit or Credit": ""}),
        body(10, **{"Transaction Initiation Date": "", "Transaction Completion Date": "2026/01/06 09:00:00 +0100"}),
    ]
    content = report(rows, footers=[])
    content = content.replace('"SC"', '"SB","short row"\n"SC"').replace('"RC"', '"ZZ","?"\n"RC"')
    found = read(tmp_path, content)
    assert [row["invoice_id"] for row in found.rows] == ["WC-1", "WC-9", "WC-10"]
    assert found.rows[2]["transaction_completion_date"] == datetime(2026, 1, 6, 8, tzinfo=UTC)
    faults = {(rejection.field, rejection.value) for rejection in found.rejected}
    assert faults >= {
        ("gross_transaction_amount", "52.00"),
        ("fee_debit_or_credit", None),
        ("transaction_initiation_date", "2026/13/06 00:00:30 -0800"),
        ("transaction_debit_or_credit", "XX"),
        ("gross_transaction_amount", "12345678901234567890"),
        ("transaction_event_code", ""),
        ("transaction_initiation_date", "2026/01/06"),
    }
    assert {rejection.origin for rejection in found.rejected} >= {f"STL-20260106.01.009.CSV, row {n}" for n in (6, 15)}


def test_rows_below_other_columns_are_refused(tmp_path: Path) -> None:
    """A second section whose columns stand in another order was read under the names of the first."""
    first = report([body(1)]).split('"RF"')[0]
    second = report([body(2)], tuple(reversed(COLUMNS)))
    found = read(tmp_path, first + second[second.index('"SH"') : second.index('"RF"')])
    assert [row["invoice_id"] for row in found.rows] == ["WC-1"]
    assert any("names other columns" in rejection.reason for rejection in found.rejected)


def test_hold_and_release_share_an_id_and_both_load(tmp_path: Path) -> None:
    """T1111 replaced the T1110 of the same transaction, and the hold was gone."""
    rows = [
        body(1, **{"Transaction Event Code": "T1110", "Transaction Debit or Credit": "DR"}),
        body(1, **{"Transaction Event Code": "T1111"}),
    ]
    assert [row["transaction_event_code"] for row in read(tmp_path, report(rows)).rows] == ["T1110", "T1111"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Date,Time,Gross,Fee\n2026-01-06,08:00,52,2\n", "begins with 'Date'"),
        ('"RH","2026/01/07 02:44:19 -0800"\n"CH","Case ID","Case status"\n', "neither a settlement"),
        ('"SB","1","2"\n', "before the row CH"),
        ("", "no row CH"),
        ("\x00\x01\x02", "begins with|no row CH"),
    ],
)
def test_other_files_are_none_of_ours(tmp_path: Path, content: str, said: str) -> None:
    """An activity download, a case report or rubbish was read as a settlement report."""
    path = tmp_path / "any.csv"
    path.write_text(content)
    with pytest.raises(ReportError, match=said):
        read_layout(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/01/06 00:00:30 -0800", datetime(2026, 1, 6, 8, 0, 30, tzinfo=UTC)),
        ("2026/03/29 02:30:00 +0200", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("2026-01-06T00:00:30-08:00", datetime(2026, 1, 6, 8, 0, 30, tzinfo=UTC)),
        ("2026/02/30 00:00:30 -0800", None),
        ("yesterday", None),
        ("", None),
        ("0001/01/01 00:00:00 +0800", None),
    ],
)
def test_moments(text: str, expected: datetime | None) -> None:
    """An offset added where it must be taken off, or a day that does not exist."""
    assert moment(text) == expected


CHANGES = st.sampled_from(
    [
        {}, {"Gross Transaction Amount": "-0"}, {"Gross Transaction Amount": "0"}, {"Custom Field": "🧾" * 50},
        {"Custom Field": 'quote " and, comma'}, {"Custom Field": "two\nlines"}, {"Transaction ID": "1" * 20},
        {"Custom Field": "x" * 200_000}, {"Transaction ID": ""}, {"Fee Amount": "", "Fee Debit or Credit": ""},
        {"Gross Transaction Currency": "JPY", "Fee Currency": "JPY"},
    ]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    changes=st.lists(CHANGES, max_size=6),
    columns=st.permutations(COLUMNS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ends=st.sampled_from(["\n", "\r\n"]),
    blank=st.booleans(),
)
def test_no_good_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], columns: Any, encoding: str, ends: str, blank: bool
) -> None:
    """A column elsewhere, a huge or odd field, a blank row or another encoding cost rows that were good."""
    rows = [body(number, **change) for number, change in enumerate(changes, 1)]
    content = report(rows, tuple(columns))
    if blank:
        content = content.replace('"SC"', '\n\n"SC"')
    if not any("\n" in row.get("Custom Field", "") for row in rows):
        content = content.replace("\n", ends)
    found = read(tmp_path_factory.mktemp("fuzz"), content.encode(encoding))
    assert [row["invoice_id"] for row in found.rows] == [row["Invoice ID"] for row in rows]
    assert found.rejected == []


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=1_500), noise=st.binary(max_size=12), at=st.integers(0, 1_500))
def test_damage_never_crashes_and_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes, at: int
) -> None:
    """A transfer that broke off, or bytes that fell in, ended the load or changed an amount."""
    whole = report([body(number) for number in range(1, 5)]).encode()
    damaged = whole[:at] + noise + whole[at : max(at, len(whole) - cut)]
    path = tmp_path_factory.mktemp("fuzz") / "STL-20260106.01.009.CSV"
    path.write_bytes(damaged)
    try:
        found = Read(path)
    except (ReportError, CsvError):
        return
    if not noise:
        assert {row["gross_transaction_amount"] for row in found.rows} <= {5200}
        if b"FF" not in damaged and len(found.rows) < 4:
            assert found.rejected or found.report.notes


def load(home: Home, inbox: Path) -> Any:
    gateway = instance_of("gateways", reports_block())
    return home.load("paypal", gateway.id, lambda intake: build(gateway, intake, inbox))


def test_a_newer_version_replaces_the_report_whatever_its_name(home: Home, tmp_path: Path) -> None:
    """A regenerated report was added to the first one, an older one that came late undid it, or what the first one had
    in quarantine stayed open."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rows = [body(1), body(2), body(3, **{"Fee Debit or Credit": "?"})]
    (inbox / "STL-20260106.01.009.CSV").write_text(report(rows, footers=[footer(rows[:2])]))
    load(home, inbox)
    assert home.one("select count(*) from raw_paypal.report_lines") == 2
    assert len(home.quarantined()) == 1
    newer = [body(1), body(2, **{"Gross Transaction Amount": "5300"}), body(3), body(4)]
    (inbox / "again.csv").write_text(report(newer, made="2026/01/08 02:44:19 -0800"))
    load(home, inbox)
    (inbox / "STL-20260106.01.010.CSV").write_text(report(rows[:1], made="2026/01/07 12:00:00 -0800"))
    counts = load(home, inbox)
    assert home.query("select invoice_id, gross_transaction_amount from raw_paypal.report_lines order by 1") == [
        ("WC-1", 5200), ("WC-2", 5300), ("WC-3", 5200), ("WC-4", 5200),
    ]  # fmt: skip
    assert home.one("select count(*) from raw_paypal.report_totals") == 2
    assert "the one in again.csv holds" in counts["report_lines"].notes[0]
    assert home.quarantined() == []


def test_files_of_both_kinds_side_by_side(home: Home, tmp_path: Path) -> None:
    """A detail report was booked as a settlement report, so that everything counted twice."""
    inbox = tmp_path / "inbox"
    paypal.write_files(ledger(), inbox, details=True)
    shutil.copy(inbox / "TRR-20261001.01.009.CSV", inbox / "zz_renamed.csv")
    load(home, inbox)
    lines = len(paypal.lines_of(ledger()))
    assert home.one("select count(*) from raw_paypal.report_lines") == lines
    assert home.one("select count(*) from raw_paypal.report_transactions") == lines
    assert home.logged()["report_lines"][2] == 0
