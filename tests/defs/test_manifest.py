"""The manifest of the models is of the models that there are."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retail_assets.defs.transform import manifest


def changed(project: Path, _: Path) -> None:
    path = project / "orders.sql"
    path.write_text("select 2")
    os.utime(path, (1, 1))


def added(project: Path, _: Path) -> None:
    path = project / "payouts.sql"
    path.write_text("select 1")
    os.utime(path, (1, 1))


def removed(project: Path, _: Path) -> None:
    (project / "orders.sql").unlink()


def rolled_back(_: Path, target: Path) -> None:
    (target / "manifest.json").write_text("of an older release")


@pytest.mark.parametrize("change", [changed, added, removed, rolled_back])
def test_a_manifest_of_other_models_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, Path], None]
) -> None:
    """A copied home, or the way back to an older release, kept the manifest of other models: it was the newest."""
    project, target = tmp_path / "project", tmp_path / "target"
    project.mkdir()
    target.mkdir()
    for name in ("orders", "stores"):
        (project / f"{name}.sql").write_text("select 1")
    parsed: list[str] = []
    in_part = target / "partial_parse.msgpack"

    def parse(_: object) -> None:
        assert not in_part.exists()
        in_part.touch()
        parsed.append("once")
        (target / "manifest.json").write_text(f"manifest {len(parsed)}")

    monkeypatch.setattr(manifest, "_parse", parse)
    settings: Any = SimpleNamespace(dbt_project_path=project, dbt_target_path=target)
    for _ in range(3):
        assert manifest.manifest_path(settings).read_text() == "manifest 1"
    change(project, target)
    for _ in range(2):
        assert manifest.manifest_path(settings).read_text() == "manifest 2"
