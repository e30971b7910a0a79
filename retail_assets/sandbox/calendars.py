"""Business days and payout dates of the simulated banks and gateways."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

# Bank holidays that matter to the simulated calendars; (month, day) repeats every year, a full date does not.
_YEARLY: Final = {
    "US": {(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)},
    "DE": {(1, 1), (5, 1), (12, 25), (12, 26)},
    "JP": {(1, 1), (1, 2), (1, 3), (2, 11), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (11, 3), (11, 23), (12, 31)},
}
_DATED: Final = {
    "US": {date(2026, 5, 25), date(2026, 9, 7), date(2026, 10, 12), date(2026, 11, 26)},
    "DE": {date(2026, 4, 3), date(2026, 4, 6)},
    "JP": {date(2026, 9, 21), date(2026, 9, 22), date(2026, 9, 23), date(2026, 10, 12)},
}

DAY: Final = timedelta(days=1)


def is_business_day(day: date, country: str) -> bool:
    """Whether the banks of ``country`` (US, DE, JP) work on ``day``."""
    return day.weekday() < 5 and (day.month, day.day) not in _YEARLY[country] and day not in _DATED[country]


def add_business_days(day: date, count: int, country: str) -> date:
    """The ``count``-th business day after ``day``; with 0, ``day`` itself or the next business day."""
    current = day
    while not is_business_day(current, country):
        current += DAY
    for _ in range(count):
        current += DAY
        while not is_business_day(current, country):
            current += DAY
    return current


def midnight(day: date) -> datetime:
    """00:00 UTC of ``day``, which is how Stripe writes dates."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True, slots=True)
class PayoutDay:
    """One day a gateway pays out: when it leaves the balance and when the bank should credit it."""

    created_at: datetime
    local_date: date
    arrival_date: date

    @property
    def crosses_month_end(self) -> bool:
        return self.local_date.month != self.arrival_date.month


@dataclass(frozen=True, slots=True)
class PayoutCalendar:
    """When an account's money becomes available and when it is paid out.

    Args:
        country: whose business days count.
        zone: IANA zone of the account.
        weekdays: weekdays of payouts, Monday being 0.
        at: local time at which a payout is made.
        available_after: business days from a charge to its money being available.
        arrives_after: business days from a payout to its arrival on the bank.
    """

    country: str
    zone: str
    weekdays: frozenset[int]
    at: time
    available_after: int
    arrives_after: int

    def available_on(self, charged_at: datetime) -> datetime:
        """When a charge's net becomes available: midnight UTC some business days later."""
        day = charged_at.astimezone(UTC).date()
        return midnight(add_business_days(day, self.available_after, self.country))

    def days(self, first: date, last: date) -> "PayoutDays":
        """The payout days from ``first`` to ``last`` (local dates, both included)."""
        zone = ZoneInfo(self.zone)
        found = []
        day = first
        while day <= last:
            if day.weekday() in self.weekdays and is_business_day(day, self.country):
                created = datetime.combine(day, self.at, zone).astimezone(UTC)
                found.append(PayoutDay(created, day, add_business_days(day, self.arrives_after, self.country)))
            day += DAY
        return PayoutDays(found)


class PayoutDays:
    """Payout days in order, with a quick look-up of the first one at or after a moment."""

    def __init__(self, days: list[PayoutDay]) -> None:
        self.days = days
        self._moments = [day.created_at for day in days]

    def slot(self, moment: datetime) -> int:
        """Index of the first payout at or after ``moment``; ``len(days)`` when there is none."""
        return bisect_left(self._moments, moment)
