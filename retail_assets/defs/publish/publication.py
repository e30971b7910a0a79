"""The published marts: one DuckDB file and one folder of Parquet, each swapped in whole.

A reader that has the old file open keeps reading it: the new one takes its name, not its bytes.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from retail_assets.defs.publish.verdicts import HELD, Verdict

#: Read by every DuckDB since 1.0: BI tools bring older ones than ours.
STORAGE_VERSION: Final = "v1.0.0"
#: The table that says of each mart whether its data is good, flagged or held, and of which build it is.
STATUS_TABLE: Final = "published_marts"
#: Older folders of Parquet go; this many stay for readers that are in the middle of one.
GENERATIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Mart:
    """One mart in a publication.

    Attributes:
        build_id: dbt's invocation that made the rows; of a mart that is held, that of an earlier one.
        row_count: None if it is held and was never published.
    """

    name: str
    verdict: Verdict
    build_id: str | None
    built_at: datetime | None
    row_count: int | None


def read_publication(path: Path) -> dict[str, Mart]:
    """What the published file says of each mart; empty if nothing was published yet."""
    if not path.is_file():
        return {}
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        rows = connection.execute(
            f"select mart, status, reasons, build_id, built_at, row_count from {STATUS_TABLE}"  # noqa: S608
        ).fetchall()
    return {
        mart: Mart(mart, Verdict(status, tuple(json.loads(reasons))), build_id, built_at, row_count)
        for mart, status, reasons, build_id, built_at, row_count in rows
    }


def publish(
    warehouse: Path,
    folder: Path,
    models: Iterable[Mapping[str, Any]],
    verdicts: Mapping[str, Verdict],
    *,
    build_id: str,
    built_at: datetime,
) -> list[Mart]:
    """Write the marts to ``folder``: ``marts.duckdb``, ``parquet/latest/<mart>.parquet`` and ``marts.json``.

    A mart that is held stays as it was last published.

    Args:
        models: the marts as dbt's manifest describes them: name, description and columns.
        verdicts: by the mart's name.
        build_id: dbt's invocation that built the warehouse.
        built_at: when it did; UTC.

    Returns:
        Every mart, by name.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "marts.duckdb"
    before = read_publication(path)
    unfinished = folder / ".marts.duckdb.unfinished"
    generation = _new_generation(folder / "parquet", build_id)
    for leftover in (unfinished, unfinished.with_name(unfinished.name + ".wal")):
        leftover.unlink(missing_ok=True)
    with closing(duckdb.connect()) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{_quoted(warehouse)}' as warehouse (read_only)")
        connection.execute(f"attach '{_quoted(unfinished)}' as published (storage_version '{STORAGE_VERSION}')")
        if before:
            connection.execute(f"attach '{_quoted(path)}' as previous (read_only)")
        marts = []
        for model in sorted(models, key=lambda model: model["name"]):
            mart = _mart(model["name"], verdicts[model["name"]], before.get(model["name"]), build_id, built_at)
            if mart.build_id is not None:
                source = "previous.main" if mart.verdict.status == HELD else "warehouse.marts"
                rows = _without_personal_data(connection, f'{source}."{mart.name}"', model)
                connection.execute(f'create table published.main."{mart.name}" as {rows}')
                _describe(connection, model)
                row_count = connection.table(f'published.main."{mart.name}"').shape[0]
                mart = Mart(mart.name, mart.verdict, mart.build_id, mart.built_at, row_count)
                file = generation / f"{mart.name}.parquet"
                connection.execute(
                    f"copy published.main.\"{mart.name}\" to '{_quoted(file)}' (format parquet, compression zstd)"
                )
            marts.append(mart)
        _tell_status(connection, marts)
        connection.execute("checkpoint published")
        connection.execute("detach published")
    _swap_in(unfinished, path)
    _swap_in_folder(generation)
    told = folder / ".marts.json.unfinished"
    told.write_text(json.dumps([_as_json(mart) for mart in marts], indent=1) + "\n", encoding="utf-8")
    _swap_in(told, folder / "marts.json")
    return marts


