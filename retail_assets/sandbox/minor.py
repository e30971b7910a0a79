"""Amounts of the simulated world: whole minor units throughout, with WooCommerce's way of rounding and writing them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from retail_assets import money

#: Tax rates are counted in millionths: 8.875 % is 88_750.
RATE_SCALE: Final = 1_000_000

#: Decimals by currency, as everything in the simulated world asks for the same few currencies over and over.
EXPONENTS: Final = {code: money.exponent(code) for code in ("USD", "EUR", "GBP", "JPY")}


def half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded to a whole number, halves away from zero (``denominator`` > 0)."""
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)


def half_down(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded to a whole number, halves towards zero (``denominator`` > 0)."""
    if numerator < 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((-2 * numerator + denominator) // (2 * denominator))


def tax_on_net(net: int, rate: int) -> int:
    """Tax added to a net amount; WooCommerce rounds each line and rate half up when prices exclude tax."""
    return half_up(net * rate, RATE_SCALE)


def tax_in_gross(gross: int, rate: int) -> int:
    """Tax held in a gross amount; WooCommerce rounds half down when prices include tax."""
    return half_down(gross * rate, RATE_SCALE + rate)


def major(minor: int, currency: str) -> Decimal:
    """Minor units to a decimal in major units."""
    return Decimal(minor).scaleb(-EXPONENTS[currency])


def text(minor: int, currency: str) -> str:
    """An amount as its currency writes it: ``12.50`` USD, ``1500`` JPY."""
    digits = EXPONENTS[currency]
    if digits == 0:
        return str(minor)
    sign, whole = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def woo(minor: int, currency: str) -> str:
    """An amount as WooCommerce writes it: two decimals in any currency, since decimals are a setting of the shop."""
    return f"{minor}.00" if EXPONENTS[currency] == 0 else text(minor, currency)


def unpadded(minor: int, currency: str) -> str:
    """An amount the way coupon lines carry it: no trailing zeros (``9.6``, ``0``)."""
    written = woo(minor, currency)
    return written.rstrip("0").rstrip(".")


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` over ``weights`` in whole units; the parts add up to ``total`` exactly.

    Raises:
        ValueError: all weights are zero but the total is not.
    """
    weight_sum = sum(weights)
    if weight_sum == 0:
        if total:
            raise ValueError("cannot split an amount over weights of zero")
        return [0 for _ in weights]
    parts: list[int] = []
    given = seen = 0
    for weight in weights:
        seen += weight
        upto = total * seen // weight_sum
        parts.append(upto - given)
        given = upto
    return parts


def total(amounts: Iterable[int]) -> int:
    """Sum of minor units."""
    return sum(amounts, 0)
