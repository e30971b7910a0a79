"""Reading the marts for people: rows as dictionaries, amounts as Decimal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import duckdb
from rich.console import Console

from retail_assets.commands import CommandError
from retail_assets.settings import Settings
from retail_assets.warehouse_file import WarehouseBusyError, opened

_WAIT_SECONDS: Final = 300


def rows(settings: Settings, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a query over the warehouse, opened for reading only.

    Raises:
        CommandError: somebody has been loading or building for too long.
    """
    with reading_warehouse(settings) as connection:
        cursor = connection.execute(query, parameters or {})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def reading_warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse for reading, once nobody writes it; says on standard error that it waits.

    Raises:
        CommandError: somebody has been loading or building for too long.
    """
    told = Console(stderr=True)
    try:
        with opened(
            settings.warehouse_path,
            read_only=True,
            wait_seconds=_WAIT_SECONDS,
            on_wait=lambda: told.print("A load or a build is under way; waiting for its end …"),
        ) as connection:
            yield connection
    except WarehouseBusyError as error:
        raise CommandError(str(error)) from error
