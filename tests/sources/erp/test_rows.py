"""Numbers and ids as ERPs send them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.sources.erp import ids
from retail_assets.sources.erp.rows import decode, difference, encode, negative, number, text
from retail_assets.sources.erp.tryton import plain


@given(st.sets(st.one_of(st.integers(0, 10**20).map(str), st.text(max_size=8)), max_size=40))
@settings(max_examples=60)
def test_ids_come_back_as_they_were(known: set[str]) -> None:
    """An id that is no plain number (007, =1, 1-3, ٣) came back as another one: a record looked deleted."""
    assert ids.decode(json.loads(json.dumps(ids.encode(known)))) == known


def test_long_runs_of_ids_are_short() -> None:
    """A million ids in the state of a load made every load slow."""
    assert ids.encode(map(str, (*range(1, 1526), 1527))) == ["1-1525", "1527"]


@pytest.mark.parametrize(
    ("sent", "exact"),
    [
        (b"0.30000000000000004", "0.300000000000"),
        (b"1e-17", "0.000000000000"),
        (b"-40.99999999999999", "-41.000000000000"),
        (b"99.999912345", "99.999912345"),
        (b"1234567890.12", "1234567890.12"),
        (b"5", "5"),
        (b'"12.50"', "12.50"),
        (b"false", None),
        (b"null", None),
        (b'""', None),
        (b"true", True),
        (b"[]", []),
        (b'"x"', "x"),
        (b'"NaN"', "NaN"),
    ],
)
def test_numbers_are_read_digit_for_digit(sent: bytes, exact: Any) -> None:
    """What floats leave behind was refused, or every number went through a float of ours."""
    assert number(decode(b'{"n": ' + sent + b"}")["n"]) == exact


@given(st.one_of(st.none(), st.booleans(), st.decimals(), st.text(), st.integers(), st.lists(st.none())))
@settings(max_examples=60)
def test_whatever_is_sent_is_left_to_the_contract(value: Any) -> None:
    """A value of another kind ended the load instead of its record."""
    for shape in (number, negative, text, lambda sent: difference(sent, Decimal(1)), plain):
        shape(value)


def test_payloads_keep_their_digits() -> None:
    """A payload that was put together from two answers lost the digits of its numbers."""
    sent = b'{"a":0.30000000000000004,"b":[1.10,{"c":2}]}'
    assert encode(decode(sent)) == sent


_LEAVES = st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["date", "datetime", "Decimal"])
_NAMES = st.sampled_from(["__class__", "decimal", "year", "month", "day", "a."])


@given(st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner), max_leaves=12))
@settings(max_examples=60)
def test_trytons_classes_never_end_a_load(value: Any) -> None:
    """A date of the year 0, or half of one, took its whole page with it."""
    plain(value)
