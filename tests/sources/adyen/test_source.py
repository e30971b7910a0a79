"""Settlement details reports in a folder, through dlt into the warehouse."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.sources.adyen import adyen_source, examine
from retail_assets.sources.intake import Counts
from tests.sources.adyen.door import gateway, read
from tests.sources.adyen.reports import CLASSIC, LATER, complete, payout, refunded, row, settled, text
from tests.sources.loading import Home

NAME = "settlement_detail_report_batch_7.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder reports are dropped into."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, folder: Path, **settings: Any) -> Counts:
    counts: Mapping[str, Counts] = home.load(
        "adyen", "adyen_eu", lambda intake: adyen_source(gateway(**settings), folder, intake)
    )
    return counts["settlement_details"]


def drop(folder: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = CLASSIC, name: str = NAME) -> Path:
    path = folder / name
    path.write_text(text(rows, columns), encoding="utf-8")
    return path


def details(home: Home, columns: str) -> list[tuple[Any, ...]]:
    return home.query(f"select {columns} from raw_adyen.settlement_details order by file_name, row_number")


def test_a_batch_loads_with_signs_zeros_and_its_control_totals(home: Home, folder: Path) -> None:
    """An empty debit became null, a negative fee was refused, or nobody could see whether a batch foots."""
    drop(folder, complete())
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined, counts.notes) == (9, 9, 0, [])
    assert details(home, "type, net_debit, net_credit, commission, markup, interchange")[:4] == [
        ("Settled", Decimal(0), Decimal("9.7"), Decimal("0.3"), Decimal(0), Decimal(0)),
        ("Settled", Decimal(0), Decimal("10.1"), Decimal(0), Decimal("0.1"), Decimal("0.6")),
        ("Refunded", Decimal(5), Decimal(0), Decimal("-0.5"), Decimal(0), Decimal(0)),
        ("Chargeback", Decimal("11.65"), Decimal(0), Decimal(0), Decimal("10.65"), Decimal(0)),
    ]
    assert home.query(
        "select row_count, net_debit, net_credit, payout, difference, is_complete from raw_adyen.batches"
    ) == [(9, Decimal("21.8"), Decimal("21.8"), Decimal("4.05"), Decimal(0), True)]


def test_columns_are_known_by_name(folder: Path) -> None:
    """A merchant's own order or choice of columns shifted amounts into other columns, or was refused."""
    chosen = [column for column in LATER if not column.startswith(("Reserved", "Company", "Balance", "Markup"))]
    drop(folder, [settled("A1"), payout("9.70")], list(reversed(chosen)))
    drop(folder, [settled("B1", batch="8"), payout("9.70", batch="8")], CLASSIC, "batch_8.csv")
    names = ("psp_reference", "net_credit", "commission", "markup")
    assert [tuple(one[name] for name in names) for one in read(folder).details] == [
        ("B1", Decimal("9.7"), Decimal("0.3"), Decimal(0)),
        (None, Decimal(0), Decimal(0), Decimal(0)),
        ("A1", Decimal("9.7"), Decimal("0.3"), Decimal(0)),
        (None, Decimal(0), Decimal(0), Decimal(0)),
    ]


TIMES = [
    ("2026-03-02 10:00:00", "CET", "2026-03-02 09:00"),
    ("2026-07-02 10:00:00", "CEST", "2026-07-02 08:00"),
    ("2026-07-02 23:30:00", "PDT", "2026-07-03 06:30"),
    ("2026-01-02 23:30:00", "PST", "2026-01-03 07:30"),
    ("2026-07-02 10:00:00", "BST", "2026-07-02 09:00"),
    ("2026-07-02T10:00:00.663", "GMT+08:00", "2026-07-02 02:00"),
    ("2026-07-02", "Asia/Kolkata", "2026-07-01 18:30"),
]


