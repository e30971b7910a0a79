"""What holds for every retailer, whatever its records are: money is conserved, and no verdict depends on chance.

The records are those of the scenario, with one event of each kind; parts of them are taken away and put in another
order, and all models are made anew.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.dbt.compiled import Compiled
from tests.dbt.scenario import play
from tests.dbt.warehouse import Warehouse

pytestmark = pytest.mark.slow

#: A second each. Without shrinking: the seed that fails says enough, and each smaller one would cost as much.
each_builds_all = settings(
    max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate), derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip

#: Evidence that may be missing at any time: what stores, gateways and banks have not sent yet, or never will.
EVIDENCE: Final = (
    "raw_woocommerce.orders",
    "raw_woocommerce.order_lines",
    "raw_woocommerce.order_tax_lines",
    "raw_woocommerce.refunds",
    "raw_stripe.charges",
    "raw_stripe.balance_transactions",
    "raw_stripe.refunds",
    "raw_stripe.disputes",
    "raw_stripe.payouts",
    "raw_stripe.payout_transactions",
    "raw_bank.statements",
    "raw_bank.entries",
)

#: The verdicts, each with what identifies it.
VERDICTS: Final = {
    "rec_settlement_lines": "settlement_line_key",
    "rec_orders": "order_key",
    "rec_refunds": "coalesce(refund_key, store_refund_key, gateway_refund_key)",
    "rec_settlements": "settlement_key",
    "fct_bank_lines": "bank_line_key",
    "rec_exceptions": "exception_id",
    "acc_journal_lines": "entry_id || '#' || line_no",
}


@pytest.fixture(scope="module")
def raw(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The scenario's records, no model made of them yet."""
    found = project.empty(tmp_path_factory.mktemp("raw"))
    play().write(found)
    return found


