"""``retail approve``: what waits for a second person."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine

from retail_assets.commands import CommandError
from retail_assets.defs.export.planning import ask, plan_for
from retail_assets.ops import approvals, audit
from retail_assets.ops.approvals import Approval, ApprovalError, Decision
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

_SHORT_ID = 12


def waiting(settings: Settings, *, everything: bool, entity_code: str | None) -> list[dict[str, Any]]:
    """What was asked for and is not decided, or all of it, oldest first."""
    with _store(settings) as operations:
        found = approvals.rows(operations, undecided_only=not everything, entity_code=entity_code)
    return [asdict(row) for row in found]


def ask_for(settings: Settings, entities: list[str]) -> int:
    """Ask for every approval that the entities' plans wait for; returns how many are new."""
    with _store(settings) as operations:
        return sum(ask(settings, operations, plan_for(settings, operations, code)) for code in entities)


def show(settings: Settings, identifier: str) -> dict[str, Any]:
    """One request with its decision."""
    with _store(settings) as operations:
        return asdict(_found(operations, identifier))


def decide(settings: Settings, identifier: str, decision: Decision, reason: str) -> dict[str, Any]:
    """Decide about a request, as the user whom the operating system knows.

    Raises:
        CommandError: it cannot be decided like this, and why.
    """
    acting_person(settings)
    with _store(settings) as operations:
        approval = _found(operations, identifier)
        try:
            audit.require_anchor_holds(operations, settings.audit_anchor_path)
            decided = approvals.decide(
                operations, approval.approval_id, decision, actor=settings.actor, reason=reason, now=settings.now()
            )
        except (ApprovalError, audit.AnchorMismatchError) as error:
            raise CommandError(f"{approval.approval_id}: {error}") from error
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())
    return asdict(decided)


def acting_person(settings: Settings) -> str:
    """Who works here, as the operating system knows them, or RETAIL_ACTOR where several share an account.

    Raises:
        CommandError: it is not known who that is.
    """
    if settings.actor in settings.configuration.operations.shared_accounts:
        raise CommandError(f"several people work as {settings.actor!r}: say who you are with RETAIL_ACTOR")
    return settings.actor


def print_list(console: Console, found: list[dict[str, Any]]) -> None:
    """One line each; the id is what ``retail approve show`` takes."""
    console.print(f"[bold]{len(found)} approvals[/bold]", highlight=False)
    for row in found:
        state = f"{row['decision']} by {row['decided_by']}" if row["decision"] else "waits"
        console.print(
            f"{_amount(row):>22}  [cyan]{row['approval_id'][:_SHORT_ID]}[/cyan]  {row['entity_code']}  {row['kind']}  "
            f"{escape(row['subject'])}  asked by {escape(row['requested_by'])}  {escape(state)}",
            highlight=False,
            soft_wrap=True,
        )


def print_one(console: Console, row: dict[str, Any]) -> None:
    """All of it."""
    for name, value in row.items():
        if value is not None:
            console.print(f"[dim]{name}[/dim] {escape(str(value))}", highlight=False, soft_wrap=True)


def _amount(row: dict[str, Any]) -> str:
    return f"{Decimal(row['amount']):,.2f} {row['currency_code']}" if row["amount"] else ""


def _found(operations: Engine, identifier: str) -> Approval:
    try:
        return approvals.find(operations, identifier)
    except KeyError:
        raise CommandError(f"no single approval is {identifier!r}; list them with: retail approve list --all") from None


@contextmanager
def _store(settings: Settings) -> Iterator[Engine]:
    operations = open_store(settings.operations_url)
    try:
        yield operations
    finally:
        operations.dispose()