def test_local_times_become_utc_by_their_own_zone(folder: Path) -> None:
    """A sale of the last evening of a month was booked in the next one, or hours off."""
    drop(folder, [settled(f"A{number}", at=local, zone=zone) for number, (local, zone, _) in enumerate(TIMES)])
    created = [f"{one['created_at']:%Y-%m-%d %H:%M}" for one in read(folder).details]
    assert created == [expected for _, _, expected in TIMES]


def test_a_zone_that_stands_for_several_is_refused_until_the_account_s_is_set(folder: Path) -> None:
    """CST was taken for Chicago's time in Shanghai, fourteen hours off, without anybody being told."""
    drop(folder, [settled("A1", zone="CST"), settled("A2", zone="CET")])
    (refused,) = read(folder).rejected
    assert (refused.field, refused.value, refused.record_key) == ("TimeZone", "CST", "RetailDE/7")
    assert "set time_zone" in refused.reason
    assert refused.origin == f"{NAME}, row 2"
    drop(folder, [settled("A1", zone="CST"), settled("A2", zone=""), settled("A3", zone="CET")])
    found = read(folder, time_zone="Asia/Shanghai").details
    assert [(one["psp_reference"], one["created_at"].hour) for one in found] == [("A1", 2), ("A2", 2), ("A3", 9)]


def test_booking_dates_are_read_where_there_are_any(folder: Path) -> None:
    """The day a payment was put into its batch was lost, or a date without a time refused the row."""
    rows = [
        settled("A1", booked="2026-03-04 07:59:59", booking_zone="PST"),
        settled("A2", booked="2026-03-04"),
        settled("A3", at="", booked="2026-03-05 01:00:00"),
    ]
    drop(folder, rows, LATER)
    found = read(folder).details
    assert [(f"{one['booked_at']:%d %H:%M}", f"{one['created_at']:%d %H:%M}") for one in found] == [
        ("04 15:59", "02 09:00"),
        ("03 23:00", "02 09:00"),
        ("05 00:00", "05 00:00"),
    ]


def test_odd_but_good_numbers_load(folder: Path) -> None:
    """Rows of real reports were refused: .91, -0.00, a rate of fifteen decimals, an ARN that Excel made a number."""
    rows = [
        settled("A1", net=".91", commission="-0.00", rate="0.006733333333333"),
        settled("A2", net="+9.7000", rate="6.7E-3", arn="1.2302025304E+022"),
        # A payment that is smaller than its fee: gross credit, net debit.
        settled("A3", net="", nd="0.03", gcr="1", gc="INR", rate="0.0113", commission="0.04"),
        row(type="SettledExternallyWithInfo", psp="A4", gc="JPY", gcr="1500", nd="", ncr=""),
    ]
    drop(folder, rows, LATER)
    assert [
        (one["net_credit"] - one["net_debit"], one["commission"], one["exchange_rate"], one["arn"])
        for one in read(folder).details
    ] == [
        (Decimal("0.91"), Decimal(0), Decimal("0.006733333333"), None),
        (Decimal("9.7"), Decimal("0.3"), Decimal("0.0067"), "1.2302025304E+022"),
        (Decimal("-0.03"), Decimal("0.04"), Decimal("0.0113"), None),
        (Decimal(0), Decimal(0), None, None),
    ]


def test_a_batch_that_does_not_foot_is_told(folder: Path) -> None:
    """A cut or edited report was taken for complete; money settled elsewhere was counted into the batch."""
    external = row(type="SettledExternallyWithInfo", psp="X", gc="EUR", gcr="50", ncr="50")
    drop(folder, [settled("A1"), external, payout("9.00")])
    door = read(folder)
    assert door.seen.notes == [f"{NAME}: batch 7 of RetailDE does not add up to zero with its payout: 0.7 EUR"]
    (batch,) = door.batches
    assert (batch["row_count"], batch["difference"], batch["is_complete"]) == (3, Decimal("0.7"), False)