@pytest.fixture(scope="module")
def base(project: Compiled, raw: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return project.build(raw, tmp_path_factory.mktemp("base") / "home")


@each_builds_all
@given(seed=st.integers(0, 10_000), share=st.sampled_from((0.1, 0.3, 0.6, 0.95)))
@example(seed=0, share=1.0)
def test_money_is_conserved_whatever_is_missing(
    project: Compiled, raw: Warehouse, tmp_path: Path, seed: int, share: float
) -> None:
    """Records that are late or lost made money appear or vanish between the gateway's word and the journals."""
    gone = [f"delete from {table} where hash(rowid, {seed}) % 1000 < {int(share * 1000)}" for table in EVIDENCE]
    built = project.build(raw, tmp_path / "home", *gone)
    broken = {name: found for name, sql in project.promises.items() if (found := built.query(f"from ({sql}) limit 3"))}
    assert broken == {}
    for one, other in CONSERVED:
        assert _differences(built, one, other) == []


@each_builds_all
@given(seed=st.integers(0, 10_000))
def test_the_order_of_arrival_changes_nothing(
    project: Compiled, raw: Warehouse, base: Warehouse, tmp_path: Path, seed: int
) -> None:
    """A verdict that hung on which record came first would differ between two loads of the same evidence."""
    found = raw.query("select schema_name, table_name from duckdb_tables() where schema_name like 'raw_%' order by all")
    tables = [f"{schema}.{name}" for schema, name in found]
    shuffled = [
        f"create or replace table {table} as select * from {table} order by hash(rowid, {seed})" for table in tables
    ]
    built = project.build(raw, tmp_path / "home", *shuffled)
    expected = _marts(base)
    assert any(expected.values())
    assert {name for name, rows in _marts(built).items() if rows != expected[name]} == set()


@each_builds_all
@given(choice=st.integers(0, 10_000))
def test_a_record_that_goes_changes_what_hangs_on_it_and_nothing_else(
    project: Compiled, raw: Warehouse, base: Warehouse, tmp_path: Path, choice: int
) -> None:
    """A missing order, payment, line, payout or bank line moved verdicts that have nothing to do with it."""
    records = [
        (table, key)
        for table, keys in REMOVABLE.items()
        for (key,) in raw.query(f"select {keys} from {table}")
        if key not in MOVED_NOTHING
    ]
    table, key = sorted(records)[choice % len(records)]
    built = project.build(raw, tmp_path / "home", f"delete from {table} where {REMOVABLE[table]} = '{key}'")
    before, after = _verdicts(base), _verdicts(built)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed, f"nothing hangs on {key} of {table}"
    about = f"select {MOVEMENTS.get(table, REMOVABLE[table])} from {table} where {REMOVABLE[table]} = '{key}'"
    start = {key, *(cause for (cause,) in raw.query(about) if cause)}
    allowed = _dependants(start, (*before.values(), *after.values()), moves_money=table in MOVEMENTS)
    strangers = {name for name in changed if not _keys(before.get(name) or after[name]) & allowed}
    assert strangers == set(), f"without {key} of {table}"


#: Records whose absence must stay local, each with the key that verdicts call it by.
REMOVABLE: Final = {
    "raw_woocommerce.orders": "store_id || ':' || id",
    "raw_woocommerce.refunds": "store_id || ':' || id",
    "raw_stripe.charges": "gateway_id || ':' || id",
    "raw_stripe.balance_transactions": "gateway_id || ':' || id",
    "raw_stripe.refunds": "gateway_id || ':' || id",
    "raw_stripe.disputes": "gateway_id || ':' || id",
    "raw_stripe.payouts": "gateway_id || ':' || id",
}

#: A failed attempt and a test charge, on which no verdict hangs.
MOVED_NOTHING: Final = ("stripe_us:ch_failed", "stripe_us:ch_test")

#: Those that are money at the gateway: on them hangs whether a payout adds up, and so whether its orders are settled.
#: Each with the key of what it is about.
MOVEMENTS: Final = {
    "raw_stripe.balance_transactions": "gateway_id || ':' || source",
    "raw_stripe.payouts": "gateway_id || ':' || id",
}

#: Columns of the verdicts that name one thing of the chain, from the order to the bank.
_LINKS: Final = (
    "settlement_line_key", "settlement_key", "order_key", "payment_key", "refund_key", "store_refund_key",
    "gateway_refund_key", "dispute_key", "bank_line_key",
)  # fmt: skip

#: Sums that are the same money: (key, currency, amount) as one system or model has it, and as the next one does.
CONSERVED: Final = (
    (
        """
        select lines.gateway_id, upper(lines.currency), cast(lines.net / power(10, digits.exponent) as decimal(18, 4))
        from raw_stripe.balance_transactions as lines
        inner join raw_ops.currency_exponents as digits
            on digits.currency_code = upper(lines.currency) and digits.provider = 'stripe'
        """,
        "select gateway_id, currency_code, net_amount from marts.fct_settlement_lines",
    ),
    (
        "select settlement_line_key, currency_code, net_amount from marts.fct_settlement_lines",
        "select settlement_line_key, currency_code, net_amount from marts.rec_settlement_lines",
    ),
    (
        # Transfers to the bank and back are no activity; only what they cost is.
        """
        select
            gateway_id, currency_code,
            case when line_type in ('payout', 'payout_reversal') then -fee_amount else net_amount end
        from marts.rec_settlement_lines where is_clearing
        """,
        "select gateway_id, currency_code, net_amount from marts.rec_gross_to_net",
    ),
    (
        "select entity_code, currency_code, net_amount from marts.rec_settlement_lines where is_clearing",
        """
        select entity_code, currency_code, debit_amount - credit_amount
        from marts.acc_journal_lines where account_role = 'gateway_clearing'
        """,
    ),
)


def _differences(warehouse: Warehouse, one: str, other: str) -> list[tuple[Any, ...]]:
    """Sums of two queries, (key, currency, amount) each, where they are not equal."""
    sums = (
        "select column0 as key, column1 as currency, sum(column2) as amount from ({}) as t(column0, column1, column2)"
    )
    return warehouse.query(
        f"""
        select * from ({sums.format(one)} group by all) as one
        full join ({sums.format(other)} group by all) as other using (key, currency)
        where coalesce(one.amount, 0) <> coalesce(other.amount, 0)
        """
    )


def _marts(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    names = warehouse.query("select table_name from information_schema.tables where table_schema = 'marts'")
    return {name: warehouse.query(f"select * from marts.{name} order by all") for (name,) in names}


def _verdicts(warehouse: Warehouse) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (name, row["verdict_key"]): row
        for name, key in VERDICTS.items()
        for row in warehouse.rows(f"select *, {key} as verdict_key from marts.{name}")
        # About the chart of accounts, not about a record: whatever needs the account opens it.
        if row.get("exception_type") != "unmapped_account"
    }


def _keys(row: dict[str, Any]) -> frozenset[str]:
    """What a verdict is about; a journal's entry is called after its cause."""
    named = [row.get(name) for name in _LINKS]
    named += [key for name in ("rival_order_keys", "rival_payment_keys") for key in (row.get(name) or "").split(",")]
    named += [row["entry_id"].partition("/")[2]] if "entry_id" in row else []
    # A payout without lines stands on the gateway's balance, and a gap in that is about nothing but the gateway.
    named += [row["gateway_id"]] if row.get("balance_window_key") else []
    named += [row["exception_id"].split(":")[1]] if row.get("exception_type") == "completeness_gap" else []
    return frozenset(key for key in named if key)


def _dependants(start: set[str], rows: Iterable[dict[str, Any]], *, moves_money: bool) -> set[str]:
    """What may hang on a record: its order with all that belongs to it, and the payouts and bank lines of these.

    The other orders of those payouts, and the gateway's balance, only if it is money that moved.
    """
    rows = list(rows)
    payouts = {row[name] for row in rows for name in ("settlement_key", "bank_line_key") if row.get(name)}
    known = {_keys(row) for row in rows}
    orders = _grown(start - payouts, [keys - payouts for keys in known])
    touched = {one for keys in known if keys & orders for one in keys & payouts} | (start & payouts)
    touched = _grown(touched, [keys for keys in known if keys <= payouts])
    if not moves_money:
        return orders | touched
    inside = {one for keys in known if keys & touched for one in keys - payouts}
    return (
        _grown(orders | inside, [keys - payouts for keys in known]) | touched | {key.partition(":")[0] for key in start}
    )


def _grown(found: set[str], groups: Iterable[frozenset[str]]) -> set[str]:
    groups, before = list(groups), -1
    while len(found) > before:
        before = len(found)
        found = found.union(*(keys for keys in groups if keys & found))
    return found
