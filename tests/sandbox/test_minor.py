"""Rounding of the simulated money: what WooCommerce does at the half, in both signs, and sums that lose nothing."""

from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.sandbox.minor import half_down, half_up, tax_in_gross, tax_on_net, text, unpadded, woo

amounts = st.integers(-(10**12), 10**12)
divisors = st.integers(1, 10**6)


@given(amounts, divisors)
def test_rounding_is_decimal_s_rounding(numerator: int, denominator: int) -> None:
    """Whole-number arithmetic must round like the decimals it stands for, also below zero."""
    exact = Decimal(numerator) / Decimal(denominator)
    # A quotient that is not exact at 28 digits cannot be a half, as the denominators are small.
    assert half_up(numerator, denominator) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    assert half_down(numerator, denominator) == int(exact.quantize(Decimal(1), ROUND_HALF_DOWN))


@given(st.integers(0, 10**9), st.sampled_from([48_750, 70_000, 80_000, 100_000, 190_000]))
def test_tax_in_a_gross_price_is_the_tax_on_its_net(gross: int, rate: int) -> None:
    """Net and tax of a gross price must add up to it, and the tax must be the net's, to the minor unit."""
    tax = tax_in_gross(gross, rate)
    assert abs(tax_on_net(gross - tax, rate) - tax) <= 1
    assert 0 <= tax <= gross


def test_measured_taxes() -> None:
    """Taxes that the real store worked out: New York's two rates and German VAT."""
    assert [tax_on_net(7995, rate) for rate in (40_000, 48_750)] == [320, 390]
    assert tax_on_net(-1000, 88_750) == -89
    assert tax_in_gross(11_900, 190_000) == 1900


@pytest.mark.parametrize(
    ("minor", "currency", "plain", "shop", "short"),
    [
        (1250, "USD", "12.50", "12.50", "12.5"),
        (-5, "EUR", "-0.05", "-0.05", "-0.05"),
        (0, "GBP", "0.00", "0.00", "0"),
        (1500, "JPY", "1500", "1500.00", "1500"),
        (-20, "JPY", "-20", "-20.00", "-20"),
    ],
)
def test_amounts_as_text(minor: int, currency: str, plain: str, shop: str, short: str) -> None:
    """Each system writes amounts its own way; yen have no decimals except in the shop."""
    assert (text(minor, currency), woo(minor, currency), unpadded(minor, currency)) == (plain, shop, short)
