"""Files of acquirers that nobody has written code for, through dlt into the warehouse."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from retail_assets.mapping import MappingError
from retail_assets.settings import Gateway, instance_of
from retail_assets.sources.intake import Counts
from retail_assets.sources.settlement_file import examine, settlement_file_source
from tests.sources.loading import Home

ACQUIRER = {
    "delimiter": ";",
    "decimal_mark": ",",
    "grouping": ".",
    "time_format": "%d.%m.%Y %H:%M",
    "date_format": "%d.%m.%Y",
    "time_zone": "Europe/Berlin",
    "columns": {
        "line_id": "Posting",
        "payment_id": "Transaction",
        "type": "Type",
        "booked_at": "Booked",
        "currency": "Currency",
        "gross": "Gross",
        "fee": "Fee",
        "net": "Net",
        "order_reference": "Order",
        "payout_id": "Payout",
        "payout_date": "Paid on",
    },
    "types": {"Sale": "charge", "Refund": "refund"},
    "ignore": [{"header": "Type", "values": ["Total"]}],
}
HEADER = "Posting;Transaction;Type;Booked;Currency;Gross;Fee;Net;Order;Payout;Paid on"
SALE = "P1;T1;Sale;01.11.2026 10:00;EUR;1.100,00;11,00;1.089,00;CP-1001;;"
REFUND = "P2;T1;Refund;02.11.2026 10:00;EUR;-100,00;0;-100,00;CP-1001;S7;05.11.2026"


def gateway(mapping: Mapping[str, Any] = ACQUIRER, **parts: Any) -> Gateway:
    block = {"id": "acquirer", "entity": "DE", "bank": "bank_de", "stores": [{"store": "linden_de"}]}
    return instance_of("gateways", {**block, "system": "settlement_file", "folder": "x", "mapping": mapping, **parts})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder an acquirer's files are dropped into."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, folder: Path, configured: Gateway | None = None) -> Counts:
    configured = configured or gateway()
    counts = home.load("settlement_file", "acquirer", lambda intake: settlement_file_source(configured, folder, intake))
    return counts["lines"]


def drop(folder: Path, name: str, *rows: str, header: str = HEADER) -> None:
    (folder / name).write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def lines(home: Home, columns: str) -> list[tuple[Any, ...]]:
    return home.query(f"select {columns} from raw_settlement_file.lines order by file_name, row_number")


def test_a_file_becomes_lines_with_our_signs_and_times(home: Home, folder: Path) -> None:
    """A German file of an unknown acquirer took a programmer and a week."""
    drop(folder, "a.csv", SALE, REFUND, ";;Total;;;1.000,00;;;;;")
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (2, 2, 0)
    assert lines(home, "line_id, type, category, gross, fee, net, booked_at, payout_id, payout_date, row_number") == [
        ("P1", "Sale", "charge", Decimal(1100), Decimal(11), Decimal(1089), datetime(2026, 11, 1, 9, tzinfo=UTC), None,
         None, 2),
        ("P2", "Refund", "refund", Decimal(-100), Decimal(0), Decimal(-100), datetime(2026, 11, 2, 9, tzinfo=UTC), "S7",
         date(2026, 11, 5), 3),
    ]  # fmt: skip
    assert "1 rows are no records" in counts.notes[0]


def test_bad_rows_stop_no_other(home: Home, folder: Path) -> None:
    """One row with a wrong sum held back the whole settlement, or was loaded as it was."""
    drop(
        folder,
        "a.csv",
        SALE,
        "P3;T3;Sale;01.11.2026 10:00;EUR;10,00;1,00;8,00;1;;",
        "P4;T4;Sale;31.11.2026 10:00;EUR;10,00;1,00;9,00;1;;",
        "P5;T5;Sale;01.11.2026 10:00;EUR;ten;1,00;9,00;1;;",
        ";T6;Sale;01.11.2026 10:00;EUR;10,00;1,00;9,00;1;;",
        "short",
        "P1;T9;Sale;01.11.2026 10:00;EUR;5,00;1,00;4,00;1;;",
    )
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (7, 1, 6)
    refused = {row["origin"]: (row["field"], row["reason"]) for row in home.quarantined()}
    assert "columns or signs of the mapping are wrong" in refused["a.csv, row 3"][1]
    assert refused["a.csv, row 4"][0] == "booked_at"
    assert refused["a.csv, row 5"][0] == "gross"
    assert refused["a.csv, row 6"][0] == "line_id"
    assert "fields" in refused["a.csv, row 7"][1]
    assert "is the id of row 2 as well" in refused["a.csv, row 8"][1]

    drop(folder, "a.csv", SALE, REFUND)
    load(home, folder)
    assert home.quarantined() == []


def test_reading_twice_changes_nothing(home: Home, folder: Path) -> None:
    """Each run doubled the lines; a copy of a file did it, too."""
    drop(folder, "a.csv", SALE, SALE, REFUND)
    assert "there twice" in load(home, folder).notes[0]
    before = home.content("settlement_file")
    drop(folder, "copy of a.csv", SALE, SALE, REFUND)
    assert load(home, folder).received == 0
    assert home.content("settlement_file") == before


def test_a_file_of_somebody_else_is_named_once(home: Home, folder: Path) -> None:
    """A wrong file in the folder ended the load, or was an alarm at every run."""
    drop(folder, "a.csv", "1;2", header="Some;Thing")
    drop(folder, "b.csv", SALE)
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (2, 1, 1)
    (refused,) = home.quarantined()
    assert "no header with" in refused["reason"] or "no column" in refused["reason"]
    assert load(home, folder).received == 0


def test_a_corrected_mapping_reads_the_files_again(home: Home, folder: Path) -> None:
    """After a mistake in the mapping the files had to be renamed to be read once more."""
    drop(folder, "a.csv", SALE, REFUND)
    wrong = {**ACQUIRER, "types": {}}
    load(home, folder, gateway(wrong))
    assert lines(home, "category") == [("sale",), ("refund",)]
    assert load(home, folder).received == 2
    assert lines(home, "category") == [("charge",), ("refund",)]


COURIER = {
    "columns": {
        "type": {"constant": "charge"},
        "currency": {"constant": "USD"},
        "order_reference": "Order No",
        "gross": "Collected",
        "fee": "COD fee",
        "payment_method": {"constant": "cash"},
    },
    "time_zone": "America/New_York",
}
PATTERN = r"remittance_(?P<payout_id>[A-Z0-9]+)_(?P<date>[0-9]{8})\.csv"


def test_a_file_can_be_a_payout(home: Home, folder: Path) -> None:
    """A courier's remittance has no payout column and no dates: its name says both."""
    drop(
        folder, "remittance_R17_20261104.csv", "1001,50.00,2.50", "1002,20.00,1.00", header="Order No,Collected,COD fee"
    )
    counts = load(home, folder, gateway(COURIER, file_name_pattern=PATTERN))
    assert counts.loaded == 2
    assert lines(home, "payout_id, payout_date, net, booked_at, has_own_id") == [
        ("R17", date(2026, 11, 4), Decimal("47.5"), datetime(2026, 11, 4, 5, tzinfo=UTC), False),
        ("R17", date(2026, 11, 4), Decimal(19), datetime(2026, 11, 4, 5, tzinfo=UTC), False),
    ]
    drop(folder, "something else.csv", "1,1,1", header="Order No,Collected,COD fee")
    drop(folder, "remittance_R18_20261399.csv", "1,1,1", header="Order No,Collected,COD fee")
    assert load(home, folder, gateway(COURIER, file_name_pattern=PATTERN)).quarantined == 2


