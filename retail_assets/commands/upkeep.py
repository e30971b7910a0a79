"""``retail migrate`` and ``retail backup``: what whoever runs this does besides running it."""

import hashlib
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import dagster as dg
import duckdb

from retail_assets.commands import CommandError
from retail_assets.commands.home import environment, prepare_home
from retail_assets.commands.orphans import sole_runner
from retail_assets.ops import migrations
from retail_assets.ops.store import StoreError, migrate, open_store
from retail_assets.settings import Settings

_CHUNK: Final = 1 << 20
#: Copied as they are: what was written for others, what cannot be fetched again, and the models' last build.
_FOLDERS: Final = ("exports", "inbox")


def bring_up(settings: Settings, revision: str | None) -> dict[str, Any]:
    """Make the home and bring the stores to this release; or the operations store back to an older revision.

    Raises:
        CommandError: another command is at work, there is no such revision, or evidence would be lost on the way back.
    """
    prepare_home(settings)
    os.environ.update(environment(settings))
    with sole_runner(settings):
        engine = open_store(settings.operations_url)
        try:
            if revision is not None:
                known = {f"{number:04}" for number in range(1, int(migrations.HEAD) + 1)}
                if revision not in known:
                    raise CommandError(f"there is no revision {revision!r}: they are 0001 to {migrations.HEAD}")
                try:
                    migrate(engine, revision)
                except StoreError as error:
                    raise CommandError(str(error)) from error
                return {"operations": revision}
        finally:
            engine.dispose()
        # Dagster tells what it does on standard output, which is the script's that reads this command.
        with dg.DagsterInstance.get() as instance, redirect_stdout(sys.stderr):
            instance.upgrade()
    return {"operations": migrations.HEAD, "dagster": "postgres" if settings.team_database else "files"}


def back_up(settings: Settings, target: Path) -> dict[str, Any]:
    """Copy what a home holds, consistently, into a new folder, with a list of what is in it (``backup.json``).

    The anchor of the evidence chain is copied before the operations store: a chain that is longer than its anchor is
    whole, a shorter one is cut.

    Raises:
        CommandError: the folder is not empty, or the warehouse is in use.
    """
    if target.exists() and any(target.iterdir()):
        raise CommandError(f"{target} is not empty: give a new folder for each backup")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with sole_runner(settings):
        for name in _FOLDERS:
            if (settings.home / name).is_dir():
                shutil.copytree(settings.home / name, target / name)
        if settings.team_database is None:
            open_store(settings.operations_url).dispose()
            source = Path(settings.operations_url.removeprefix("sqlite:///"))
            with (
                closing(sqlite3.connect(source)) as live,
                closing(sqlite3.connect(target / "operations.sqlite")) as copy,
            ):
                live.backup(copy)
        if settings.warehouse_path.exists():
            _copy_warehouse(settings.warehouse_path, target / settings.warehouse_path.name)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    found = {
        "release": version("retail-assets"),
        "revision": migrations.HEAD,
        "operations": "with pg_dump" if settings.team_database else "operations.sqlite",
        "files": {str(path.relative_to(target)): _sha256(path) for path in files},
    }
    (target / "backup.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for path in (*files, target / "backup.json"):
        path.chmod(0o600)
    return found


def _copy_warehouse(path: Path, copy: Path) -> None:
    try:
        # Whoever has it open for writing is alone with it.
        with duckdb.connect(str(path)) as connection:
            connection.execute("checkpoint")
            shutil.copyfile(path, copy)
    except duckdb.IOException as error:
        reason = " ".join(str(error).split())
        raise CommandError(f"the warehouse is in use: wait for its run to end ({reason})") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
