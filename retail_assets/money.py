"""Exact money: currency exponents and conversions between minor units and decimals.

Nothing here touches a float. ISO 4217 gives the exponent of a currency; a provider may deviate from it, so an exponent
always belongs to the pair (provider, currency).
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

from iso4217 import Currency

#: Precision of every amount in the warehouse: ``decimal(18,4)``.
AMOUNT_SCALE: Final = 4
AMOUNT_PRECISION: Final = 18

# Stripe's currency documentation: these differ from ISO 4217. ISK and UGX are sent with two decimals, always 00;
# MGA has a non-decimal subunit and is sent as a whole number.
_STRIPE_DEVIATIONS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}

_PROVIDER_DEVIATIONS: Final[dict[str, dict[str, int]]] = {"iso": {}, "stripe": _STRIPE_DEVIATIONS}


# The default context rounds to 28 digits without a word; this one raises instead of losing a digit.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])


class UnknownCurrencyError(ValueError):
    """The code is no ISO 4217 currency that has minor units."""


def providers() -> tuple[str, ...]:
    """The providers whose exponents are known, ``iso`` being the standard itself."""
    return tuple(_PROVIDER_DEVIATIONS)


def exponent(currency_code: str, provider: str = "iso") -> int:
    """Number of decimals of ``currency_code`` in the amounts of ``provider`` (JPY 0, USD 2, KWD 3).

    Raises:
        UnknownCurrencyError: the code is unknown or has no minor unit (gold, for one).
        KeyError: the provider is unknown.
    """
    deviations = _PROVIDER_DEVIATIONS[provider]
    code = currency_code.upper()
    if code in deviations:
        return deviations[code]
    try:
        digits = Currency(code).exponent
    except ValueError:
        digits = None
    if digits is None:
        raise UnknownCurrencyError(f"{currency_code!r} is not an ISO 4217 currency with minor units")
    return digits


def exponents() -> Iterator[tuple[str, str, int]]:
    """Every (provider, currency code, exponent): the one table that SQL uses as well."""
    for provider in providers():
        for currency in Currency:
            if currency.exponent is not None:
                yield provider, currency.code, exponent(currency.code, provider)


def from_minor(amount: int, currency_code: str, provider: str = "iso") -> Decimal:
    """Minor units to a decimal in major units: ``from_minor(1999, "USD")`` is ``Decimal("19.99")``."""
    return Decimal(amount).scaleb(-exponent(currency_code, provider), context=_EXACT)


def to_minor(amount: Decimal, currency_code: str, provider: str = "iso") -> int:
    """A decimal in major units to minor units.

    Raises:
        ValueError: the amount has more decimals than the currency, or is no number; money is never rounded silently.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} {currency_code} is no amount of money")
    scaled = amount.scaleb(exponent(currency_code, provider), context=_EXACT)
    whole = scaled.to_integral_value()
    if whole != scaled:
        raise ValueError(f"{amount} {currency_code} has more decimals than {provider} knows for that currency")
    return int(whole)


def quantize(amount: Decimal, currency_code: str) -> Decimal:
    """Round to the currency's own decimals, half away from zero as SQL's round() does; for derived amounts only
    (a rate times an amount)."""
    return amount.quantize(Decimal(1).scaleb(-exponent(currency_code)), rounding=ROUND_HALF_UP)
