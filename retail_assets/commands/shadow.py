"""``retail plan --shadow``: which journal lines another mapping, tolerance or policy would alter.

The models are built once more, over a copy of the raw records and with the changed files, in a folder of their own; the
two journals are then compared entry by entry. Nothing of the home is touched, and no source is asked.
"""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from retail_assets.accounting.control import FINANCE_SEEDS
from retail_assets.commands import CommandError
from retail_assets.defs.transform.manifest import dbt_environment, dbt_executable
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings, SettingsError, with_configuration
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import load, pipeline_for

#: Raw tables that tell of what happened, not of what is configured: they stay as they were when the marts were built.
_HAPPENED: Final = frozenset(
    {"clock", "load_status", "quarantine", "source_drift", "postings", "closed_periods", "attestations"}
)
_MARTS: Final = ("acc_journal_entries", "acc_journal_lines")
_STEP: Final = re.compile(r"(\d+) of (\d+) (?:OK|ERROR|SKIP)")
_SHOWN: Final = 20
_TOLD: Final = 2_000
_NO_ACCOUNT: Final = "no account"

Row = dict[str, Any]

_JOURNAL: Final = """
    select
        lines.entry_id, lines.entity_code, entries.posting_date, strftime(entries.posting_date, '%Y-%m') as period,
        coalesce(lines.account_code, '') as account_code, lines.currency_code, lines.debit_amount, lines.credit_amount,
        lines.base_debit_amount, lines.base_credit_amount, entries.base_currency_code, entries.posting_status
    from marts.acc_journal_lines as lines
    inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
"""
_SAME: Final = (
    "entry_id, entity_code, posting_date, period, account_code, currency_code, debit_amount, credit_amount, "
    "base_debit_amount, base_credit_amount, base_currency_code"
)
_LINES: Final = f"""
    create temp table altered as
    with before as (
        select {_SAME}, count(*) as lines_before
        from present
        group by all
    ),

    after as (
        select {_SAME}, count(*) as lines_after
        from shadow
        group by all
    )

    select {_SAME}, coalesce(lines_before, 0) as lines_before, coalesce(lines_after, 0) as lines_after
    from before
    full join after using ({_SAME})
    where lines_before is distinct from lines_after
"""  # noqa: S608 - the names of our own columns
_ENTRIES: Final = """
    select
        altered.entry_id,
        min(altered.entity_code) as entity_code,
        case
            when not bool_or(altered.entry_id in (select entry_id from present)) then 'added'
            when not bool_or(altered.entry_id in (select entry_id from shadow)) then 'gone'
            else 'changed'
        end as change
    from altered
    group by altered.entry_id
    order by entity_code, change, altered.entry_id
"""
_TOTALS: Final = """
    with touched as (
        select distinct entity_code, period, account_code
        from altered
    ),

    summed as (
        select entity_code, period, account_code, base_currency_code,
            base_debit_amount - base_credit_amount as before_amount, 0 as after_amount
        from present
        union all
        select entity_code, period, account_code, base_currency_code,
            0, base_debit_amount - base_credit_amount
        from shadow
    )

    select entity_code, period, account_code, min(base_currency_code) as currency_code,
        cast(sum(before_amount) as decimal(18, 4)) as before_amount,
        cast(sum(after_amount) as decimal(18, 4)) as after_amount,
        cast(sum(after_amount - before_amount) as decimal(18, 4)) as difference_amount
    from summed
    inner join touched using (entity_code, period, account_code)
    group by entity_code, period, account_code
    order by all
"""
_STATUSES: Final = """
    select distinct present.entry_id, present.entity_code, present.posting_status as before_status,
        shadow.posting_status as after_status
    from present
    inner join shadow using (entry_id)
    where present.posting_status <> shadow.posting_status
    order by present.entry_id
"""


@dataclass
class Shadow:
    """What a change would alter: entries with their lines before and after, totals, and entries held or let go."""

    changed_files: list[str]
    entries: list[Row] = field(default_factory=list)
    totals: list[Row] = field(default_factory=list)
    statuses: list[Row] = field(default_factory=list)


