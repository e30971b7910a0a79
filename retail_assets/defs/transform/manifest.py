"""dbt's manifest: parsed when a model, macro or seed changed, and only then."""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from retail_assets.settings import Settings


class DbtParseError(Exception):
    """dbt could not parse the project; holds what it said."""


def manifest_path(settings: Settings) -> Path:
    """The manifest of the current models, made anew if it is not of the very files that the dbt project has now.

    Not by their times: a copy of a home, or an older release, has files of any age.

    Raises:
        DbtParseError: the project has a mistake.
    """
    manifest = settings.dbt_target_path / "manifest.json"
    made_of = settings.dbt_target_path / "manifest.sha256"
    project = _digest_of_project(settings.dbt_project_path)
    if not manifest.is_file() or not made_of.is_file() or made_of.read_text() != _seal(project, manifest):
        # dbt goes by times as well where it parses in part: a file of another release may bear the very same one.
        (settings.dbt_target_path / "partial_parse.msgpack").unlink(missing_ok=True)
        _parse(settings)
        made_of.write_text(_seal(project, manifest))
    return manifest


@contextmanager
def parsed_meanwhile(settings: Settings) -> Iterator[None]:
    """Parse the project, if it must be, while the block does something else; the block's end waits for it.

    Raises:
        DbtParseError: the project has a mistake.
    """
    with ThreadPoolExecutor(1, "dbt-parse") as pool:
        parsing = pool.submit(manifest_path, settings)
        yield
        parsing.result()


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt needs to know about this home; nothing it writes goes into the checkout."""
    return {
        "RETAIL_HOME": str(settings.home),
        "DBT_PROFILES_DIR": str(settings.dbt_project_path),
        "DBT_TARGET_PATH": str(settings.dbt_target_path),
        "DBT_LOG_PATH": str(settings.dbt_target_path / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def dbt_executable() -> str:
    """The dbt of this virtual environment, whatever the PATH says."""
    return str(Path(sys.executable).with_name("dbt"))


def _digest_of_project(project: Path) -> str:
    """Of every file that dbt reads, by name and content, and of the dbt that reads them."""
    whole = hashlib.sha256(importlib.metadata.version("dbt-core").encode())
    for path in sorted(path for path in project.rglob("*") if path.suffix in {".sql", ".yml", ".csv"}):
        name = path.relative_to(project).as_posix()
        whole.update(f"\0{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return whole.hexdigest()


def _seal(project: str, manifest: Path) -> str:
    """The manifest too: another release, which knows no seal, may have made it anew in the same home."""
    return f"{project} {hashlib.sha256(manifest.read_bytes()).hexdigest()}\n"


def _parse(settings: Settings) -> None:
    settings.dbt_target_path.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603
        [dbt_executable(), "--quiet", "parse", "--project-dir", str(settings.dbt_project_path)],
        env={**os.environ, **dbt_environment(settings)},
        cwd=settings.dbt_project_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DbtParseError(f"dbt parse failed:\n{done.stdout}{done.stderr}")
