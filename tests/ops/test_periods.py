"""Closed periods: in order, for good, and told in the audit chain."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine, text

from retail_assets.ops import audit, periods
from retail_assets.ops.periods import Period, PeriodError
from retail_assets.ops.store import writing

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def close(store: Engine, month: str, entity: str = "US") -> None:
    with writing(store) as connection:
        periods.close(connection, entity, Period.parse(month), closed_by="ann", closed_at=NOW, report_sha256="a" * 64)


def test_months_are_closed_in_order_and_once(store: Engine) -> None:
    """A month that was skipped stayed open below a closed one; or a month was closed again on another report."""
    assert periods.open_from(store, "US") is None
    close(store, "2026-12")
    close(store, "2027-01")
    close(store, "2026-03", "DE")
    with pytest.raises(PeriodError, match="2027-02 of US is not closed yet: close it before 2027-03"):
        close(store, "2027-03")
    for month in ("2027-01", "2026-11"):
        with pytest.raises(PeriodError, match=f"{month} of US is closed already"):
            close(store, month)
    assert [(row.entity_code, row.period, row.last_day) for row in periods.closed(store)] == [
        ("DE", "2026-03", date(2026, 3, 31)),
        ("US", "2026-12", date(2026, 12, 31)),
        ("US", "2027-01", date(2027, 1, 31)),
    ]
    assert periods.open_from(store, "US") == date(2027, 2, 1)
    assert [row["period"] for row in periods.rows(store)] == ["2026-03", "2026-12", "2027-01"]
    assert [(entry.subject, entry.actor) for entry in audit.entries(store, action=periods.CLOSED)] == [
        ("US:2026-12", "ann"),
        ("US:2027-01", "ann"),
        ("DE:2026-03", "ann"),
    ]
    assert audit.verify(store) == []


@pytest.mark.parametrize(
    ("month", "zone", "end"),
    [
        ("2026-10", "Asia/Tokyo", "2026-10-31T15:00"),
        # The clocks go back on 25 October in Berlin, on 1 November in New York.
        ("2026-10", "Europe/Berlin", "2026-10-31T23:00"),
        ("2026-10", "America/New_York", "2026-11-01T04:00"),
        ("2026-12", "UTC", "2027-01-01T00:00"),
    ],
)
def test_a_month_ends_when_the_books_say(month: str, zone: str, end: str) -> None:
    """Sales of the last evening fell into the next month, or a month was closed while its last day was going on."""
    assert Period.parse(month).ends_at(zone) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "2026-10-01", "0000-01", "october", "2026-10\n", "٢٠٢٦-10"])
def test_what_is_no_month_is_refused(text: str) -> None:
    """A month that was mistyped was taken for another."""
    with pytest.raises(ValueError, match="is not a month such as 2026-10"):
        Period.parse(text)


def test_a_leap_year_has_its_day() -> None:
    """The 29th of February was dated March."""
    assert Period.of(date(2028, 2, 29)).last_day == date(2028, 2, 29)
    assert str(Period.parse("2027-12").following) == "2028-01"


def test_what_was_changed_by_hand_is_found(sqlite_store: Engine) -> None:
    """A closed month was opened, moved or made up in the operations store, and nobody could tell."""
    for month in ("2026-08", "2026-09"):
        close(sqlite_store, month)
    assert periods.contradictions(sqlite_store) == []
    with writing(sqlite_store) as connection:
        connection.execute(text("DELETE FROM closed_periods WHERE period = '2026-09'"))
        connection.execute(text("UPDATE closed_periods SET last_day = '2026-08-30'"))
        connection.execute(
            text(
                "INSERT INTO closed_periods SELECT 'DE', period, first_day, last_day, closed_by, closed_at, "
                "report_sha256 FROM closed_periods"
            )
        )
    assert [problem.split(" is ")[0] for problem in periods.contradictions(sqlite_store)] == [
        "closed period DE:2026-08",
        "closed period US:2026-08",
        "closed period US:2026-09",
    ]
