"""Reading the marts for people: rows as dictionaries, amounts as Decimal."""

from collections.abc import Mapping
from typing import Any

import duckdb

from retail_assets.settings import Settings


def rows(settings: Settings, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a query over the warehouse, opened for reading only."""
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        cursor = connection.execute(query, parameters or {})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
