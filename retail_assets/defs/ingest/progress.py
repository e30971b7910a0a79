"""How far a long load is: in the run's log in the UI, and wherever else somebody wants to see it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import dagster as dg

from retail_assets.sources.intake import Progress

#: The event log keeps what it is told for ever; a terminal does not.
_SECONDS_BETWEEN_LOGS: Final = 30.0
_SHOW: Final[ContextVar[Callable[[str], None] | None]] = ContextVar("show", default=None)


@contextmanager
def shown_progress(show: Callable[[str], None]) -> Iterator[None]:
    """Show the progress of loads that run within, in this process: one line every few seconds while a load lasts."""
    token = _SHOW.set(show)
    try:
        yield
    finally:
        _SHOW.reset(token)


def reporter(context: dg.AssetExecutionContext) -> Callable[[Progress], None]:
    """What an intake tells how far it is."""
    show = _SHOW.get()
    logged = float("-inf")

    def report(progress: Progress) -> None:
        nonlocal logged
        if show is not None:
            show(str(progress))
        moment = time.monotonic()
        if moment - logged >= _SECONDS_BETWEEN_LOGS:
            logged = moment
            context.log.info(str(progress))

    return report
