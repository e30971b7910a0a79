"""CSV files read by their mapping: signs, units, dialects; a row that makes no sense is a fault, never a guess."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.contracts import Column, ColumnType, Table
from retail_assets.mapping import CsvMapping
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.mapped import broken_rows, column_types, mapped_rows, open_mapped, translated
from retail_assets.sources.textrows import convert_text

KINDS: dict[str, ColumnType] = {
    "line_id": "text",
    "amount": "amount",
    "currency": "text",
    "day": "date",
    "at": "timestamp",
    "order_number": "text",
    "rate": "rate",
}
TABLE = Table(
    system="test",
    section="gateways",
    name="lines",
    description="Lines.",
    owner="team:treasury",
    primary_key=("gateway_id", "line_id"),
    columns=tuple(Column(name, kind, "Some.", required=name == "line_id") for name, kind in KINDS.items()),
    keeps_payload=False,
)


def read(path: Path, content: str | bytes, **parts: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The good rows, and reason by origin of the others."""
    file = path / "file.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    mapping = CsvMapping.model_validate(parts)
    opened = open_mapped(file, mapping)
    good: list[dict[str, Any]] = []
    bad: dict[str, str] = {}
    for rows in mapped_rows(opened, mapping, column_types(TABLE)):
        if "line_id" not in rows.columns:
            rows.columns["line_id"] = rows.raw.column(0).combine_chunks()
        batch = convert_text(
            TABLE,
            rows.columns,
            instance="x",
            loaded_at=datetime(2026, 11, 5, tzinfo=UTC),
            origin="file.csv",
            raw=rows.raw,
            row_numbers=rows.row_numbers,
            faults=rows.faults,
        )
        good += batch.tables[TABLE].to_pylist()
        bad |= {rejection.origin: rejection.reason for rejection in batch.rejected}
    bad |= {f"file.csv, row {row.number}": row.reason for row in broken_rows(opened, mapping)}
    return good, bad


def amounts(path: Path, texts: Sequence[str], **parts: Any) -> tuple[list[Any], dict[str, str]]:
    content = "id;amount;ccy\n" + "".join(f'{number};"{text}";EUR\n' for number, text in enumerate(texts))
    good, bad = read(path, content, **{"columns": {"line_id": "id", "amount": "amount"}, **parts})
    return [row["amount"] for row in good], bad


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("12,34,567.50", "1234567.50"),
        ("(12.00)", "-12"),
        ("12.00-", "-12"),
        ("- 12.00", "-12"),
        ("\u221212.00", "-12"),
        ("€ 12.00", "12"),
        ("-$12.00", "-12"),
        ("$-12.00", "-12"),
        ("12.00 EUR", "12"),
        ("EUR 12.00", "12"),
        ("12.00 CR", "12"),
        ("12.00DR", "-12"),
        ("+12", "12"),
        ("-0.00", "0"),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: str) -> None:
    """Each of these has been seen in a settlement file, and was refused or had the wrong sign."""
    assert amounts(tmp_path, [text], grouping=",") == ([Decimal(value)], {})


@pytest.mark.parametrize(("text", "value"), [("1.234,50", "1234.5"), ("-0,05", "-0.05"), ("1234", "1234")])
def test_a_comma_before_the_decimals(tmp_path: Path, text: str, value: str) -> None:
    """1.234,50 euros became 1.2345 euros."""
    assert amounts(tmp_path, [text], decimal_mark=",", grouping=".") == ([Decimal(value)], {})


@pytest.mark.parametrize("text", ["1 234,50", "1\u00a0234,50", "1\u202f234,50"])
def test_blanks_between_thousands(tmp_path: Path, text: str) -> None:
    """French files hold blanks that do not break, of two kinds."""
    assert amounts(tmp_path, [text], decimal_mark=",", grouping=" ") == ([Decimal("1234.5")], {})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,23", {"grouping": ","}),
        ("1,2345.00", {"grouping": ","}),
        ("1,234", {}),
        ("1.50", {"decimal_mark": ","}),
        ("1.50", {"decimal_mark": ",", "grouping": "."}),
        ("1.23E+22", {}),
        ("-(12.00)", {}),
        ("12.00 XX", {}),
    ],
)
def test_a_number_of_another_dialect_is_refused(tmp_path: Path, text: str, parts: Any) -> None:
    """With the wrong decimal mark 1,23 was 123, and nobody saw it."""
    found, bad = amounts(tmp_path, ["7", text, "8"], **parts)
    assert found == [Decimal(7), Decimal(8)]
    assert list(bad) == ["file.csv, row 3"]


def test_two_columns_of_amounts(tmp_path: Path) -> None:
    """Debits were read as money that came in."""
    content = "id,in,out\na,5.00,\nb,0.00,7.00\nc,,-8.00\nd,1.00,1.00\ne,0,\nf,,\n"
    good, bad = read(tmp_path, content, columns={"line_id": "id", "amount": {"credit": "in", "debit": "out"}})
    found = {row["line_id"]: row["amount"] for row in good}
    assert found == {"a": Decimal(5), "b": Decimal(-7), "c": Decimal(-8), "e": Decimal(0), "f": None}
    assert bad == {"file.csv, row 5": "is in in, but out holds an amount as well"}