def test_made_ids_are_the_same_in_a_regenerated_file(home: Home, folder: Path) -> None:
    """A remittance sent again with another remark at its end was new money."""
    header = "Order No,Collected,COD fee,Remark"
    drop(folder, "remittance_R1_20261104.csv", "1,5,0,", "1,5,0,", "2,6,0,", header=header)
    load(home, folder, gateway(COURIER, file_name_pattern=PATTERN))
    first = {row[0] for row in lines(home, "line_id")}
    assert len(first) == 3
    drop(folder, "again remittance_R1_20261104.csv", "2,6,0,x", "1,5,0,x", "1,5,0,x", header=header)
    load(home, folder, gateway(COURIER, file_name_pattern=PATTERN))
    assert {row[0] for row in lines(home, "line_id")} == first


def test_a_mapping_that_lacks_something_says_so(home: Home, folder: Path) -> None:
    """A mapping without a currency or a date was found out in the books."""
    configured = gateway({"columns": {"gross": "Amount", "colour": "Colour"}})
    with pytest.raises(MappingError) as error:
        examine(configured, folder)
    for words in ("gateways.acquirer.mapping", "columns.type is missing", "booked_at or columns.payout_date", "colour"):
        assert words in str(error.value)
    assert "0 files" in examine(gateway(), folder)


def test_a_file_without_rows_is_noted(home: Home, folder: Path) -> None:
    """An export that had failed passed for a day without sales."""
    drop(folder, "empty.csv")
    counts = load(home, folder)
    assert (counts.received, counts.notes) == (0, ["empty.csv has no rows"])
