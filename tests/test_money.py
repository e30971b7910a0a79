"""Exact money: exponents by provider, conversions without rounding, and rounding where a rate was applied."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.money import (
    UnknownCurrencyError,
    exponent,
    exponents,
    from_minor,
    providers,
    quantize,
    to_minor,
)

# Stripe's documentation of zero-decimal currencies; UGX is listed there too, but is sent with two decimals.
STRIPE_ZERO_DECIMAL = [
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "JPY",
    "KMF",
    "KRW",
    "MGA",
    "PYG",
    "RWF",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
]
PAIRS = sorted((provider, currency) for provider, currency, _ in exponents())


@pytest.mark.parametrize(
    ("provider", "currency", "digits"),
    [
        ("iso", "USD", 2),
        ("iso", "EUR", 2),
        ("iso", "JPY", 0),
        ("iso", "KWD", 3),
        ("iso", "BHD", 3),
        ("iso", "CLF", 4),
        ("iso", "UGX", 0),
        ("iso", "ISK", 0),
        ("iso", "MGA", 2),
        ("stripe", "UGX", 2),
        ("stripe", "ISK", 2),
        ("stripe", "HUF", 2),
        ("stripe", "TWD", 2),
        ("stripe", "KWD", 3),
        ("stripe", "TND", 3),
        *(("stripe", currency, 0) for currency in STRIPE_ZERO_DECIMAL),
    ],
)
def test_exponent_belongs_to_provider_and_currency(provider: str, currency: str, digits: int) -> None:
    """Yen read as if they had cents, or Stripe's krónur as if they had none: every amount wrong by 100."""
    assert exponent(currency, provider) == digits
    assert exponent(currency.lower(), provider) == digits


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "ZZZ", "BTC", "", "US", "USDX", "$"])
def test_what_has_no_minor_units_is_refused(code: str) -> None:
    """Gold, test codes and typing errors got the usual two decimals instead of an error."""
    with pytest.raises(UnknownCurrencyError, match="not an ISO 4217 currency"):
        exponent(code)
    with pytest.raises(UnknownCurrencyError):
        from_minor(100, code, "stripe")


def test_unknown_provider_is_refused() -> None:
    """A new gateway without an exponent table fell back on the standard's exponents."""
    with pytest.raises(KeyError):
        exponent("USD", "paypall")


def test_exponent_table_is_what_exponent_says() -> None:
    """SQL read another table of exponents than Python: each pair occurs once and says the same."""
    rows = list(exponents())
    assert len({(provider, currency) for provider, currency, _ in rows}) == len(rows)
    assert {provider for provider, _, _ in rows} == set(providers())
    assert all(exponent(currency, provider) == digits for provider, currency, digits in rows)
    assert all(0 <= digits <= 4 for *_, digits in rows)


@given(pair=st.sampled_from(PAIRS), minor=st.integers(-(10**45), 10**45))
def test_minor_units_survive_the_round_trip(pair: tuple[str, str], minor: int) -> None:
    """An amount lost digits on its way to a decimal and back, for instance to a context of 28 digits."""
    provider, currency = pair
    major = from_minor(minor, currency, provider)
    assert to_minor(major, currency, provider) == minor
    assert major * 10 ** exponent(currency, provider) == minor or abs(minor) >= 10**28
    assert major.as_tuple().exponent == -exponent(currency, provider)


@given(pair=st.sampled_from(PAIRS), minor=st.integers(-(10**15), 10**15), places=st.integers(1, 6))
def test_decimals_a_currency_lacks_are_refused(pair: tuple[str, str], minor: int, places: int) -> None:
    """Half a cent was rounded away without a word."""
    provider, currency = pair
    too_fine = from_minor(minor, currency, provider) + Decimal(1).scaleb(-exponent(currency, provider) - places)
    with pytest.raises(ValueError, match="more decimals"):
        to_minor(too_fine, currency, provider)


def test_a_narrow_context_cannot_round_money() -> None:
    """A library that narrows the decimal context changed amounts in silence."""
    with localcontext(prec=6):
        assert from_minor(1234567890123, "USD") == Decimal("12345678901.23")
        assert to_minor(Decimal("12345678901.23"), "USD") == 1234567890123


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_amount(value: str) -> None:
    """NaN or infinity of a broken computation ended in an unrelated overflow error."""
    with pytest.raises(ValueError, match="no amount of money"):
        to_minor(Decimal(value), "USD")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "USD", "0.01"),
        ("-0.005", "USD", "-0.01"),
        ("0.025", "USD", "0.03"),
        ("-0.025", "USD", "-0.03"),
        ("0.0049999", "USD", "0.00"),
        ("0.5", "JPY", "1"),
        ("-0.5", "JPY", "-1"),
        ("2.5", "JPY", "3"),
        ("1.0005", "KWD", "1.001"),
    ],
)
def test_quantize_rounds_half_away_from_zero(amount: str, currency: str, rounded: str) -> None:
    """Python rounded to even where SQL rounds away from zero: ledger and mart differed by a cent."""
    assert str(quantize(Decimal(amount), currency)) == rounded


@given(pair=st.sampled_from(PAIRS), minor=st.integers(-(10**14), 10**14))
def test_quantize_leaves_what_is_exact(pair: tuple[str, str], minor: int) -> None:
    """Rounding an amount that was exact already changed it."""
    _, currency = pair
    exact = from_minor(minor, currency)
    assert quantize(exact, currency) == exact