def shadow_plan(settings: Settings, change: str, entities: list[str], progress: Console) -> Shadow:
    """What the journal would be with other rules, against the journal in the marts.

    Args:
        change: a configuration file (``.yaml``), one of finance's CSV files by its name, or a git ref whose versions
            of them are taken.
        entities: those that are shown.
        progress: is told what is being done.

    Raises:
        CommandError: there is no such change, it cannot be used, or the models fail with it.
    """
    now = replace(settings, as_of=settings.now())
    operations = open_store(settings.operations_url)
    try:
        with tempfile.TemporaryDirectory(prefix="retail_shadow_") as folder:
            scratch = Path(folder)
            seeds, configuration = _changed(settings, change, scratch)
            changed = _configured(now, configuration) if configuration else now
            # No other: what the environment gives to addresses may differ from when the sources were loaded.
            tables = _different(now, changed, operations)
            files = [f"{name}.csv" for name in seeds] + ([configuration.name] if configuration and tables else [])
            if not files:
                return Shadow([])
            progress.print(f"[bold]Shadow build[/bold] with {', '.join(files)} of {escape(change)} …", highlight=False)
            _copy_raw(settings, scratch)
            if tables:
                warehouse, state = scratch / "warehouse.duckdb", scratch / "dlt"
                pipeline = pipeline_for("ops", "operations", warehouse=warehouse, state=state)
                load(ops_source(changed, operations).with_resources(*tables), pipeline)
            _build(settings, seeds, scratch, progress)
            for name, home in (("present", settings.home), ("shadow", scratch)):
                _write_journal(home / "warehouse.duckdb", scratch / f"{name}.parquet", entities)
            return _compared(scratch, files)
    finally:
        operations.dispose()


def _changed(settings: Settings, change: str, scratch: Path) -> tuple[dict[str, Path], Path | None]:
    """The seeds and the configuration that differ from those in use."""
    path = Path(change).expanduser()
    if path.is_file():
        if path.suffix in (".yaml", ".yml"):
            return {}, path
        if path.suffix == ".csv" and path.stem in FINANCE_SEEDS:
            return {path.stem: path}, None
        known = ", ".join(f"{name}.csv" for name in FINANCE_SEEDS)
        raise CommandError(f"{change} is neither a retail.yaml nor one of {known}")
    return _of_git_ref(settings, change, scratch)


