"""``retail replay``: what was refused, lost or wrong is read again, and what was made of it with it.

Who did it, why and with what result is kept in the operations store and its audit chain, and shown by ``mon_replays``.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dlt
import msgspec
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine

from retail_assets.commands import CommandError
from retail_assets.commands.approve import acting_person
from retail_assets.commands.orphans import sole_runner, wait_for_warehouse
from retail_assets.commands.run import rebuild, reload_source
from retail_assets.commands.warehouse import rows
from retail_assets.contracts import Table, children_of, table
from retail_assets.defs.ingest.instances import SourceInstance, source_instances
from retail_assets.ops import audit, inbox, quarantine, replays
from retail_assets.ops.replays import Kind, Outcome, ReplayError
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings
from retail_assets.sources.records import convert
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for

#: Before any source has anything.
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
#: What belongs to a payout may have been booked this long before its first line.
_MARGIN: Final = timedelta(days=1)


def replay_quarantined(
    settings: Settings,
    console: Console,
    identifiers: Sequence[str],
    *,
    everything: bool = False,
    source: str | None = None,
    sure: bool = False,
    corrected: Path | None = None,
    reason: str,
    build: bool = True,
) -> dict[str, Any]:
    """Take records out of quarantine: as they were sent, now that the contract has changed, or corrected by hand.

    Args:
        identifiers: of rejections, or the first parts of them; none for all that are open, of one source or of all.
        corrected: a file with the corrected record, as JSON. What it changes is kept in the audit chain.

    Returns:
        The replay; its ``result`` is ``partly`` where some records were refused again.

    Raises:
        CommandError: a rejection is not there, is not a record that can be taken by itself, the corrected record is
            another one, or nothing was loaded.
    """
    if bool(identifiers) == (everything or source is not None):
        raise CommandError("say which: ids as listed by retail quarantine list, or --all or --source with --yes")
    known = {one.instance: one for one in source_instances(settings)}
    with _store(settings) as operations:
        chosen = _chosen(operations, identifiers, source, sure)
        if corrected is not None and len(chosen) > 1:
            raise CommandError("--with is the corrected version of one record: name one")
        sent = {row["quarantine_id"]: quarantine.payload(operations, row["quarantine_id"]) for row in chosen}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in chosen:
        _require_single(row, known)
        groups[row["instance_id"], row["table_name"]].append(row)
    payloads, edits = sent, list[str]()
    if corrected is not None:
        (row,) = chosen
        identifier, record = row["quarantine_id"], _corrected(corrected)
        contract = table(row["system"], row["table_name"])
        require_same_record(contract, row, record, settings.now())
        payloads, edits = {identifier: record}, edited(contract, sent[identifier], record)

    def again() -> Outcome:
        total, wrong = Outcome("succeeded"), []
        for (name, _), some in groups.items():
            contract = table(some[0]["system"], some[0]["table_name"])
            # A record with two faults is refused twice.
            records: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
            for row in some:
                records[payloads[row["quarantine_id"]]].append(row)
            outcome, refused = _take(settings, known[name], contract, records)
            wrong += refused
            total = Outcome(
                "succeeded",
                total.received + outcome.received,
                total.loaded + outcome.loaded,
                total.quarantined + outcome.quarantined,
            )
        detail = "; ".join(
            [
                *([f"{total.loaded} of {total.received} loaded"] if wrong else []),
                *(f"{row['quarantine_id']} sha256 {row['payload_sha256'][:16]}" for row in chosen[:_SHOWN]),
                *(
                    f"corrected to {hashlib.sha256(record).hexdigest()[:16]}"
                    for record in payloads.values()
                    if corrected
                ),
                *edits,
                *wrong[:_SHOWN],
            ]
        )
        result = "failed" if not total.loaded else "partly" if wrong else "succeeded"
        return Outcome(result, total.received, total.loaded, total.quarantined, detail)

    subject = ", ".join(row["quarantine_id"][:12] for row in chosen[:_SHOWN])
    subject += f" and {len(chosen) - _SHOWN} more" if len(chosen) > _SHOWN else ""
    return _replayed(settings, console, "quarantine", subject, reason, again, build=build)


def replay_source(
    settings: Settings, console: Console, name: str, *, since: datetime | None, reason: str, build: bool = True
) -> dict[str, Any]:
    """Read one source instance again, from a moment on or from its beginning, and rebuild."""
    _known(settings, name)
    start = since or _BEGINNING

    def again() -> Outcome:
        done = reload_source(settings, console, name, start)
        if done.failures:
            raise CommandError("; ".join(done.failures.values()))
        return Outcome("succeeded", done.received, done.loaded, done.quarantined)

    subject = f"{name} from {start:%Y-%m-%d}" if since else name
    return _replayed(settings, console, "source", subject, reason, again, build=build)


def replay_order(
    settings: Settings, console: Console, order_key: str, *, reason: str, build: bool = True
) -> dict[str, Any]:
    """Read one order with its refunds and shipments again from its store, and rebuild.

    Args:
        order_key: store and order id; the order need not be known here yet.
    """
    name, _, order_id = order_key.partition(":")
    if not order_id.isdecimal():
        raise CommandError(f"{order_key!r} is no order's key: it is the store and the order's id, as in cedar_us:1001")
    source = _known(settings, name)
    if source.system != "woocommerce":
        raise CommandError(f"{name} is not a store: orders are read from stores")

    def again() -> Outcome:
        with sole_runner(settings), closing(source.intake(settings, asked={"orders": [int(order_id)]})) as intake:
            wait_for_warehouse(settings)
            create_raw_tables(settings.warehouse_path)
            pipeline = pipeline_for(source.system, name, warehouse=settings.warehouse_path, state=settings.dlt_path)
            load(source.build(intake), pipeline)
            intake.log()
            counts = intake.counts.values()
            outcome = Outcome(
                "succeeded",
                sum(each.received for each in counts),
                sum(each.loaded for each in counts),
                sum(each.quarantined for each in counts),
            )
        if not outcome.received:
            raise CommandError(f"{name} has no order {order_id} any more; the next sweep notes that it is gone")
        return outcome

    return _replayed(settings, console, "order", order_key, reason, again, build=build)


def replay_payout(
    settings: Settings, console: Console, settlement_key: str, *, reason: str, build: bool = True
) -> dict[str, Any]:
    """Read a payout, its lines and all that came after them again from its gateway, and rebuild."""
    found = rows(settings, _PAYOUT, {"payout": settlement_key})
    if not found:
        raise CommandError(f"there is no payout {settlement_key!r}: a payout's key is its gateway account and id")
    name, since = found[0]["gateway_id"], found[0]["since"].replace(tzinfo=UTC) - _MARGIN

    def again() -> Outcome:
        done = reload_source(settings, console, name, since)
        if done.failures:
            raise CommandError("; ".join(done.failures.values()))
        was = f"{found[0]['settlement_status']}, residual {found[0]['residual_amount']}"
        return Outcome("succeeded", done.received, done.loaded, done.quarantined, f"before: {was}")

    result = _replayed(settings, console, "payout", settlement_key, reason, again, build=build)
    after = rows(settings, _PAYOUT, {"payout": settlement_key})
    return {**result, "before": found[0], "after": after[0] if after else None}


def replay_inbox(
    settings: Settings,
    console: Console,
    event_ids: Sequence[int],
    *,
    source: str | None = None,
    sure: bool = False,
    reason: str,
) -> dict[str, Any]:
    """Have webhook events that were given up loaded again; the next run of the events' sensor does.

    Args:
        event_ids: none for all that were given up, of one source or of all.
    """
    with _store(settings) as operations:
        if not event_ids:
            dead = inbox.rows(operations, state="dead", source=source, kept_only=True, limit=_MOST_EVENTS)
            event_ids = [row["event_id"] for row in dead]
            if not event_ids:
                raise CommandError("no event was given up")
            if not sure:
                raise CommandError(f"that would be {len(event_ids)} events: say --yes")

    def again() -> Outcome:
        with _store(settings) as operations, writing(operations) as connection:
            try:
                count = inbox.requeue(connection, event_ids, settings.actor, reason, now=settings.now())
            except inbox.UnknownEventError as error:
                raise CommandError(str(error)) from error
        return Outcome("succeeded", received=len(event_ids), detail=f"{count} wait for their load")

    subject = ", ".join(map(str, event_ids[:_SHOWN])) + (" …" if len(event_ids) > _SHOWN else "")
    return _replayed(settings, console, "inbox", subject, reason, again, build=False)


def replay_rows(settings: Settings) -> list[dict[str, Any]]:
    """Every replay, the latest first."""
    with _store(settings) as operations:
        return list(reversed(list(replays.rows(operations))))


def print_replays(console: Console, found: list[dict[str, Any]]) -> None:
    """A paragraph each."""
    console.print(f"[bold]{len(found)} replays[/bold]", highlight=False)
    for row in found:
        colour = {"succeeded": "green", "failed": "red"}.get(row["result"], "yellow")
        console.print(
            f"{row['started_at']:%Y-%m-%d %H:%M}  {row['kind']} [cyan]{escape(row['subject'])}[/cyan]  by "
            f"{escape(row['actor'])}: {escape(row['reason'])}  [{colour}]{row['result']}[/{colour}]  "
            f"{row['received']} received, {row['loaded']} loaded, {row['quarantined']} quarantined",
            highlight=False,
            soft_wrap=True,
        )
        if row["detail"]:
            console.print(f"                  [dim]{escape(row['detail'])}[/dim]", highlight=False, soft_wrap=True)


_SHOWN: Final = 5
_MOST_EVENTS: Final = 10_000

_PAYOUT: Final = """
select
    payouts.settlement_key, payouts.gateway_id, payouts.settlement_status, payouts.residual_amount, payouts.net_amount,
    payouts.currency_code,
    coalesce(least(min(lines.booked_at), min(facts.created_at)), min(lines.booked_at), min(facts.created_at)) as since