def _new_generation(parquet: Path, build_id: str) -> Path:
    """A folder of its own also for a build that is published again: somebody may read the first one now."""
    parquet.mkdir(mode=0o700, exist_ok=True)
    names = (build_id, *(f"{build_id}-{number}" for number in range(2, 1000)))
    generation = next(parquet / name for name in names if not (parquet / name).exists())
    generation.mkdir(mode=0o700)
    return generation


def _mart(name: str, verdict: Verdict, before: Mart | None, build_id: str, built_at: datetime) -> Mart:
    if verdict.status != HELD:
        return Mart(name, verdict, build_id, built_at, None)
    if before is None:
        return Mart(name, verdict, None, None, None)
    return Mart(name, verdict, before.build_id, before.built_at, before.row_count)


def _without_personal_data(connection: duckdb.DuckDBPyConnection, table: str, model: Mapping[str, Any]) -> str:
    """Its rows, columns with personal data empty: many people read what is published, and few need to know who."""
    present = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    personal = {name for name, column in model["columns"].items() if column.get("meta", {}).get("personal")}
    columns = (f'cast(null as varchar) as "{name}"' if name in personal else f'"{name}"' for name in present)
    return f"select {', '.join(columns)} from {table}"  # noqa: S608 - names of our own tables


def _describe(connection: duckdb.DuckDBPyConnection, model: Mapping[str, Any]) -> None:
    """What each mart and column means, where BI tools show it."""
    table = f'published.main."{model["name"]}"'
    connection.execute(f"comment on table {table} is '{_quoted(model['description'])}'")
    present = {row[0] for row in connection.execute(f"describe {table}").fetchall()}
    for column in model["columns"].values():
        if column["name"] in present:
            connection.execute(
                f"""comment on column {table}."{column["name"]}" is '{_quoted(column["description"])}'"""
            )


def _tell_status(connection: duckdb.DuckDBPyConnection, marts: list[Mart]) -> None:
    table = f"published.main.{STATUS_TABLE}"
    connection.execute(
        f"create table {table} (mart varchar primary key, status varchar not null, reasons varchar not null, "
        "build_id varchar, built_at timestamp, row_count bigint)"
    )
    connection.execute(
        f"comment on table {table} is 'Of each mart: good; flagged (a check warned: see reasons); or held (a check "
        "failed: the rows are those of the build named here).'"
    )
    connection.executemany(
        f"insert into {table} values (?, ?, ?, ?, ?, ?)",  # noqa: S608
        [
            (
                mart.name,
                mart.verdict.status,
                json.dumps(mart.verdict.reasons),
                mart.build_id,
                mart.built_at.replace(tzinfo=None) if mart.built_at else None,
                mart.row_count,
            )
            for mart in marts
        ],
    )


def _swap_in(unfinished: Path, path: Path) -> None:
    """``path`` is either what it was or what it will be, whenever the machine stops."""
    unfinished.chmod(0o600)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def _swap_in_folder(generation: Path) -> None:
    for file in generation.iterdir():
        file.chmod(0o600)
        with file.open("rb") as written:
            os.fsync(written.fileno())
    parquet = generation.parent
    link = parquet / ".latest.unfinished"
    link.unlink(missing_ok=True)
    link.symlink_to(generation.name)
    link.replace(parquet / "latest")
    _sync_folder(parquet)
    older = sorted(
        (one for one in parquet.iterdir() if one.is_dir() and not one.is_symlink() and one != generation),
        key=lambda one: one.stat().st_mtime,
        reverse=True,
    )
    for folder in older[GENERATIONS - 1 :]:
        shutil.rmtree(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_json(mart: Mart) -> dict[str, Any]:
    return {
        "mart": mart.name,
        "status": mart.verdict.status,
        "reasons": list(mart.verdict.reasons),
        "build_id": mart.build_id,
        "built_at": mart.built_at.isoformat() if mart.built_at else None,
        "row_count": mart.row_count,
    }


def _quoted(text: object) -> str:
    return str(text).replace("'", "''")