def test_currencies_of_one_batch_foot_apart(folder: Path) -> None:
    """Dollars made up for missing euros."""
    rows = [settled("A1"), settled("A2", nc="CAD", gc="CAD"), payout("9.70"), payout("9.60", nc="CAD")]
    drop(folder, rows)
    found = {one["net_currency"]: (one["difference"], one["is_complete"]) for one in read(folder).batches}
    assert found == {"CAD": (Decimal("0.1"), False), "EUR": (Decimal(0), False)}


def test_a_gross_on_the_wrong_side_is_told(folder: Path) -> None:
    """Sales in the column of refunds went unnoticed, or turned a sale into a refund."""
    drop(folder, [settled("A1", gd="10.00", gcr=""), refunded("A1", gd="2.00", nd="2.00"), payout("7.70")])
    assert read(folder).seen.notes == [
        f"{NAME}: 1 rows have their gross on the other side than their net (row 2); the net decides"
    ]


def test_the_same_content_is_read_once(home: Home, folder: Path) -> None:
    """A report that was downloaded twice, under whatever name, doubled everything."""
    first = drop(folder, complete())
    load(home, folder)
    before = home.content("adyen")
    (folder / "settlement_detail_report_batch_7-duplicate.csv").write_bytes(first.read_bytes())
    assert load(home, folder).received == 0
    assert home.content("adyen") == before


def test_a_complete_report_withdraws_what_was_said_before(home: Home, folder: Path) -> None:
    """A regenerated batch doubled the earlier one, or a cut download wiped out a whole one."""
    whole = complete()
    drop(folder, whole[:5], name="cut.csv")
    drop(folder, [settled("OTHER", batch="8")], name="other.csv")
    load(home, folder)
    drop(folder, whole)
    load(home, folder)
    query = "select batch_number, file_name, row_count from raw_adyen.batches order by all"
    assert home.query(query) == [("7", NAME, 9), ("8", "other.csv", 1)]
    assert home.one("select count(*) from raw_adyen.settlement_details") == 10
    drop(folder, whole[:3], name="cut_again.csv")
    load(home, folder)
    assert home.query(query) == [("7", "cut_again.csv", 3), ("7", NAME, 9), ("8", "other.csv", 1)]
    drop(folder, [settled("A1"), payout("9.70")], name="regenerated.csv")
    load(home, folder)
    assert home.query(query) == [("7", "regenerated.csv", 2), ("8", "other.csv", 1)]
    assert home.one("select count(*) from raw_adyen.settlement_details") == 3


def test_bad_rows_and_foreign_files_stop_nothing_and_heal(home: Home, folder: Path) -> None:
    """One damaged row cost the file, or stayed an alarm after a good report of its batch had come."""
    rows = [
        settled("A1"),
        settled("A2", net="1,234.50"),
        settled("8.83612E+15"),
        settled("A4", at="2026-02-30 10:00:00"),
        settled("A5", net="12345678901234567890"),
        settled("A6", nc="euro"),
        payout("9.70"),
    ]
    drop(folder, rows)
    (folder / "payments_accounting_report.csv").write_text("Record Type,Payable (SC)\nSettled,1\n")
    (folder / "empty.csv").write_text("")
    (folder / "half.csv.part").write_text("Type\n")
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (9, 2, 7)
    refused = {(one["field"], one["value"]) for one in home.quarantined()}
    assert refused == {
        ("net_credit", "1,234.50"),
        ("Psp Reference", "8.83612E+15"),
        ("Creation Date", "2026-02-30 10:00:00"),
        ("Net Credit (NC)", "12345678901234567890"),
        ("net_currency", "EURO"),
        (None, None),
    }
    reasons = " ".join(one["reason"] for one in home.quarantined())
    assert "is no settlement details report" in reasons
    assert home.one("select bool_or(is_complete) from raw_adyen.batches") is False
    drop(folder, [settled("A1"), settled("A2"), payout("19.40")], name="again.csv")
    load(home, folder)
    assert {one["record_key"] for one in home.quarantined()} == {"empty.csv", "payments_accounting_report.csv"}


