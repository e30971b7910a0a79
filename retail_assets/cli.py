"""``retail``: the command line. Each command checks its input, calls the part that does the work and shows the result.

Exit codes: 0 all is well, 1 something failed or is wrong, 2 the command or the configuration cannot be used.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from retail_assets.commands import CommandError
from retail_assets.settings import Settings, SettingsError, json_schema, load_settings

app = typer.Typer(
    name="retail",
    help="Order-to-cash for multi-brand WooCommerce retailers: load, correlate, reconcile, post.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
sandbox = typer.Typer(
    help="The simulated retailer: data with known truth, served like the real systems.", no_args_is_help=True
)
exceptions = typer.Typer(help="What does not agree: typed, owned, aged.", no_args_is_help=True)
quarantine = typer.Typer(help="Records that broke their contract.", no_args_is_help=True)
approve = typer.Typer(help="What waits for a second person.", no_args_is_help=True)
alerts = typer.Typer(help="Who is told when something is wrong.", no_args_is_help=True)
fees = typer.Typer(help="What gateways charge, against their contracts.", no_args_is_help=True)
config = typer.Typer(help="The configuration.", no_args_is_help=True)
policy = typer.Typer(help="What finance has decided.", no_args_is_help=True)
replay = typer.Typer(
    help="Read again what was refused, lost or wrong, and rebuild; who did it, and why, is kept.", no_args_is_help=True
)
webhooks = typer.Typer(help="Events from stores and gateways: the intake and its inbox.", no_args_is_help=True)
app.add_typer(sandbox, name="sandbox")
app.add_typer(replay, name="replay")
app.add_typer(webhooks, name="webhooks")
app.add_typer(exceptions, name="exceptions")
app.add_typer(quarantine, name="quarantine")
app.add_typer(approve, name="approve")
app.add_typer(alerts, name="alerts")
app.add_typer(fees, name="fees")
stock = typer.Typer(help="What may be promised, and what stores show.", no_args_is_help=True)
canary = typer.Typer(help="Synthetic orders that show whether the chain works.", no_args_is_help=True)
app.add_typer(stock, name="stock")
app.add_typer(canary, name="canary")
app.add_typer(config, name="config")
app.add_typer(policy, name="policy")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
Entity = Annotated[str | None, typer.Option("--entity", "-e", help="Only this entity, for example US.")]

Seed = Annotated[int | None, typer.Option(help="Seed: the same seed makes the same retailer; 7 if left out.")]
Orders = Annotated[int | None, typer.Option(min=60, help="Orders over all stores; 300 if left out.")]
Days = Annotated[int | None, typer.Option(min=28, help="Days of trading; 45 if left out.")]


@app.callback()
def main(
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Take this for now, for example 2026-11-05T12:00:00Z (or RETAIL_AS_OF)."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="Folder of all state (or RETAIL_HOME); default .retail/.")
    ] = None,
    configuration: Annotated[
        Path | None,
        typer.Option("--config", help="The configuration file (or RETAIL_CONFIG); default data/retail.yaml."),
    ] = None,
) -> None:
    for name, value in (("RETAIL_AS_OF", as_of), ("RETAIL_HOME", home), ("RETAIL_CONFIG", configuration)):
        if value is not None:
            os.environ[name] = str(value)


@app.command()
def run(
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Load the sources first, or rebuild from raw only.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Run the whole chain once: load, build, check, post."""
    from retail_assets.commands.run import run_chain
    from retail_assets.commands.summary import summarise

    settings = _settings()
    with _explained():
        result = run_chain(settings, _progress(as_json), load=load)
    if as_json:
        _print_json({"failures": result.failures, "failed_checks": result.failed_checks, "posted": result.posted,
                     "held": result.held, "seconds": result.seconds})  # fmt: skip
    else:
        summarise(settings, _console(), result)
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def summary(as_json: Json = False) -> None:
    """Show the bridge from gross sales to cash, open exceptions and posted journals."""
    from retail_assets.commands.summary import figures, summarise

    settings = _settings()
    _existing_warehouse(settings)
    if as_json:
        _print_json(figures(settings))
    else:
        summarise(settings, _console())


