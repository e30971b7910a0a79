"""The declared contracts: complete, unambiguous, and the same in Arrow, dlt and DuckDB."""

from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from retail_assets.contracts import TABLES, Table, children_of, table, tables_of
from retail_assets.sources.schema import ARROW_TYPES, create_table_sql, dlt_columns, record_schema, table_schema
from retail_assets.sources.warehouse import create_raw_tables


def _name(contract: Table) -> str:
    return f"{contract.system}.{contract.name}"


each_table = pytest.mark.parametrize("contract", TABLES, ids=_name)


def test_every_table_is_declared_once() -> None:
    """Two contracts for one raw table: which one holds depended on the order of declaration."""
    assert not [name for name, count in Counter(map(_name, TABLES)).items() if count > 1]


@each_table
def test_columns_are_unique_and_described(contract: Table) -> None:
    """A column declared twice overwrote the other one; one without words says nothing to who reads the docs."""
    names = [column.name for column in contract.all_columns()]
    assert len(set(names)) == len(names)
    assert all(column.description.endswith((".", "…")) for column in contract.all_columns())


@each_table
def test_keys_exist_and_are_required(contract: Table) -> None:
    """A key that may be null matches nothing on merge: the row is doubled by every load."""
    columns = {column.name: column for column in contract.all_columns()}
    for name in (*contract.primary_key, *contract.parent_key):
        assert columns[name].required, name


@each_table
def test_instances_share_a_table_without_sharing_keys(contract: Table) -> None:
    """Order 1001 of one store overwrote order 1001 of another."""
    if contract.system != "ops":
        assert contract.primary_key[0] == contract.instance_column
    if contract.parent_key:
        assert contract.parent_key == contract.primary_key[: len(contract.parent_key)]


@each_table
def test_money_is_exact_and_required_or_explained(contract: Table) -> None:
    """An amount that is missing became a silent null, which sums as nothing."""
    optional = {
        # Informative only: no posting is made from them.
        ("order_coupon_lines", "discount"),
        ("order_coupon_lines", "discount_tax"),
        ("journal_entries", "total_debit"),
        ("journal_entries", "total_credit"),
        ("sales_invoices", "outstanding_amount"),
        # Of what sweeps found: a missed order has no total in the warehouse, a deleted one none in the store.
        ("sweep_findings", "known_total"),
        ("sweep_findings", "found_total"),
        # Of an event in a payment's life only the stages that it moves are given; no model adds them up.
        *(("accounting_entries", name) for name in ("main_amount", "received_pc", "authorised_pc", "captured_pc")),
        ("accounting_entries", "payable_sc"),
        # Control totals that not every sender gives, and what the customer paid where that differs.
        ("statements", "opening_balance"),
        ("statements", "closing_balance"),
        ("entry_details", "amount"),
        ("lines", "payout_amount"),
        ("lines", "presentment_amount"),
        # Of what gateways say beside the movement itself.
        *(("transactions", f"{name}_amount") for name in ("fee", "sales_tax", "shipping", "tip")),
        ("transactions", "ending_balance"),
        *(("balances", f"{name}_balance") for name in ("available", "withheld")),
        *(("report_lines", name) for name in ("customer_facing_amount", "amount_paid", "fees")),
        # What somebody settled by hand, or asked to write off, if they did.
        *(("exception_work", f"{name}_amount") for name in ("resolved", "write_off")),
        # A fee contract may do without.
        *(("gateway_fees", name) for name in ("minimum", "maximum")),
        # Totals of a payout that a report need not have.
        *(("report_lines", f"{name}_amount") for name in ("tax", "fee_correction", "repay", "deposit")),
        # What tax engines and returns say beside the tax itself, not all of them and not always.
        ("avatax_transactions", "total_discount"),
        ("avatax_transactions", "total_tax_calculated"),
        ("avatax_summaries", "tax_calculated"),
        ("taxjar_transactions", "shipping"),
        ("stripe_tax_rows", "taxable_amount"),
        ("stripe_tax_rows", "non_taxable_amount"),
        ("stripe_tax_rows", "filing_tax_amount"),
        ("remittances", "discount_amount"),
        ("remittances", "paid_amount"),
    }
    for column in contract.columns:
        if column.type == "amount":
            assert column.required or (contract.name, column.name) in optional, column.name
    assert ARROW_TYPES["amount"] == pa.decimal128(18, 4)
    assert not any(pa.types.is_floating(field.type) for field in table_schema(contract))


@each_table
def test_currencies_have_the_form_of_a_code(contract: Table) -> None:
    """A currency of '' or 840 was loaded, and its amounts had no exponent any more."""
    for column in contract.columns:
        if column.name == "currency":
            assert column.required
            assert column.pattern


@each_table
def test_arrow_dlt_and_duckdb_agree(contract: Table, tmp_path: Path) -> None:
    """A type that differs between the empty table and the load stops the first load, or casts in silence."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(f'create schema "{contract.schema}"')
        connection.execute(create_table_sql(contract))
        described = {
            name: kind.lower()
            for name, kind, *_ in connection.execute(f'describe "{contract.schema}"."{contract.name}"').fetchall()
        }
    expected = {
        "text": ("varchar", "text"),
        "json": ("varchar", "text"),
        "integer": ("bigint", "bigint"),
        "amount": ("decimal(18,4)", "decimal"),
        "rate": ("decimal(28,12)", "decimal"),
        "boolean": ("boolean", "bool"),
        "timestamp": ("timestamp with time zone", "timestamp"),
        "date": ("date", "date"),
    }
    hints = dlt_columns(contract)
    assert list(described) == table_schema(contract).names == list(hints)
    for column in contract.all_columns():
        in_duckdb, in_dlt = expected[column.type]
        assert described[column.name] == in_duckdb
        assert hints[column.name]["data_type"] == in_dlt
        if column.type == "amount":
            assert (hints[column.name]["precision"], hints[column.name]["scale"]) == (18, 4)


def test_children_are_read_from_a_list_of_their_parent() -> None:
    """A child whose parent or list does not exist was never loaded, and nobody noticed."""
    children = [contract for contract in TABLES if contract.parent]
    assert children
    for child in children:
        parent = table(child.system, child.parent or "")
        assert child in children_of(parent)
        assert child.list_path in record_schema(parent).names
        assert child.resource == parent.name


def test_raw_tables_are_made_once_and_kept(tmp_path: Path) -> None:
    """Making the raw tables again emptied them, or failed on a warehouse that was there."""
    path = tmp_path / "deep" / "warehouse.duckdb"
    create_raw_tables(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("insert into raw_ops.clock values (now())")
    create_raw_tables(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select count(*) from raw_ops.clock").fetchone() == (1,)
        made = connection.execute("select count(*) from information_schema.tables where table_schema like 'raw_%'")
        assert made.fetchone() == (len(TABLES),)


def test_unknown_tables_are_named() -> None:
    """A typing error in a table's name gave None instead of an error."""
    with pytest.raises(KeyError, match=r"raw_woocommerce\.ordres"):
        table("woocommerce", "ordres")
    assert tables_of("nothing") == ()
