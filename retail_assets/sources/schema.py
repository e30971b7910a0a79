"""Contracts in the terms of Arrow, JSON, dlt and DuckDB."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from retail_assets.contracts import Column, ColumnType, Table, children_of

#: Arrow's compute functions are made when it is imported, where type checkers do not see them.
compute: Any = pyarrow.compute

#: dlt may add tables and columns that contracts declare anew; a changed type stops the load.
SCHEMA_CONTRACT: Final[Any] = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}

UTC_TIMESTAMP: Final = pa.timestamp("us", tz="UTC")

#: Arrow type of each column type in a raw table.
ARROW_TYPES: Final[dict[ColumnType, pa.DataType]] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "amount": pa.decimal128(18, 4),
    "rate": pa.decimal128(28, 12),
    "boolean": pa.bool_(),
    "timestamp": UTC_TIMESTAMP,
    "date": pa.date32(),
    "json": pa.string(),
}

# JSON has no zone of its own for naive GMT strings, and Arrow's JSON reader knows dates only as timestamps.
PARSED_TYPES: Final = {**ARROW_TYPES, "timestamp": pa.timestamp("us"), "date": pa.timestamp("s")}

_DUCKDB_TYPES: Final[dict[ColumnType, str]] = {
    "text": "varchar",
    "integer": "bigint",
    "amount": "decimal(18,4)",
    "rate": "decimal(28,12)",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "date": "date",
    "json": "varchar",
}

# What DuckDB chooses for long texts takes four times as long to write and six times the space.
_COMPRESSION: Final = " using compression zstd"

_DLT_TYPES: Final[dict[ColumnType, dict[str, Any]]] = {
    "text": {"data_type": "text"},
    "integer": {"data_type": "bigint"},
    "amount": {"data_type": "decimal", "precision": 18, "scale": 4},
    "rate": {"data_type": "decimal", "precision": 28, "scale": 12},
    "boolean": {"data_type": "bool"},
    "timestamp": {"data_type": "timestamp", "timezone": True, "precision": 6},
    "date": {"data_type": "date"},
    "json": {"data_type": "text"},
}


@cache
def table_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a raw table, our own columns included; key columns are never null."""
    return pa.schema(
        pa.field(column.name, ARROW_TYPES[column.type], nullable=column.name not in table.primary_key)
        for column in table.all_columns()
    )


def create_table_sql(table: Table) -> str:
    """DuckDB's statement that makes the empty raw table, so that models run before a source was ever reached."""
    columns = ", ".join(
        f'"{column.name}" {_DUCKDB_TYPES[column.type]}{_COMPRESSION if column.name == "_payload" else ""}'
        for column in table.all_columns()
    )
    return f'create table if not exists "{table.schema}"."{table.name}" ({columns})'


def dlt_columns(table: Table) -> Any:
    """dlt's column hints by name; ``_deleted`` removes a childless parent's former rows on merge."""
    hints = {column.name: {"name": column.name, **_DLT_TYPES[column.type]} for column in table.all_columns()}
    if table.parent is not None:
        hints["_deleted"]["hard_delete"] = True
    for column in table.columns:
        if column.orders_versions:
            hints[column.name]["dedup_sort"] = "desc"
    return hints


@cache
def record_schema(table: Table) -> pa.Schema:
    """The explicit schema for Arrow's JSON reader: the declared members, children as lists of structs."""
    fields = _struct_fields(table.columns)
    fields.extend(
        pa.field(child.list_path or "", pa.list_(pa.struct(_struct_fields(own_columns(child)))))
        for child in children_of(table)
    )
    return pa.schema(fields)


def _struct_fields(columns: Iterable[Column]) -> list[pa.Field]:
    """Nested Arrow fields for dotted paths: ``billing.email`` becomes a struct with one member."""
    tree: dict[str, Any] = {}
    for column in columns:
        if column.type == "json":
            continue
        *parents, leaf = column.source_path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = PARSED_TYPES[column.type]

    def build(node: Mapping[str, Any]) -> list[pa.Field]:
        return [
            pa.field(name, pa.struct(build(item)) if isinstance(item, dict) else item) for name, item in node.items()
        ]

    return build(tree)


def own_columns(child: Table) -> tuple[Column, ...]:
    """A child's columns without the ones that hold its parent's key."""
    return tuple(column for column in child.columns if column.name not in child.parent_key)