def test_what_identifies_a_batch_may_be_in_the_name(folder: Path) -> None:
    """Reports without Batch Number and Merchant Account columns could not be loaded at all."""
    drop(folder, [settled("A1")], [column for column in CLASSIC if column not in ("Batch Number", "Merchant Account")])
    (found,) = read(folder).details
    assert (found["merchant_account"], found["batch_number"]) == ("Retail", "7")


def test_amsterdam_columns_stand_in(folder: Path) -> None:
    """A report configured with Creation Date (AMS) instead of Creation Date was refused."""
    columns = [column for column in CLASSIC if column not in ("Creation Date", "TimeZone")]
    drop(folder, [{**settled("A1"), "Creation Date (AMS)": "2026-07-01 00:30:00"}], [*columns, "Creation Date (AMS)"])
    (found,) = read(folder).details
    assert f"{found['created_at']:%m-%d %H:%M}" == "06-30 22:30"


def test_a_doctor_sees_the_folder(folder: Path) -> None:
    """A folder that is missing was told only by the first load."""
    drop(folder, complete())
    assert examine(gateway(), folder) == f"1 files in {folder}"
    with pytest.raises(OSError, match="nowhere"):
        examine(gateway(), folder / "nowhere")


ACCOUNTING = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Booking Date,TimeZone,"
    "Main Currency,Main Amount,Record Type,Payment Currency,Received (PC),Authorised (PC),Captured (PC),"
    "Settlement Currency,Payable (SC),Commission (SC),Markup (SC),Scheme Fees (SC),Interchange (SC),"
    "Processing Fee Currency,Processing Fee (FC),Modification Psp Reference,Whatever\n"
)


def test_payment_accounting_reports_explain_and_count_nothing_twice(home: Home, tmp_path: Path) -> None:
    """A report dropped beside the settlement details was refused, or a second delivery doubled its rows."""
    sale = "Co,Shop,8816,1001,visa,2026-11-02 10:00:00,CET,EUR,24,{},EUR,,,24,EUR,{},,0.1,0.0312,0.05,EUR,0.1,M1,x\n"
    settled, sent = sale.format("Settled", "-23.8188"), sale.format("SentForSettle", "23.8188")
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "payments_accounting_report_2026_11_02.csv").write_text(ACCOUNTING + sent + settled + settled)

    def load() -> Any:
        return home.load("adyen", "adyen_eu", lambda intake: adyen_source(gateway(), folder, intake))

    counts = load()
    assert (counts["accounting_entries"].loaded, counts["settlement_details"].received) == (3, 0)
    rows = "select record_type, occurrence, payable_sc, scheme_fees_sc from raw_adyen.accounting_entries order by all"
    expected = [
        ("SentForSettle", 1, Decimal("23.8188"), Decimal("0.0312")),
        ("Settled", 1, Decimal("-23.8188"), Decimal("0.0312")),
        ("Settled", 2, Decimal("-23.8188"), Decimal("0.0312")),
    ]
    assert home.query(rows) == expected
    assert home.one("select min(booked_at) from raw_adyen.accounting_entries") == datetime(2026, 11, 2, 9, tzinfo=UTC)
    # Made again, with another column and a row that is broken.
    again = sent + settled + settled + sent.replace("SentForSettle", "")
    (folder / "again.csv").write_text(ACCOUNTING + again.replace(",x\n", ",y\n"))
    counts = load()["accounting_entries"]
    assert (counts.received, counts.loaded, counts.quarantined) == (4, 3, 1)
    assert home.query(rows) == expected
    (folder / "other.csv").write_text("a,b\n1,2\n")
    assert load()["settlement_details"].quarantined == 1
