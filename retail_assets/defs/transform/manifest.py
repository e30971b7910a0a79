"""dbt's manifest: parsed when a model, macro or seed changed, and only then."""

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
    """The manifest of the current models, made anew if it is older than any file of the dbt project.

    Raises:
        DbtParseError: the project has a mistake.
    """
    manifest = settings.dbt_target_path / "manifest.json"
    if not manifest.is_file() or manifest.stat().st_mtime < _last_change(settings.dbt_project_path):
        _parse(settings)
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


def _last_change(project: Path) -> float:
    return max(path.stat().st_mtime for path in project.rglob("*") if path.suffix in {".sql", ".yml", ".csv"})


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
