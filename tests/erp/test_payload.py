"""An entry on its way through the outbox."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from retail_assets.erp.payload import from_payload, to_payload
from retail_assets.erp.protocol import JournalLine
from tests.erp.books import entry

AMOUNTS = st.decimals(min_value=0, max_value=10**13, places=4, allow_nan=False, allow_infinity=False)
LINES = st.builds(
    JournalLine,
    account_code=st.text(min_size=1, max_size=8),
    debit=AMOUNTS,
    credit=AMOUNTS,
    currency_code=st.sampled_from(["USD", "JPY", "KWD"]),
    base_debit=AMOUNTS,
    base_credit=AMOUNTS,
    exchange_rate=st.decimals(min_value="0.000000000001", max_value=10**6, places=12),
    memo=st.text(st.characters(codec="utf-8"), max_size=30),
    cost_centre=st.sampled_from(["", "Books - CP"]),
)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_an_entry_survives(lines: list[JournalLine]) -> None:
    """What is sent after a crash is what was written down: a digit lost here would be posted."""
    original = entry("k#1", *lines)
    payload = to_payload(original)
    assert from_payload(payload) == original
    assert to_payload(from_payload(payload)) == payload


def test_equal_money_is_equal_text() -> None:
    """A payload that differs only in zeros would be taken for a change of plan."""
    line = entry().lines[0]
    same = replace(
        line, debit=Decimal("33.3300"), base_debit=Decimal("33.330"), exchange_rate=Decimal("1.000000000000")
    )
    assert to_payload(entry("k#1", line)) == to_payload(entry("k#1", same))
