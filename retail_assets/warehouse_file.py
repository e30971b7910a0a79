"""Opening the warehouse, a DuckDB file: one process at a time may write it, and none may read it meanwhile."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import duckdb

_WAIT_SECONDS: Final = 60
_LOOK_AGAIN_SECONDS: Final = 0.1


class WarehouseBusyError(Exception):
    """Another process holds the warehouse and does not let go of it; the message names it and says what to do."""


@contextmanager
def opened(
    warehouse: Path,
    *,
    read_only: bool = False,
    wait_seconds: float = _WAIT_SECONDS,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse, closed at the end; waits while another process holds it.

    Args:
        wait_seconds: how long to wait for a process that holds it.
        on_wait: called once if it has to be waited for.

    Raises:
        WarehouseBusyError: it is still held.
        duckdb.Error: the file cannot be opened.
    """
    deadline = time.monotonic() + wait_seconds
    waits = False
    while True:
        try:
            connection = duckdb.connect(str(warehouse), read_only=read_only)
            break
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            if time.monotonic() > deadline:
                holder = str(error).partition("Conflicting lock is held in ")[2].partition(". ")[0]
                raise WarehouseBusyError(
                    f"the warehouse is in use by {holder or 'another process'}: a load or a build is under way; try "
                    "again when it has ended, or read published/marts.duckdb, which is never held"
                ) from error
            if not waits:
                waits = True
                on_wait()
            time.sleep(_LOOK_AGAIN_SECONDS)
    with closing(connection):
        yield connection