def test_a_column_that_says_which_way(tmp_path: Path) -> None:
    """An unknown word for debit, or a sign beside it, turned the amount round."""
    content = "id,amount,dc\na,5.00,C\nb,7.00,d\nc,-8.00,D\n"
    amount = {"header": "amount", "indicator": "dc", "negative": ["D", "DR"]}
    good, bad = read(tmp_path, content, columns={"line_id": "id", "amount": amount})
    assert [row["amount"] for row in good] == [Decimal(5), Decimal(-7)]
    assert "sign of its own" in bad["file.csv, row 4"]
    good, _ = read(tmp_path, "id,x\na,5\nb,-6\n", columns={"line_id": "id", "amount": {"header": "x", "negate": True}})
    assert [row["amount"] for row in good] == [Decimal(-5), Decimal(6)]


def test_minor_units_by_currency(tmp_path: Path) -> None:
    """100 yen became one yen; dinars have three decimals."""
    content = "id,amount,ccy\na,1050,EUR\nb,1050,jpy\nc,-1050,KWD\nd,10.50,EUR\ne,1,XXL\nf,1,\n"
    columns = {"line_id": "id", "amount": "amount", "currency": "ccy"}
    good, bad = read(tmp_path, content, columns=columns, unit="minor")
    assert [row["amount"] for row in good] == [Decimal("10.50"), Decimal(1050), Decimal("-1.05")]
    assert "whole number of minor units" in bad["file.csv, row 5"]
    assert "no ISO 4217 currency" in bad["file.csv, row 6"]
    assert "no ISO 4217 currency" in bad["file.csv, row 7"]


def test_days_and_times(tmp_path: Path) -> None:
    """05.11. became the 11th of May; a local time was taken for UTC; the 30th of February for the 2nd of March."""
    content = "id,day,at\na,05.11.2026,05.11.2026 10:00\nb,30.02.2026,\nc,5.11.0026,\nd,,25.10.2026 02:30\n"
    good, bad = read(
        tmp_path,
        content,
        columns={"line_id": "id", "day": "day", "at": "at"},
        date_format="%d.%m.%Y",
        time_format="%d.%m.%Y %H:%M",
        time_zone="Europe/Berlin",
    )
    assert [(row["line_id"], row["day"]) for row in good] == [("a", date(2026, 11, 5)), ("d", None)]
    assert [row["at"] for row in good] == [
        datetime(2026, 11, 5, 9, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    ]
    assert bad["file.csv, row 3"] == bad["file.csv, row 4"] == "is not a date of the form %d.%m.%Y"


def test_times_that_name_their_zone(tmp_path: Path) -> None:
    """The zone of the setting was applied on top of the one in the file."""
    content = "id,at\na,2026-11-05T10:00:00+01:00\nb,2026-11-05T10:00:00Z\nc,2026-11-05\n"
    good, _ = read(tmp_path, content, columns={"line_id": "id", "at": "at"}, time_zone="Asia/Tokyo")
    assert [row["at"].hour for row in good] == [9, 10, 15]


def test_texts_are_joined_cut_out_and_kept(tmp_path: Path) -> None:
    """An order number in a sentence was no order number; an id of 20 digits was rounded."""
    content = "id,a,b\n12345678901234567890,Order CP-1001 paid,thanks\n1.23E+19,no order,\n"
    good, bad = read(
        tmp_path,
        content,
        columns={"line_id": "id", "order_number": {"header": ["a", "b"], "pattern": "CP-([0-9]+)"}},
    )
    assert [(row["line_id"], row["order_number"]) for row in good] == [("12345678901234567890", "1001")]
    assert "a spreadsheet has rounded" in bad["file.csv, row 3"]


def test_totals_are_no_records(tmp_path: Path) -> None:
    """The total at the end was a line of its own: everything was there twice."""
    content = "id,type,amount\na,Sale,5\n,TOTAL,5\nTotal 5\nb,Sale,6\n"
    good, bad = read(
        tmp_path,
        content,
        columns={"line_id": "id", "amount": "amount"},
        ignore=[{"header": "type", "values": ["Total"]}, {"header": "id", "pattern": "^Total"}],
    )
    assert [row["amount"] for row in good] == [Decimal(5), Decimal(6)]
    assert bad == {}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A renamed column loaded as nulls."""
    with pytest.raises(CsvError, match="no column Fee; its header is id, Amount"):
        read(tmp_path, "id,Amount\na,1\n", columns={"line_id": "id", "amount": "Fee"})


def test_types_are_translated(tmp_path: Path) -> None:
    """A word in capitals was an unknown type."""
    mapping = CsvMapping.model_validate({"columns": {"a": "b"}, "types": {"Sale": "charge"}})
    (tmp_path / "file.csv").write_text("b\nSALE\nodd\n")
    (rows,) = mapped_rows(open_mapped(tmp_path / "file.csv", mapping), mapping, {})
    assert translated(mapping, rows.columns["a"]).to_pylist() == ["charge", "odd"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters='\x00\r\n"'), max_size=14), max_size=5),
    mark=st.sampled_from([".", ","]),
    grouping=st.sampled_from([None, " ", "'"]),
    unit=st.sampled_from(["major", "minor"]),
)
def test_any_text_is_a_value_or_a_fault(tmp_path: Path, texts: list[str], mark: Any, grouping: Any, unit: Any) -> None:
    """Some text crashed the load of its file."""
    content = "id;x;ccy\n" + "".join(f'{number};"{text}";EUR\n' for number, text in enumerate(texts))
    columns = {"line_id": "id", "amount": "x", "day": "x", "at": "x", "rate": "x", "currency": "ccy"}
    good, bad = read(tmp_path, content, columns=columns, decimal_mark=mark, grouping=grouping, unit=unit, delimiter=";")
    assert len(good) + len(bad) == len(texts)
