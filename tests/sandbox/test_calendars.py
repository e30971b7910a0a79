"""Business days and payout days: money must not arrive on a holiday."""

from datetime import UTC, date, datetime, time

import pytest

from retail_assets.sandbox.calendars import PayoutCalendar, add_business_days, is_business_day
from retail_assets.sandbox.profiles import GATEWAYS


@pytest.mark.parametrize(
    ("day", "count", "country", "expected"),
    [
        ("2026-10-30", 1, "US", "2026-11-02"),
        ("2026-10-30", 2, "JP", "2026-11-04"),
        ("2026-10-30", 2, "DE", "2026-11-03"),
        ("2026-10-31", 0, "US", "2026-11-02"),
        ("2026-10-09", 1, "US", "2026-10-13"),
        ("2026-09-18", 1, "JP", "2026-09-24"),
        ("2026-12-24", 1, "DE", "2026-12-28"),
    ],
)
def test_business_days_skip_weekends_and_holidays(day: str, count: int, country: str, expected: str) -> None:
    """A payout that "arrives" on a Sunday would never be found on a statement."""
    assert add_business_days(date.fromisoformat(day), count, country) == date.fromisoformat(expected)


def test_payout_days_are_business_days_and_arrive_on_one() -> None:
    """Every payout of every account leaves and arrives on a working day, in order."""
    for gateway in GATEWAYS.values():
        days = gateway.calendar.days(date(2026, 1, 1), date(2026, 12, 31)).days
        assert [day.created_at for day in days] == sorted(day.created_at for day in days)
        for day in days:
            assert is_business_day(day.local_date, gateway.calendar.country)
            assert is_business_day(day.arrival_date, gateway.calendar.country)
            assert day.arrival_date > day.local_date


def test_a_payout_takes_what_is_available_at_its_moment() -> None:
    """The slot of a line is the first payout at or after its availability: one second later is the next payout."""
    calendar = PayoutCalendar("US", "America/New_York", frozenset(range(5)), time(9), 2, 2)
    days = calendar.days(date(2026, 10, 28), date(2026, 11, 3))
    moments = [day.created_at for day in days.days]
    # Clocks go back on 1 November: nine o'clock is an hour later in UTC from then on.
    assert [moment.hour for moment in moments] == [13, 13, 13, 14, 14]
    assert days.slot(moments[1]) == 1
    assert days.slot(moments[1].replace(second=1)) == 2
    assert days.slot(datetime(2027, 1, 1, tzinfo=UTC)) == len(moments)
    assert calendar.available_on(datetime(2026, 10, 30, 23, tzinfo=UTC)) == datetime(2026, 11, 3, tzinfo=UTC)