def _of_git_ref(settings: Settings, ref: str, scratch: Path) -> tuple[dict[str, Path], Path | None]:
    folder = settings.dbt_project_path / "seeds"
    if ref.startswith("-") or _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") is None:
        raise CommandError(f"{ref!r} is neither a file nor a git ref of {settings.checkout}")
    seeds = {}
    for name in FINANCE_SEEDS:
        content = _git(folder, "show", f"{ref}:./{name}.csv")
        if content is not None and content != (folder / f"{name}.csv").read_bytes():
            seeds[name] = scratch / f"{name}.csv"
            seeds[name].write_bytes(content)
    # The configuration may be kept in another repository, or in none: then it is left as it is.
    content = _git(settings.config_path.parent, "show", f"{ref}:./{settings.config_path.name}")
    if content is None or content == settings.config_path.read_bytes():
        return seeds, None
    configuration = scratch / settings.config_path.name
    configuration.write_bytes(content)
    return seeds, configuration


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None if it does not know of it."""
    git = shutil.which("git")
    if git is None:
        raise CommandError("git is not installed, so only files can be compared")
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603
    return done.stdout if done.returncode == 0 else None


def _copy_raw(settings: Settings, scratch: Path) -> None:
    with duckdb.connect(str(scratch / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'")
        path = str(settings.warehouse_path).replace("'", "''")
        connection.execute(f"attach '{path}' as present (read_only)")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where database_name = 'present' and starts_with(schema_name, 'raw_')"
        ).fetchall()
        for schema in sorted({schema for schema, _ in tables}):
            connection.execute(f'create schema "{schema}"')
        for schema, table in tables:
            connection.execute(f'create table "{schema}"."{table}" as from present."{schema}"."{table}"')


def _configured(settings: Settings, configuration: Path) -> Settings:
    try:
        return with_configuration(settings, configuration)
    except SettingsError as error:
        raise CommandError(str(error)) from error


def _different(settings: Settings, changed: Settings, operations: Engine) -> list[str]:
    """The raw tables of our own that the other configuration makes different."""
    in_use, other = ops_source(settings, operations), ops_source(changed, operations)
    names = sorted(other.resources.keys() - _HAPPENED)
    return [name for name in names if list(in_use.resources[name]) != list(other.resources[name])]


def _build(settings: Settings, seeds: dict[str, Path], scratch: Path, progress: Console) -> None:
    project = scratch / "dbt_project"
    shutil.copytree(settings.dbt_project_path, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name, path in seeds.items():
        shutil.copyfile(path, project / "seeds" / f"{name}.csv")
    environment = os.environ | dbt_environment(settings)
    environment |= {
        "RETAIL_HOME": str(scratch),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(scratch / "target"),
        "DBT_LOG_PATH": str(scratch / "target"),
    }
    command = [dbt_executable(), "--no-use-colors", "build", "--project-dir", str(project)]
    command += ["--resource-type", "model", "--resource-type", "seed", "--select", *(f"+{name}" for name in _MARTS)]
    told: list[str] = []
    with (
        progress.status("dbt reads the models") as status,
        subprocess.Popen(  # noqa: S603
            command, env=environment, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            told.append(line)
            if found := _STEP.search(line):
                status.update(f"dbt: {found[1]} of {found[2]} models")
    if process.returncode:
        raise CommandError(f"the models cannot be built with this change:\n{''.join(told)[-_TOLD:]}")


def _write_journal(warehouse: Path, target: Path, entities: list[str]) -> None:
    # Each by itself: views name their database, and both are called warehouse.
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        codes = ", ".join(f"'{code}'" for code in entities)
        connection.execute(f"copy ({_JOURNAL} where lines.entity_code in ({codes})) to '{target}' (format parquet)")


def _compared(scratch: Path, files: list[str]) -> Shadow:
    with duckdb.connect() as connection:
        for name in ("present", "shadow"):
            connection.execute(f"create view {name} as from read_parquet('{scratch / name}.parquet')")
        connection.execute(_LINES)
        entries = {row["entry_id"]: row | {"before": [], "after": []} for row in _rows(connection, _ENTRIES)}
        for line in _rows(connection, "from altered order by all"):
            counts = {"before": line.pop("lines_before"), "after": line.pop("lines_after")}
            entry = entries[line.pop("entry_id")]
            for side, other in (("before", "after"), ("after", "before")):
                entry[side] += [line] * max(counts[side] - counts[other], 0)
        return Shadow(files, list(entries.values()), _rows(connection, _TOTALS), _rows(connection, _STATUSES))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def print_shadow(console: Console, found: Shadow) -> None:
    """The entries that would be other ones, line by line, and what that comes to."""
    if not found.changed_files:
        console.print("its mappings and configuration are those in use: nothing would change")
        return
    counts = {change: sum(entry["change"] == change for entry in found.entries) for change in _SIGNS}
    told = ", ".join(f"{count} entries {change}" for change, count in counts.items())
    console.print(f"[bold]{told}, {len(found.statuses)} held or let go[/bold]", highlight=False)
    for entry in found.entries[:_SHOWN]:
        console.print(f"  {_SIGNS[entry['change']]} {escape(entry['entry_id'])}", highlight=False)
        for sign, colour, side in (("-", "red", "before"), ("+", "green", "after")):
            for line in entry[side]:
                amount = line["base_debit_amount"] - line["base_credit_amount"]
                console.print(
                    f"      [{colour}]{sign} {line['posting_date']} {line['account_code'] or _NO_ACCOUNT} "
                    f"{amount:,.2f} {line['base_currency_code']}[/{colour}]",
                    highlight=False,
                )
    if len(found.entries) > _SHOWN:
        console.print(f"    … and {len(found.entries) - _SHOWN} more (all of them with --json)", highlight=False)
    for status in found.statuses[:_SHOWN]:
        console.print(
            f"  [yellow]! {escape(status['entry_id'])} {status['before_status']} → {status['after_status']}[/yellow]",
            highlight=False,
        )
    if found.totals:
        totals = Table("entity", "period", "account", "before", "after", "difference", box=None, pad_edge=False)
        for column in totals.columns[3:]:
            column.justify = "right"
        for row in found.totals:
            amounts = (row[f"{name}_amount"] for name in ("before", "after", "difference"))
            totals.add_row(
                row["entity_code"],
                row["period"],
                row["account_code"] or _NO_ACCOUNT,
                *(f"{amount:,.2f}" for amount in amounts),
            )
        console.print(totals)


_SIGNS: Final = {"added": "+", "gone": "-", "changed": "~"}
