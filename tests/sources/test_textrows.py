"""Rows of text under a contract: exact or refused, and the others load."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.contracts import Column, ColumnType, Table
from retail_assets.sources.records import Batch
from retail_assets.sources.textrows import convert_text

NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)
TYPES: tuple[ColumnType, ...] = ("text", "integer", "amount", "rate", "boolean", "timestamp", "date")
TABLE = Table(
    system="test",
    section="gateways",
    name="lines",
    description="Lines.",
    owner="team:treasury",
    primary_key=("gateway_id", "id"),
    columns=(
        Column("id", "text", "Id.", required=True),
        *(Column(kind, kind, "One of each type.") for kind in TYPES),
    ),
    keeps_payload=False,
)


def convert(columns: Mapping[str, Sequence[str | None]]) -> Batch:
    count = len(next(iter(columns.values())))
    given = {"id": [f"id-{row}" for row in range(count)], **columns}
    arrays = {name: pa.array(values, pa.string()) for name, values in given.items()}
    return convert_text(
        TABLE,
        arrays,
        instance="gateway",
        loaded_at=NOW,
        origin="file.csv",
        raw=pa.table(arrays),
        row_numbers=range(2, count + 2),
    )


def values(batch: Batch, name: str) -> list[Any]:
    return batch.tables[TABLE].column(name).to_pylist()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("amount", "1234.50", Decimal("1234.5000")),
        ("amount", " +1234.5 ", Decimal("1234.5000")),
        ("amount", "-0.00", Decimal(0)),
        ("amount", ".5", Decimal("0.5000")),
        ("amount", "5.", Decimal(5)),
        ("amount", "12.34" + "0" * 15, Decimal("12.3400")),
        ("amount", "99999999999999.9999", Decimal("99999999999999.9999")),
        ("amount", "", None),
        ("amount", "   ", None),
        ("rate", "1.123456789012", Decimal("1.123456789012")),
        ("integer", "007", 7),
        ("integer", "-12", -12),
        ("integer", "+999999999999999999", 999999999999999999),
        ("boolean", "YES", True),
        ("boolean", "0", False),
        ("timestamp", "2026-11-05T10:20:30", datetime(2026, 11, 5, 10, 20, 30, tzinfo=UTC)),
        ("timestamp", "2026-11-05 10:20:30.5", datetime(2026, 11, 5, 10, 20, 30, 500000, tzinfo=UTC)),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("text", " as it is ", " as it is "),
        ("text", "12345678901234567890", "12345678901234567890"),
        ("text", "=cmd|'/c calc'!A1", "=cmd|'/c calc'!A1"),
    ],
)
def test_what_is_meant_is_read(kind: str, text: str, value: Any) -> None:
    """A value that every spreadsheet understands was refused, or read as something else."""
    batch = convert({kind: [text]})
    assert not batch.rejected
    assert values(batch, kind) == [value]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("amount", "1.23E+22"),
        ("amount", "1e5"),
        ("amount", "0x10"),
        ("amount", "12,50"),
        ("amount", "1.00001"),
        ("amount", "123456789012345"),
        ("amount", "12.34" + "0" * 40),
        ("amount", "--5"),
        ("amount", "1-2"),
        ("amount", "-"),
        ("amount", "."),
        ("amount", "NaN"),
        ("amount", "١٢"),
        ("integer", "1.0"),
        ("integer", "1234567890123456789"),
        ("integer", "1_000"),
        ("boolean", "maybe"),
        ("timestamp", "2026-11-05"),
        ("timestamp", "2026-11-05 10:20"),
        ("timestamp", "2026-02-29 10:20:30"),
        ("timestamp", "2026-11-05 24:00:00"),
        ("timestamp", "0000-00-00 00:00:00"),
        ("timestamp", "0000-01-01 00:00:00"),
        ("timestamp", "2026-11-05 10:20:30Z"),
        ("date", "2026-02-29"),
        ("date", "0000-01-01"),
        ("date", "05.11.2026"),
        ("date", "2026-11-5"),
    ],
)
def test_what_is_not_meant_is_refused(kind: str, text: str) -> None:
    """Excel's 1.23E+22 became money, the 29th of February the 1st of March, a number too long another number."""
    good = {"date": "2026-01-01", "timestamp": "2026-01-01 00:00:00", "boolean": "true"}.get(kind, "7")
    batch = convert({kind: [good, text, good]})
    (refused,) = batch.rejected
    assert (refused.field, refused.value) == (kind, text)
    assert refused.origin == "file.csv, row 3"
    assert refused.payload.startswith(b'{"id": "id-1"')
    assert len(values(batch, kind)) == 2
    assert batch.received == batch.loaded + 1


def test_a_row_without_its_key_is_refused() -> None:
    """A null key matches nothing on merge: the row was doubled by each load."""
    batch = convert({"id": ["a", None], "amount": ["1", "2"]})
    assert [refused.field for refused in batch.rejected] == ["id"]


def test_columns_of_blanks_are_null() -> None:
    """A column that is empty in the first million rows had no type."""
    batch = convert({kind: ["", None] for kind in TYPES if kind != "text"})
    assert not batch.rejected
    assert values(batch, "amount") == values(batch, "timestamp") == [None, None]


def test_nulls_among_plain_values_stay_at_their_place() -> None:
    """The quick way moved the values behind an empty one up."""
    batch = convert({"amount": ["1.00", "", None, "2.00"], "date": ["", "2026-01-02", None, "2026-01-03"]})
    assert values(batch, "amount") == [Decimal(1), None, None, Decimal(2)]
    assert values(batch, "date") == [None, date(2026, 1, 2), None, date(2026, 1, 3)]


number = st.one_of(
    st.decimals(min_value=-(10**14) + 1, max_value=10**14 - 1, places=4).map(str),
    st.text("0123456789.-+eE, ", max_size=22),
)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(number, min_size=1, max_size=8))
def test_numbers_are_exact_or_refused(texts: list[str]) -> None:
    """What the quick way took and what the careful way took were not the same."""
    batch = convert({"amount": texts})
    refused = {int(rejection.origin.rpartition(" ")[2]) - 2 for rejection in batch.rejected}
    kept = [text.strip() for row, text in enumerate(texts) if row not in refused]
    assert values(batch, "amount") == [Decimal(text) if text else None for text in kept]
    assert not any("e" in text.lower() for text in kept)
    alone = {row for row, text in enumerate(texts) if convert({"amount": [text]}).rejected}
    assert refused == alone


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=24), st.datetimes().map(str)), min_size=1, max_size=6))
def test_any_text_in_any_column(texts: list[str | None]) -> None:
    """Some text crashed the conversion of its whole block."""
    batch = convert({**dict.fromkeys(TYPES, texts), "id": [str(row) for row in range(len(texts))]})
    assert batch.received == len(texts) == batch.loaded + len(batch.rejected)
    assert batch.tables[TABLE].num_rows == batch.loaded
