"""``retail close``: the checklist of a month, the report on it, and the lock.

The report holds no clock but that of the marts, so that the same state gives the same bytes.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from retail_assets.commands import CommandError
from retail_assets.commands.close_checks import Report, examine
from retail_assets.commands.close_report import render
from retail_assets.ops import audit, outbox, periods
from retail_assets.ops.canonical import sha256_hex
from retail_assets.ops.periods import ClosedPeriod, Period, PeriodError
from retail_assets.ops.store import LockHeldError, exclusive, open_store, writing
from retail_assets.settings import Entity, Settings

_NAMED: Final = 20
_LOCK_WAIT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Closing:
    """What ``retail close`` did: ``closed`` is the lock, ours or the one that was there before."""

    report: Report
    report_sha256: str
    path: Path
    closed: ClosedPeriod | None
    is_new: bool

    @property
    def changed_since(self) -> bool:
        """Whether the month looks different now from what it was closed on."""
        return self.closed is not None and self.closed.report_sha256 != self.report_sha256

    @property
    def ok(self) -> bool:
        return self.closed is not None or not self.report.blocking


def close_period(
    settings: Settings, entity_code: str, period: Period, *, check_only: bool = False, output: Path | None = None
) -> Closing:
    """Check a month, write its report and, if nothing blocks, close it.

    The report that a month was closed on is evidence and is never written over; what the month looks like now goes to
    ``output``.

    Raises:
        CommandError: nobody knows who closes it, somebody is posting for the entity, or the operations store is not
            the one that was anchored.
    """
    if not check_only and settings.actor in settings.configuration.operations.shared_accounts:
        raise CommandError(f"several people work as {settings.actor!r}: say who you are with RETAIL_ACTOR")
    entity = settings.configuration.entity(entity_code)
    operations = open_store(settings.operations_url)
    try:
        # Nobody posts into the month between the look at it and its lock.
        with exclusive(operations, outbox.posting_lock_name(entity_code), wait_seconds=_LOCK_WAIT_SECONDS):
            return _close(settings, operations, entity, period, check_only=check_only, output=output)
    except (LockHeldError, PeriodError, audit.AnchorMismatchError) as error:
        raise CommandError(str(error)) from error
    finally:
        operations.dispose()


def _close(
    settings: Settings,
    operations: Engine,
    entity: Entity,
    period: Period,
    *,
    check_only: bool,
    output: Path | None,
) -> Closing:
    report = examine(settings, operations, entity, period)
    page = render(report)
    digest = sha256_hex(page)
    path = settings.home / "exports" / "close" / f"{entity.code}-{period}.html"
    there = next((row for row in periods.closed(operations, entity.code) if row.period == str(period)), None)
    if output is not None:
        _write(output, page)
    if there is None or (there.report_sha256 == digest and not path.is_file()):
        _write(path, page)
    if there is not None or check_only or report.blocking:
        return Closing(report, digest, path, there, is_new=False)
    audit.require_anchor_holds(operations, settings.audit_anchor_path)
    with writing(operations) as connection:
        row = periods.close(
            connection, entity.code, period, closed_by=settings.actor, closed_at=settings.now(), report_sha256=digest
        )
    audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
    return Closing(report, digest, path, row, is_new=True)


def as_dict(closing: Closing) -> dict[str, Any]:
    """For scripts."""
    report, closed = closing.report, closing.closed
    return {
        "entity_code": report.entity.code,
        "period": str(report.period),
        "as_of": report.as_of,
        "blocking": [check.code for check in report.blocking],
        "checks": [
            {"code": check.code, "status": check.status, "summary": check.summary, "details": list(check.details)}
            for check in report.checks
        ],
        "figures": report.figures,
        "report": closing.path,
        "report_sha256": closing.report_sha256,
        "closed": closed is not None,
        "closed_now": closing.is_new,
        "closed_by": closed.closed_by if closed else None,
        "closed_at": closed.closed_at if closed else None,
        "closed_on_report_sha256": closed.report_sha256 if closed else None,
    }


def print_closing(console: Console, closing: Closing) -> None:
    """The checklist, what stands behind each finding, and what became of the month."""
    report = closing.report
    table = Table(
        title=f"Close of {report.entity.name}, {report.period}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("")
    table.add_column("check")
    table.add_column("")
    for check in report.checks:
        mark = {"passed": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "failed": "[red]✗[/red]"}[check.status]
        table.add_row(mark, escape(check.title), escape(check.summary))
    console.print(table)
    for check in report.checks:
        for line in check.details[:_NAMED]:
            console.print(f"  {check.code}: {line}", highlight=False, markup=False, soft_wrap=True)
        if len(check.details) > _NAMED:
            console.print(f"  {check.code}: … and {len(check.details) - _NAMED} more (in the report)", highlight=False)
    for line in _outcome(closing):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _outcome(closing: Closing) -> Iterator[str]:
    report, closed = closing.report, closing.closed
    if closed is None and report.blocking:
        yield f"Not closed: {', '.join(check.code for check in report.blocking)} must be settled first."
    elif closed is None:
        yield "Nothing blocks; nothing was closed, as only the checks were wanted."
    elif closing.is_new:
        yield f"{report.period} of {report.entity.code} is closed; what comes later is dated the first open day."
    elif closing.changed_since:
        yield (
            f"{report.period} was closed by {closed.closed_by} on {closed.closed_at:%Y-%m-%d}; since then its figures "
            "have changed. The report it was closed on stays as it is; write today's with --output."
        )
    else:
        when = f"{closed.closed_at:%Y-%m-%d}"
        yield f"{report.period} was closed by {closed.closed_by} on {when}; nothing has changed since."
    yield f"Report: {closing.path} (SHA-256 {closed.report_sha256 if closed else closing.report_sha256})"


def _write(path: Path, page: str) -> None:
    """Write the report; the former file stays whole until the new one is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        file.write(page.encode())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
