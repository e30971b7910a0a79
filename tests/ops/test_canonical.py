"""The bytes that are hashed."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.ops.canonical import canonical_json, decimal_text, utc_text


def test_the_same_money_has_the_same_text() -> None:
    """A trailing zero more or less (10.5 against 10.50) would look like a change and reverse a posted entry."""
    assert {decimal_text(Decimal(text)) for text in ("10.5", "10.50", "1.05E1", "10.5000")} == {"10.5"}
    assert decimal_text(Decimal("1E+3")) == "1000"
    assert decimal_text(Decimal("-0.00")) == "0"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15))
def test_money_survives_its_text(amount: Decimal) -> None:
    """A digit lost on the way into the outbox would be posted."""
    assert Decimal(decimal_text(amount)) == amount


def test_key_order_changes_nothing() -> None:
    """Two hashes for one payload would break the chain on another Python."""
    assert (
        canonical_json({"b": 1, "a": [Decimal("1.10"), None, date(2026, 1, 2)]})
        == '{"a":["1.1",null,"2026-01-02"],"b":1}'
    )


@pytest.mark.parametrize("value", [1.5, {"a": 0.1}, [Decimal("NaN")], datetime(2026, 1, 1), {1, 2}])  # noqa: DTZ001
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """A float in the evidence would be money that passed through binary fractions."""
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


_TEXTS = st.text(max_size=8) | st.text(st.characters(max_codepoint=127), max_size=8)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
)


@given(_PLAIN)
def test_the_text_is_that_of_the_standard(value: object) -> None:
    """Whoever checks the evidence with another implementation must come to the same hashes."""
    assert canonical_json(value) == rfc8785.dumps(value).decode()  # pyright: ignore[reportArgumentType]


def test_an_integer_that_json_cannot_hold_is_refused() -> None:
    """Another implementation would read another number."""
    with pytest.raises(ValueError, match="too large"):
        canonical_json({"a": 2**53})


def test_times_are_utc_with_microseconds() -> None:
    """Mixed widths or zones would sort wrongly in SQLite, which compares them as text."""
    berlin = timezone(timedelta(hours=1))
    assert utc_text(datetime(2026, 1, 1, 13, tzinfo=berlin)) == "2026-01-01T12:00:00.000000Z"
    assert utc_text(datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC)) == "2026-01-01T12:00:00.000005Z"
