"""Exchange rates: those of the books, one per business day, and Stripe's own, which differ a little."""

from bisect import bisect_right
from datetime import date
from decimal import Decimal
from random import Random
from typing import Final

from retail_assets.sandbox.calendars import DAY, is_business_day

#: First rate of each pair and how far it may move in a day, in millionths.
_PAIRS: Final = {
    ("GBP", "EUR"): (1_152_400, 3_500),
    ("USD", "EUR"): (861_300, 2_800),
    ("EUR", "USD"): (1_161_000, 3_400),
    ("EUR", "JPY"): (176_350_000, 620_000),
}
_MILLION: Final = Decimal(1_000_000)


class ExchangeRates:
    """Rates of the books for each business day from a week before ``first`` to ``last``.

    A day without a rate of its own takes the latest one before it, as an ERP does.
    """

    def __init__(self, first: date, last: date, rng: Random) -> None:
        self._rates: dict[tuple[str, str], list[tuple[date, Decimal]]] = {}
        for pair, (level, step) in _PAIRS.items():
            found: list[tuple[date, Decimal]] = []
            day = first - 7 * DAY
            while day <= last:
                if is_business_day(day, "DE"):
                    level += rng.randint(-step, step)
                    found.append((day, Decimal(level) / _MILLION))
                day += DAY
            self._rates[pair] = found

    def books(self, pair: tuple[str, str], day: date) -> Decimal:
        """The books' rate of ``pair`` on ``day``: units of the second currency for one of the first.

        Raises:
            KeyError: the pair is unknown, or ``day`` lies before the first rate.
        """
        rates = self._rates[pair]
        position = bisect_right(rates, (day, Decimal("Infinity"))) - 1
        if position < 0:
            raise KeyError(f"no rate of {pair[0]} to {pair[1]} on or before {day}")
        return rates[position][1]

    def stripe(self, pair: tuple[str, str], day: date, rng: Random) -> Decimal:
        """The rate at which Stripe converts: 0.2 to 0.9 % below the books."""
        return (self.books(pair, day) * (1000 - rng.randint(2, 9)) / 1000).quantize(Decimal("0.000001"))

    def records(self) -> list[dict[str, str]]:
        """The books' rates for the ERP."""
        return [
            {"date": day.isoformat(), "from_currency": pair[0], "to_currency": pair[1], "exchange_rate": f"{rate:f}"}
            for pair, rates in self._rates.items()
            for day, rate in rates
        ]