@app.command()
def plan(
    entity: Entity = None,
    shadow: Annotated[
        str | None,
        typer.Option(
            "--shadow",
            help="Show instead which journal lines other rules would alter: a git ref, a retail.yaml, or one of "
            "finance's CSV files. Takes about as long as a build.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what would be posted: desired ledger minus what is posted, like a diff."""
    from retail_assets.commands.ledger import plan_as_dict, plans, print_plan

    settings = _settings()
    _existing_warehouse(settings)
    if shadow is not None:
        from retail_assets.commands.shadow import print_shadow, shadow_plan

        with _explained():
            other = shadow_plan(settings, shadow, _entities(settings, entity), _progress(as_json))
        _print_json(asdict(other)) if as_json else print_shadow(_console(), other)
        return
    found = plans(settings, _entities(settings, entity))
    if as_json:
        _print_json({code: plan_as_dict(item) for code, item in found.items()})
    else:
        for item in found.values():
            print_plan(_console(), item)


@app.command()
def post(entity: Entity = None, as_json: Json = False) -> None:
    """Post each entity's plan, if its gate checks have passed on the latest marts."""
    from retail_assets.commands.run import post_entities

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        result = post_entities(settings, _progress(as_json), _entities(settings, entity))
    if as_json:
        _print_json({"posted": result.posted, "held": result.held, "failures": result.failures})
    raise typer.Exit(0 if result.ok else 1)


@app.command("close")
def close_month(
    entity: Annotated[str, typer.Argument(help="Entity, for example US.")],
    period: Annotated[str, typer.Argument(help="Month of its books, for example 2026-10.")],
    check_only: Annotated[bool, typer.Option("--check", help="Only check and report; close nothing.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the report, as the month looks now, to this file too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a month of an entity's books, write the report and, if nothing blocks, close it for good."""
    from retail_assets.commands.close import as_dict, close_period, print_closing
    from retail_assets.ops.periods import Period

    settings = _settings()
    _entities(settings, entity)
    try:
        month = Period.parse(period)
    except ValueError as error:
        _fail(str(error))
    _existing_warehouse(settings)
    with _explained():
        closing = close_period(settings, entity, month, check_only=check_only, output=output)
    if as_json:
        _print_json(as_dict(closing))
    else:
        print_closing(_console(), closing)
    raise typer.Exit(0 if closing.ok else 1)


@app.command()
def evidence(
    entity: Annotated[str | None, typer.Argument(help="Entity, for example US.")] = None,
    period: Annotated[str | None, typer.Argument(help="Month of its books, for example 2026-10.")] = None,
    check_file: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Make this pack anew, and say whether it is equal."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write the pack to this file instead.")] = None,
    as_json: Json = False,
) -> None:
    """Write what an auditor asks for about a month of an entity's books into one file, or check such a file."""
    from retail_assets.commands import evidence as packs
    from retail_assets.ops.periods import Period

    settings = _settings()
    if check_file is not None:
        if entity is not None or output is not None:
            _fail("--check takes a pack, which names its entity and month itself: leave the others out")
        _existing_warehouse(settings)
        with _explained():
            checked = packs.check(settings, check_file)
        if as_json:
            _print_json(packs.checked_as_dict(checked))
        else:
            packs.print_checked(_console(), checked)
        raise typer.Exit(0 if checked.ok else 1)
    if entity is None or period is None:
        _fail("say which entity and which month, for example: retail evidence US 2026-10")
    _entities(settings, entity)
    try:
        month = Period.parse(period)
    except ValueError as error:
        _fail(str(error))
    _existing_warehouse(settings)
    with _explained():
        pack = packs.gather(settings, entity, month)
        path, aside = packs.write(settings, pack, output)
    if as_json:
        _print_json(packs.pack_as_dict(pack, path, aside))
    else:
        packs.print_pack(_console(), pack, path, aside)


@app.command()
def trace(
    identifier: Annotated[
        str,
        typer.Argument(
            help="Order number or key, payment, payout, bank reference, ERP document, or a webhook's trace id."
        ),
    ],
    raw: Annotated[bool, typer.Option("--raw", help="Print the raw records too, as the sources sent them.")] = False,
    as_json: Json = False,
) -> None:
    """Follow one order, payment, payout, bank line or ERP document through the whole chain, down to the raw record."""
    from retail_assets.commands.trace import print_trace, trace_of

    settings = _settings()
    _existing_warehouse(settings)
    found = trace_of(settings, identifier, with_payload=raw)
    if as_json:
        _print_json(found)
    else:
        print_trace(_console(), identifier, found)
    if not found["named"]:
        raise typer.Exit(1)


@app.command()
def verify(
    erp: Annotated[
        bool, typer.Option("--erp/--no-erp", help="Also read every posted document back from the ERP.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Check the evidence chain, and that every posted document is at the ERP as it was meant."""
    from retail_assets.commands.ledger import verify_all

    problems, checked = verify_all(_settings(), with_erp=erp)
    if as_json:
        _print_json({"problems": problems, **checked})
    else:
        for problem in problems:
            _console().print(f"[red]✗[/red] {problem}", highlight=False, markup=True)
        counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in checked.items())
        _console().print(
            f"{'[red]' if problems else '[green]'}{len(problems)} problems[/] in {counted}", highlight=False
        )
    raise typer.Exit(1 if problems else 0)


@app.command()
def prove(
    posting_key: Annotated[
        str, typer.Argument(help="Key of the document at the ERP, for example line/stripe_us:txn_1#1.")
    ],
) -> None:
    """Print a proof that a document was posted: at most 2 KB, which docs/check_posting.py checks without us."""
    from retail_assets.accounting.inclusion import NotCertifiedError
    from retail_assets.accounting.inclusion import prove as proof_of
    from retail_assets.ops.store import open_store

    operations = open_store(_settings().operations_url)
    try:
        found = proof_of(operations, posting_key)
    except NotCertifiedError as error:
        _fail(str(error))
    finally:
        operations.dispose()
    typer.echo(json.dumps(found, ensure_ascii=False, separators=(",", ":")))


@app.command()
def attest(entity: Entity = None, as_json: Json = False) -> None:
    """Read everything that was ever posted back from the ERP; what is no longer as posted is held and reported."""
    from retail_assets.commands.run import attest_entities

    settings = _settings()
    with _explained():
        result = attest_entities(settings, _progress(as_json), _entities(settings, entity))
    if as_json:
        _print_json({"attested": result.attested, "failures": result.failures})
    else:
        for code, counts in result.attested.items():
            colour = "red" if counts["drifted"] else "green"
            _console().print(
                f"[{colour}]{code}: {counts['equal']} of {counts['documents']} documents are as they were posted[/]",
                highlight=False,
            )
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the configuration, the stores and every connection, and say what to do about what is wrong."""
    from retail_assets.commands.doctor import examine, print_findings

    findings = list(examine(_settings()))
    if as_json:
        _print_json([finding.to_dict() for finding in findings])
    else:
        print_findings(_console(), findings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command("drift")
def drift_list(as_json: Json = False) -> None:
    """List what changed in the shape of the sources' records, and which models read it."""
    from retail_assets.commands.worklists import drift_rows, print_drift

    rows = drift_rows(_settings())
    _print_json(rows) if as_json else print_drift(_console(), rows)


@app.command("migrate")
def migrate_stores(
    to: Annotated[
        str | None,
        typer.Option("--to", help="Take the operations store back to this revision, for an older release."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the home, and bring operations store and Dagster's storage to this release; safe to repeat."""
    from retail_assets.commands.upkeep import bring_up

    with _explained():
        found = bring_up(_settings(), to)
    if as_json:
        _print_json(found)
    else:
        _console().print(", ".join(f"{name}: {state}" for name, state in found.items()), highlight=False)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    as_json: Json = False,
) -> None:
    """Copy operations store, evidence, file drops and warehouse, as they are at one moment; see docs/running.md."""
    from retail_assets.commands.upkeep import back_up

    with _explained():
        found = back_up(_settings(), folder)
    if as_json:
        _print_json(found)
    else:
        _console().print(f"{len(found['files'])} files in {folder}; operations: {found['operations']}", highlight=False)


@app.command()
def catalogue() -> None:
    """Print who owns what, in which version, and who would notice a change, as Markdown."""
    from retail_assets.commands.catalogue import catalogue_page
    from retail_assets.defs.transform.manifest import manifest_path

    settings = _settings()
    with _explained():
        manifest = json.loads(manifest_path(settings).read_text(encoding="utf-8"))
    typer.echo(catalogue_page(manifest, settings.dbt_project_path / "seeds"), nl=False)


@app.command()
def prepare() -> None:
    """Make in each ERP what posting exactly once needs: a unique field for our key."""
    from retail_assets.commands.ledger import prepare_erps

    made = prepare_erps(_settings())
    for what in made or ["everything is there already"]:
        _console().print(what, highlight=False)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Open the Dagster UI, with daemon, on this state; serve the simulated retailer too if that is configured."""
    from retail_assets.commands.dev import develop

    with _explained():
        develop(_settings(), _console(), port)


ExceptionIds = Annotated[list[str] | None, typer.Argument(help="One or more exception_ids, as listed.")]
ExceptionId = Annotated[str, typer.Argument(help="exception_id, as listed.")]
ExceptionType = Annotated[str | None, typer.Option("--type", help="Only this type, for example order_missing.")]
OlderThan = Annotated[
    int | None, typer.Option("--older-than", min=0, help="Only those whose cause is older than so many days.")
]
Sure = Annotated[bool, typer.Option("--yes", help="Do it to all that fit, where they are not named one by one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept as evidence.")]


@stock.command("plan")
def stock_plan(
    store: Annotated[str, typer.Argument(help="Store, for example cedar_us.")],
    as_json: Json = False,
) -> None:
    """Show what would be written into a store's stock: what each article shows, and what may be promised."""
    from retail_assets.commands.stock import plan_as_dict, planned, print_plan

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        found = planned(settings, store)
    _print_json(plan_as_dict(settings, found)) if as_json else print_plan(settings, _console(), found)


@stock.command("push")
def stock_push(
    store: Annotated[str, typer.Argument(help="Store, for example cedar_us.")],
    allow_large: Annotated[
        bool, typer.Option("--allow-large", help="Send it though it changes more than the store's limits allow.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write what may be promised into a store's stock, where it shows something else, and read it back."""
    from retail_assets.commands.stock import print_push, push_as_dict, pushed

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        result = pushed(settings, store, _progress(as_json), allow_large=allow_large)
    _print_json(push_as_dict(result)) if as_json else print_push(_console(), result)
    raise typer.Exit(0 if result.ok else 1)


@canary.command("run")
def canary_run(
    store: Annotated[str, typer.Argument(help="Store, for example cedar_us; one of canary.stores.")],
    as_json: Json = False,
) -> None:
    """Place a synthetic order without money in a store; the next load and build show whether it comes through."""
    from retail_assets.commands.canary import placed

    settings = _settings()
    with _explained():
        found = placed(settings, store)
    if as_json:
        _print_json(asdict(found))
    else:
        _console().print(
            f"{found.store_id} has taken order {found.order_id} ({found.token}); see: retail canary status",
            highlight=False,
        )


@canary.command("status")
def canary_status(as_json: Json = False) -> None:
    """Show how far each synthetic order came, hop by hop; exits 1 if one of them is late, lost or was refused."""
    from retail_assets.commands.canary import is_missing, print_status, status_rows

    settings = _settings()
    _existing_warehouse(settings)
    found = status_rows(settings)
    _print_json(found) if as_json else print_status(_console(), found)
    raise typer.Exit(1 if any(is_missing(row) for row in found) else 0)


@exceptions.command("list")
def exceptions_list(
    exception_type: ExceptionType = None,
    entity: Entity = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Only this queue: business or technical.")] = None,
    assignee: Annotated[str | None, typer.Option("--assignee", help="Only what this person has.")] = None,
    older_than: OlderThan = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose due date has passed.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also what is snoozed, resolved or closed.")] = False,
    as_json: Json = False,
) -> None:
    """List the exceptions that somebody must do something about, the largest amount at risk first."""
    from retail_assets.commands.exceptions import Chosen, exception_rows, print_exceptions

    settings = _settings()
    _existing_warehouse(settings)
    chosen = Chosen((), exception_type, entity, queue, assignee, older_than, overdue, everything)
    with _explained():
        rows = exception_rows(settings, chosen)
    _print_json(rows) if as_json else print_exceptions(_console(), rows)


@exceptions.command("show")
def exceptions_show(identifier: ExceptionId, as_json: Json = False) -> None:
    """Show one exception: its evidence, what to do, what was done about it, and its journal entries."""
    from retail_assets.commands.exceptions import exception_details, print_exception

    settings = _settings()
    _existing_warehouse(settings)
    with _explained(code=1):
        row = exception_details(settings, identifier)
    _print_json(row) if as_json else print_exception(_console(), row)


@exceptions.command("assign")
def exceptions_assign(
    to: Annotated[str, typer.Option("--to", help="Who takes it.")],
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Give exceptions to somebody."""
    _act("assign", identifiers, exception_type, entity, older_than, sure, as_json, assignee=to)


@exceptions.command("comment")
def exceptions_comment(
    text: Annotated[str, typer.Option("--text", help="What there is to say.")],
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Say something about exceptions."""
    _act("comment", identifiers, exception_type, entity, older_than, sure, as_json, reason=text)


@exceptions.command("snooze")
def exceptions_snooze(
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="The day they come back.")],
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why.")] = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Let exceptions sleep until a day; they go on ageing, and their due date stays."""
    _act("snooze", identifiers, exception_type, entity, older_than, sure, as_json, snoozed_until=until.date(),
         reason=reason)  # fmt: skip


@exceptions.command("resolve")
def exceptions_resolve(
    reason: Reason,
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Call exceptions settled. What they hold stays held until the cause is gone; a new amount opens them again."""
    _act("resolve", identifiers, exception_type, entity, older_than, sure, as_json, reason=reason)


@exceptions.command("reopen")
def exceptions_reopen(
    reason: Reason,
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Take back that exceptions were resolved, snoozed or written off; of a write-off a second person approves that."""
    _act("reopen", identifiers, exception_type, entity, older_than, sure, as_json, reason=reason)


@exceptions.command("write-off")
def exceptions_write_off(
    reason: Reason,
    identifiers: ExceptionIds = None,
    exception_type: ExceptionType = None,
    entity: Entity = None,
    older_than: OlderThan = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Ask to give up what is in suspense for exceptions; once somebody else approves it, the next build books it."""
    _act("write_off", identifiers, exception_type, entity, older_than, sure, as_json, reason=reason)


def _act(
    action: Literal["assign", "comment", "snooze", "resolve", "reopen", "write_off"],
    identifiers: list[str] | None,
    exception_type: str | None,
    entity: str | None,
    older_than: int | None,
    sure: bool,
    as_json: bool,
    **what: Any,
) -> None:
    from retail_assets.commands.exceptions import Chosen, act, print_exceptions

    settings = _settings()
    _existing_warehouse(settings)
    ids = tuple(identifiers or ())
    if not ids and exception_type is None and entity is None and older_than is None:
        _fail("say which exceptions: their ids, or --type, --entity or --older-than with --yes")
    if ids and (exception_type or entity or older_than is not None):
        _fail("say which exceptions by their ids or by --type, --entity and --older-than, not by both")
    chosen = Chosen(ids, exception_type, entity, older_than=older_than)
    with _explained():
        rows = act(settings, action, chosen, sure=sure, **what)
    _print_json(rows) if as_json else print_exceptions(_console(), rows)
    taken_back = action == "reopen" and any(row["work_status"] == "written_off" for row in rows)
    if (action == "write_off" or taken_back) and not as_json:
        _console().print("A second person decides: retail approve list", highlight=False)
    if action in ("resolve", "write_off") and not as_json:
        _propose(settings, [row["exception_id"] for row in rows[:1]])


def _propose(settings: Settings, identifiers: list[str]) -> None:
    """What was decided by hand just now may be a rule."""
    from retail_assets.commands.proposals import proposals

    for identifier in identifiers:
        for found in proposals(settings, identifier):
            _console().print(
                f"A rule would decide this, and {found.decides} more: {found.where}, {found.value}. See: retail "
                f"exceptions propose {identifier}",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )


@exceptions.command("link")
def exceptions_link(
    identifier: ExceptionId,
    reason: Reason,
    order: Annotated[str | None, typer.Option("--order", help="The order that was paid: its store and id.")] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", help="The payment, or its settlement line, that paid it.")
    ] = None,
    bank_line: Annotated[str | None, typer.Option("--bank-line", help="The bank line that the payout became.")] = None,
    payout: Annotated[str | None, typer.Option("--payout", help="The payout that the bank line is.")] = None,
    as_json: Json = False,
) -> None:
    """Say by hand what belongs together; the next build applies it, closes the exception and posts."""
    from retail_assets.commands.exceptions import link, print_links

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        made = link(settings, identifier, order=order, payment=payment, bank_line=bank_line, payout=payout,
                    reason=reason)  # fmt: skip
    if as_json:
        _print_json(made)
        return
    print_links(_console(), [made], head=False)
    then = "a second person decides: retail approve list" if made["state"] == "waiting" else "retail run applies it"
    _console().print(f"Next: {then}", highlight=False)
    _propose(settings, [identifier])


@exceptions.command("unlink")
def exceptions_unlink(
    identifier: Annotated[str, typer.Argument(help="The link's id, or the id of the exception it was made for.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Take a link made by hand back; the next build reverses what hung on it."""
    from retail_assets.commands.exceptions import print_links, unlink

    with _explained():
        undone = unlink(_settings(), identifier, reason)
    _print_json(undone) if as_json else print_links(_console(), [undone], head=False)


@exceptions.command("propose")
def exceptions_propose(
    identifier: Annotated[
        str | None, typer.Argument(help="Only what was decided about this exception; all decisions if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose rules that would have decided what people decided by hand, with their effect on all there is."""
    from retail_assets.commands.proposals import print_proposals, proposals

    settings = _settings()
    _existing_warehouse(settings)
    found = proposals(settings, identifier)
    _print_json([each.as_dict() for each in found]) if as_json else print_proposals(_console(), found)


@exceptions.command("links")
def exceptions_links(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were undone or rejected.")] = False,
    as_json: Json = False,
) -> None:
    """List what people linked by hand."""
    from retail_assets.commands.exceptions import link_rows, print_links

    found = link_rows(_settings(), everything=everything)
    _print_json(found) if as_json else print_links(_console(), found)


@alerts.command("list")
def alerts_list(
    everything: Annotated[bool, typer.Option("--all", help="Also what has recovered.")] = False,
    as_json: Json = False,
) -> None:
    """List what is wrong now, since when, who owns it and who was told; and channels that cannot be reached."""
    from retail_assets.commands.alerts import listed, print_alerts

    found = listed(_settings(), everything=everything)
    _print_json(found) if as_json else print_alerts(_console(), found)


@alerts.command("test")
def alerts_test(
    channel: Annotated[str | None, typer.Option("--channel", help="Only this one.")] = None, as_json: Json = False
) -> None:
    """Send a test message over each channel of operations.alerts."""
    from retail_assets.commands.alerts import try_channels

    with _explained():
        results = try_channels(_settings(), channel)
    if as_json:
        _print_json(results)
    else:
        for name, problem in results.items():
            outcome = f"[red]✗[/red] {name}: {escape(problem)}" if problem else f"[green]✓[/green] {name}: sent"
            _console().print(outcome, highlight=False)
    raise typer.Exit(1 if any(results.values()) else 0)


Build = Annotated[bool, typer.Option("--build/--no-build", help="Rebuild the marts afterwards.")]


@replay.command("quarantine")
def replay_quarantine(
    reason: Reason,
    identifiers: Annotated[
        list[str] | None, typer.Argument(help="quarantine_ids as listed, or the first parts of them.")
    ] = None,
    corrected: Annotated[
        Path | None, typer.Option("--with", help="File with the whole corrected record, as JSON; for one record.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    source: Annotated[str | None, typer.Option("--source", help="All that are open of this store or gateway.")] = None,
    sure: Sure = False,
    build: Build = True,
    as_json: Json = False,
) -> None:
    """Load records out of quarantine: as they were sent, or corrected. Exits with 1 if any is refused again."""
    from retail_assets.commands.replay import replay_quarantined

    settings = _settings()
    with _explained():
        found = replay_quarantined(
            settings, _progress(as_json), identifiers or [], everything=everything, source=source, sure=sure,
            corrected=corrected, reason=reason, build=build,
        )  # fmt: skip
    _print_replayed(found, as_json)


@replay.command("inbox")
def replay_inbox_events(
    reason: Reason,
    identifiers: Annotated[list[int] | None, typer.Argument(help="Events, as numbered in the inbox.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only those of this store or gateway.")] = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Have webhook events that were given up loaded again; without numbers all of them."""
    from retail_assets.commands.replay import replay_inbox

    with _explained():
        found = replay_inbox(
            _settings(), _progress(as_json), identifiers or [], source=source, sure=sure, reason=reason
        )
    _print_replayed(found, as_json)


@replay.command("source")
def replay_a_source(
    name: Annotated[str, typer.Argument(help="Store, gateway, bank, tax engine, ERP or provider, as in retail.yaml.")],
    reason: Reason,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Only what changed since this day (UTC).")
    ] = None,
    build: Build = True,
    as_json: Json = False,
) -> None:
    """Read a source again, from a day on or from its beginning, and rebuild. Files are all read again."""
    from retail_assets.commands.replay import replay_source

    start = since.replace(tzinfo=UTC) if since else None
    with _explained():
        found = replay_source(_settings(), _progress(as_json), name, since=start, reason=reason, build=build)
    _print_replayed(found, as_json)


@replay.command("order")
def replay_an_order(
    order_key: Annotated[str, typer.Argument(help="The order: its store and id, for example cedar_us:1001.")],
    reason: Reason,
    build: Build = True,
    as_json: Json = False,
) -> None:
    """Read an order, its refunds and shipments again from its store, and rebuild."""
    from retail_assets.commands.replay import replay_order

    with _explained():
        found = replay_order(_settings(), _progress(as_json), order_key, reason=reason, build=build)
    _print_replayed(found, as_json)


@replay.command("payout")
def replay_a_payout(
    settlement_key: Annotated[str, typer.Argument(help="The payout: its gateway account and id.")],
    reason: Reason,
    build: Build = True,
    as_json: Json = False,
) -> None:
    """Read a payout and its lines again from its gateway, and rebuild."""
    from retail_assets.commands.replay import replay_payout

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        found = replay_payout(settings, _progress(as_json), settlement_key, reason=reason, build=build)
    _print_replayed(found, as_json)


@replay.command("list")
def replay_list(as_json: Json = False) -> None:
    """List who replayed what, why, and what came of it, the latest first."""
    from retail_assets.commands.replay import print_replays, replay_rows

    found = replay_rows(_settings())
    _print_json(found) if as_json else print_replays(_console(), found)


def _print_replayed(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(found)
    else:
        _console().print(
            f"{found['kind']} {found['subject']} {found['result']}: {found['received']} received, "
            f"{found['loaded']} loaded, {found['quarantined']} quarantined. {found['detail']}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if found["result"] != "succeeded":
        raise typer.Exit(1)


@approve.command("list")
def approve_list(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    entity: Entity = None,
    as_json: Json = False,
) -> None:
    """List what waits for a second person, oldest first."""
    from retail_assets.commands.approve import print_list, waiting

    found = waiting(_settings(), everything=everything, entity_code=entity)
    _print_json(found) if as_json else print_list(_console(), found)


Approval = Annotated[str, typer.Argument(help="approval_id as listed, or the first part of it.")]


@approve.command("show")
def approve_show(identifier: Approval, as_json: Json = False) -> None:
    """Show one request: the document with its lines, who asked, and what was decided."""
    from retail_assets.commands.approve import print_one, show

    with _explained():
        found = show(_settings(), identifier)
    _print_json(found) if as_json else print_one(_console(), found)


@approve.command("ask")
def approve_ask(entity: Entity = None) -> None:
    """Ask for the approvals that the plan waits for; posting asks by itself."""
    from retail_assets.commands.approve import ask_for

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        asked = ask_for(settings, _entities(settings, entity))
    _console().print(f"{asked} new approvals are asked for: retail approve list", highlight=False)


@approve.command("accept")
def approve_accept(identifier: Approval, reason: Reason, as_json: Json = False) -> None:
    """Approve a request of somebody else; the next run posts it."""
    _decide(identifier, "approved", reason, as_json)


@approve.command("reject")
def approve_reject(identifier: Approval, reason: Reason, as_json: Json = False) -> None:
    """Reject a request of somebody else: it is held until what was to be posted changes."""
    _decide(identifier, "rejected", reason, as_json)


def _decide(identifier: str, decision: Literal["approved", "rejected"], reason: str, as_json: bool) -> None:
    from retail_assets.commands.approve import decide

    with _explained():
        found = decide(_settings(), identifier, decision, reason)
    if as_json:
        _print_json(found)
    else:
        shown = f"{found['approval_id']} ({found['subject']}) is {decision} by {found['decided_by']}"
        _console().print(shown, highlight=False, soft_wrap=True)


@fees.command("claim")
def fees_claim(
    gateway: Annotated[str, typer.Argument(help="Gateway account, for example stripe_us.")],
    month: Annotated[
        str | None, typer.Option("--month", "-m", help="Only sales of this month of the books, for example 2026-10.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write what a gateway charged too much, line by line, into a CSV file below exports/."""
    from retail_assets.commands.fees import claimed, overcharged_lines, write_claim

    settings = _settings()
    known = [item.id for item in settings.configuration.gateways]
    if gateway not in known:
        _fail(f"the gateway {gateway!r} does not exist; known are {', '.join(known)}")
    if month is not None and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        _fail(f"--month {month!r} is not a month such as 2026-10")
    _existing_warehouse(settings)
    lines = overcharged_lines(settings, gateway, month)
    path = write_claim(settings, gateway, month, lines) if lines else None
    if as_json:
        _print_json({"file": path, "lines": len(lines), "claimed": claimed(lines)})
    elif path is None:
        _console().print(f"{gateway} charged nothing more than its contract says", highlight=False)
    else:
        total = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(claimed(lines).items()))
        _console().print(f"{total} in {len(lines)} lines: {path}", highlight=False, soft_wrap=True)


@policy.command("check")
def policy_check(
    entity: Annotated[str | None, typer.Argument(help="Only this entity, for example US.")] = None,
    as_json: Json = False,
) -> None:
    """Explain what each entity has decided, and show on its latest orders what another decision would post."""
    from retail_assets.commands.policy import explained, print_explained

    settings = _settings()
    _existing_warehouse(settings)
    with _explained():
        found = [explained(settings, code) for code in _entities(settings, entity)]
    if as_json:
        _print_json(found)
    else:
        for one in found:
            print_explained(_console(), one)


@quarantine.command("list")
def quarantine_list(
    everything: Annotated[bool, typer.Option("--all", help="Also those of which a good version has arrived.")] = False,
    as_json: Json = False,
) -> None:
    """List the records in quarantine: source, record, field, value and what is wrong."""
    from retail_assets.commands.worklists import print_quarantine, quarantine_rows

    rows = quarantine_rows(_settings(), open_only=not everything)
    _print_json(rows) if as_json else print_quarantine(_console(), rows)


@quarantine.command("show")
def quarantine_show(identifier: Annotated[str, typer.Argument(help="quarantine_id, or the first part of it.")]) -> None:
    """Print a quarantined record exactly as it was received."""
    from retail_assets.commands.worklists import quarantined_payload

    try:
        payload = quarantined_payload(_settings(), identifier)
    except KeyError:
        _fail(f"no single quarantined record is {identifier!r}; list them with: retail quarantine list --all", code=1)
    sys.stdout.buffer.write(payload + b"\n")


@webhooks.command("serve")
def webhooks_serve(
    host: Annotated[str | None, typer.Option(help="Address; webhooks.host of retail.yaml if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; webhooks.port of retail.yaml if left out.")] = None,
) -> None:
    """Take webhooks of stores and gateways into the inbox, until interrupted; the log goes to standard error."""
    from retail_assets.commands.webhooks import serve_webhooks

    with _explained():
        serve_webhooks(_settings(), _console(), host=host, port=port)


@webhooks.command("status")
def webhooks_status(as_json: Json = False) -> None:
    """Show whether the stores send, and what is in the inbox: what waits, was loaded, was given up and why."""
    from retail_assets.commands.webhooks import print_status, status

    found = status(_settings())
    _print_json(found) if as_json else print_status(_console(), found)


@webhooks.command("enable")
def webhooks_enable(
    store: Annotated[str, typer.Argument(help="Store, for example cedar_us.")], as_json: Json = False
) -> None:
    """Have a store send again the webhooks that WooCommerce has switched off; its key has to be read/write."""
    from retail_assets.commands.webhooks import enable

    with _explained():
        enabled = enable(_settings(), store)
    if as_json:
        _print_json({"store_id": store, "enabled": enabled})
        return
    for one in enabled:
        _console().print(
            f"webhook {one['webhook_id']} ({one['topic']}) was {one['status']} and is active", highlight=False
        )
    if not enabled:
        _console().print(f"all webhooks of {store} for us are active", highlight=False)


@config.command("schema")
def config_schema() -> None:
    """Print the JSON schema of retail.yaml."""
    _print_json(json_schema())


@config.command("check")
def config_check() -> None:
    """Check retail.yaml without connecting anywhere."""
    settings = _settings()
    found = settings.configuration
    _console().print(
        f"[green]✓[/green] {settings.config_path}: {len(found.entities)} entities, {len(found.stores)} stores, "
        f"{len(found.gateways)} gateways, {len(found.banks)} banks, {len(found.erps)} ERPs",
        highlight=False,
    )


@sandbox.command("demo")
def sandbox_demo(
    seed: Seed = None,
    orders: Orders = None,
    days: Days = None,
) -> None:
    """Generate and serve the simulated retailer, run the whole chain on it and print the summary."""
    from retail_assets.commands.demo import demonstrate

    with _explained():
        agrees = demonstrate(_settings, _console(), seed=seed, orders=orders, days=days)
    raise typer.Exit(0 if agrees else 1)


@sandbox.command("generate")
def sandbox_generate(
    seed: Seed = None,
    orders: Orders = None,
    days: Days = None,
) -> None:
    """Make the simulated retailer: its systems' data, its bank statements and the truth about them."""
    from retail_assets.commands.demo import generate_world

    with _explained():
        generate_world(_settings(), _console(), seed=seed, orders=orders, days=days)


@sandbox.command("serve")
def sandbox_serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 for any free one.")] = 8760,
    exit_with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the simulated stores, gateways and ERP over HTTP on this machine."""
    from retail_assets.commands.demo import serve_world

    serve_world(_settings(), port=port, exit_with_parent=exit_with_parent)


@sandbox.command("score")
def sandbox_score(as_json: Json = False) -> None:
    """Compare the marts with the truth: links, exceptions, payouts, journals and balances."""
    from retail_assets.sandbox.score import score

    settings = _settings()
    _existing_warehouse(settings)
    found = score(settings.home)
    if as_json:
        _print_json(found.to_dict())
    else:
        _console().print(found.table())
    raise typer.Exit(0 if found.ok else 1)


@sandbox.command("change")
def sandbox_change(
    store: Annotated[str, typer.Argument(help="Store, for example cedar_us.")],
    order: Annotated[int, typer.Argument(help="Id of the order.")],
    status: Annotated[str, typer.Argument(help="Its new status, for example cancelled.")],
) -> None:
    """Move an order of a simulated store to another status; the store sends its webhook to the intake."""
    from retail_assets.commands.webhooks import change_order

    with _explained():
        answers = change_order(_settings(), store, order, status)
    _console().print(f"order {order} of {store} is {status}; the intake answered {answers[0]}", highlight=False)
    raise typer.Exit(0 if answers == [200] else 1)


@sandbox.command("break")
def sandbox_break(
    what: Annotated[str, typer.Argument(help="bank-file, order or webhooks.")],
    where: Annotated[str, typer.Argument(help="A bank id for bank-file, a store id for order and webhooks.")],
) -> None:
    """Spoil the simulated retailer's data: a corrupt file, an impossible order, webhooks that are switched off."""
    from retail_assets.sandbox.datafaults import corrupt_bank_file, disabled_webhooks, impossible_order

    settings = _settings()
    try:
        if what == "bank-file":
            spoiled = f"{corrupt_bank_file(settings.home, where)} breaks off in the middle of an entry"
        elif what == "order":
            spoiled = f"order {impossible_order(settings.home, where)} of {where} has an impossible total"
        elif what == "webhooks":
            spoiled = f"{disabled_webhooks(settings.home, where)} webhooks of {where} are disabled"
        else:
            _fail(f"{what!r} cannot be spoiled: use bank-file, order or webhooks")
    except (ValueError, FileNotFoundError) as error:
        _fail(str(error))
    _console().print(spoiled, highlight=False)


@contextmanager
def _explained(code: int = 2) -> Iterator[None]:
    """What keeps a command from going on is said in words, and ends it with 2, or what is given."""
    from retail_assets.warehouse_file import WarehouseBusyError

    try:
        yield
    except (CommandError, WarehouseBusyError) as error:
        _fail(str(error), code=code)


def _console() -> Console:
    return Console()


def _progress(as_json: bool) -> Console:
    """Progress goes to standard error when standard output is to be read by a script."""
    return Console(stderr=as_json)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _fail(str(error))


def _existing_warehouse(settings: Settings) -> None:
    if not settings.warehouse_path.is_file():
        _fail(
            f"there is no warehouse at {settings.warehouse_path} yet: start with `retail run`, or `make demo`", code=1
        )


def _entities(settings: Settings, entity: str | None) -> list[str]:
    known = [item.code for item in settings.configuration.entities]
    if entity is None:
        return known
    if entity not in known:
        _fail(f"--entity {entity!r} does not exist; known are {', '.join(known)}")
    return [entity]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def _fail(message: str, code: int = 2) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