from marts.rec_settlements as payouts
inner join marts.fct_settlements as facts on payouts.settlement_key = facts.settlement_key
left join marts.fct_settlement_lines as lines on payouts.settlement_key = lines.settlement_key
where payouts.settlement_key = $payout
group by all
"""


def _replayed(
    settings: Settings,
    console: Console,
    kind: Kind,
    subject: str,
    reason: str,
    again: Callable[[], Outcome],
    *,
    build: bool,
) -> dict[str, Any]:
    """Write down that it begins, do it, write down what came of it, and rebuild.

    Raises:
        CommandError: it failed; that is written down as well.
    """
    actor = acting_person(settings)
    with _store(settings) as operations:
        try:
            audit.require_anchor_holds(operations, settings.audit_anchor_path)
            with writing(operations) as connection:
                replay_id = replays.start(connection, kind, subject, actor=actor, reason=reason, now=settings.now())
        except (ReplayError, audit.AnchorMismatchError) as error:
            raise CommandError(str(error)) from error
    try:
        outcome = again()
    except Exception as error:
        cause = _innermost(error)
        _finish(settings, replay_id, Outcome("failed", detail=cause[:_LONGEST_DETAIL]))
        raise CommandError(cause) from error
    _finish(settings, replay_id, outcome)
    if outcome.result == "failed":
        raise CommandError(f"nothing was loaded: {outcome.detail}")
    if build:
        built = rebuild(settings, console)
        if built.failures:
            raise CommandError(f"it was loaded, but not built: {'; '.join(built.failures.values())}")
    return {
        "replay_id": replay_id,
        "kind": kind,
        "subject": subject,
        "result": outcome.result,
        "received": outcome.received,
        "loaded": outcome.loaded,
        "quarantined": outcome.quarantined,
        "detail": outcome.detail,
    }


_LONGEST_DETAIL: Final = 2000


def _innermost(error: BaseException) -> str:
    """What went wrong in one line: dlt wraps it several times."""
    while error.__cause__ is not None and not isinstance(error, CommandError):
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


def _finish(settings: Settings, replay_id: str, outcome: Outcome) -> None:
    with _store(settings) as operations:
        with writing(operations) as connection:
            replays.finish(connection, replay_id, outcome, now=settings.now())
        audit.write_anchor(operations, settings.audit_anchor_path, now=settings.now())


def _chosen(operations: Engine, identifiers: Sequence[str], source: str | None, sure: bool) -> list[dict[str, Any]]:
    everything = list(quarantine.rows(operations, status="open"))
    if not identifiers:
        found = [row for row in everything if source is None or row["instance_id"] == source]
        if not found:
            raise CommandError("nothing is in quarantine" + (f" of {source}" if source else ""))
        if not sure:
            raise CommandError(f"that would be {len(found)} records: say --yes to replay them all")
        return found
    chosen = {}
    for identifier in identifiers:
        found = [row for row in everything if identifier and row["quarantine_id"].startswith(identifier)]
        if len(found) != 1:
            raise CommandError(f"no single open rejection is {identifier!r}; list them with: retail quarantine list")
        chosen[found[0]["quarantine_id"]] = found[0]
    return list(chosen.values())


def _require_single(row: dict[str, Any], known: dict[str, SourceInstance]) -> None:
    """A row of a file stands in its file, which is read as a whole."""
    name = row["instance_id"]
    if name not in known:
        raise CommandError(f"{row['quarantine_id'][:12]} is of {name}, which retail.yaml does not have any more")
    contract = table(row["system"], row["table_name"])
    if not contract.keeps_payload or known[name].configured.declared.access == "files":
        raise CommandError(
            f"{row['quarantine_id'][:12]} stands in a file ({row['origin']}): correct the file, drop it again into "
            f"{known[name].inbox}, and run: retail replay source {name} --reason …"
        )


def _corrected(path: Path) -> bytes:
    try:
        text = path.read_bytes()
        record = msgspec.json.decode(text)
    except OSError as error:
        raise CommandError(f"--with {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise CommandError(f"--with {path} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise CommandError(f"--with {path} must hold one JSON object, the whole corrected record")
    return text.strip()


def require_same_record(contract: Table, row: Mapping[str, Any], record: bytes, now: datetime) -> None:
    """See that a corrected record keeps its contract and is of the record that was refused, and no other.

    Args:
        row: the rejection, with ``quarantine_id``, ``instance_id`` and ``record_key``.

    Raises:
        CommandError: it is not, and how; loaded, it would have overwritten what it is of, and lost what was refused.
    """
    refused = row["quarantine_id"][:12]
    if row["record_key"] is None or "?" in row["record_key"].split("/"):
        raise CommandError(
            f"nobody can say which record {refused} is: its key could not be read, so none can take its place. Have it "
            f"corrected in {row['instance_id']}, which sends it again"
        )
    batch = convert(contract, [record], instance=row["instance_id"], loaded_at=now, origin="the corrected record")
    for fault in batch.rejected:
        raise CommandError(f"the corrected record is refused as well: {fault.field or 'record'} {fault.reason}")
    if list(batch.loaded_keys) != [row["record_key"]]:
        raise CommandError(
            f"the corrected record is {', '.join(batch.loaded_keys)} of {row['table_name']}, but {refused} is "
            f"{row['record_key']}: a correction is of the same record. Nothing was loaded"
        )


def edited(contract: Table, before: bytes, after: bytes) -> list[str]:
    """What a person changed of a record: ``total was 1o.00, is 10.00``, in the order of the fields' names.

    Values are told of fields of the contract that are not personal: it is kept in the audit chain for ever, where
    nobody's name or address may be. Any other field is only named.
    """
    told = {
        (f"{each.list_path}[]." if each.list_path else "") + column.source_path
        for each in (contract, *children_of(contract))
        for column in each.columns
        if not column.personal and column.type != "json"
    }
    try:
        was = dict(_leaves(msgspec.json.decode(before)))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ["what was sent cannot be read, so what was changed is not known"]
    now = dict(_leaves(msgspec.json.decode(after)))
    changed = [path for path in sorted(was.keys() | now.keys()) if was.get(path, _ABSENT) != now.get(path, _ABSENT)]
    return [
        f"{path} was {_shown(was, path)}, is {_shown(now, path)}"
        if re.sub(r"\[\d+\]", "[]", path) in told
        else f"{path} was changed"
        for path in changed
    ] or ["nothing was changed"]


_ABSENT: Final = object()
_LONGEST_SHOWN: Final = 40


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for position, member in enumerate(value):
            yield from _leaves(member, f"{path}[{position}]")
    else:
        yield path, value


def _shown(leaves: Mapping[str, Any], path: str) -> str:
    if path not in leaves:
        return "not there"
    text = msgspec.json.encode(leaves[path]).decode()
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _take(
    settings: Settings, source: SourceInstance, contract: Table, records: dict[bytes, list[dict[str, Any]]]
) -> tuple[Outcome, list[str]]:
    """Load records under their contract; what still breaks it goes back, with its reason."""
    with sole_runner(settings), closing(source.intake(settings)) as intake:
        wait_for_warehouse(settings)
        create_raw_tables(settings.warehouse_path)
        batch = convert(
            contract,
            list(records),
            instance=source.instance,
            loaded_at=settings.now(),
            origin=f"replayed from quarantine by {settings.actor}",
        )

        def taken() -> Iterator[Any]:
            yield from intake.take(batch, contract.resource)

        again = dlt.source(
            lambda: (intake.resource(contract.resource, taken),), name=source.system, max_table_nesting=0
        )
        pipeline = pipeline_for(
            source.system, source.instance, warehouse=settings.warehouse_path, state=settings.dlt_path
        )
        load(again(), pipeline)
        refused = {rejection.payload: rejection for rejection in batch.rejected}
        good = [row["quarantine_id"] for payload, some in records.items() if payload not in refused for row in some]
        quarantine.settle(intake.operations, good, settings.now())
    wrong = [
        f"{records[payload][0]['quarantine_id'][:12]}: {rejection.field or 'record'} {rejection.reason}"
        for payload, rejection in refused.items()
        if payload in records
    ]
    return Outcome("succeeded", batch.received, batch.loaded, len(batch.rejected)), wrong


def _known(settings: Settings, name: str) -> SourceInstance:
    known = {one.instance: one for one in source_instances(settings)}
    if name not in known:
        raise CommandError(f"there is no source {name!r}; there are {', '.join(known)}")
    return known[name]


@contextmanager
def _store(settings: Settings) -> Iterator[Engine]:
    operations = open_store(settings.operations_url)
    try:
        yield operations
    finally:
        operations.dispose()
