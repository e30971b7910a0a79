"""Backup, restore and migration: what a platform team does when nobody wants to try it for the first time."""

import json
import shutil
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.commands.doctor import examine
from retail_assets.ops import audit, migrations, replays
from retail_assets.ops.store import StoreTooNewError, open_store, writing
from retail_assets.settings import Settings, load_settings
from retail_assets.sources.warehouse import create_raw_tables
from tests.support.chain import environment

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


def run(settings: Settings, *arguments: str) -> str:
    with environment({"RETAIL_HOME": str(settings.home), "SANDBOX_URL": "http://127.0.0.1:9"}):
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def decided(settings: Settings, what: str) -> None:
    """Something that was decided, in the evidence chain and its anchor."""
    engine = open_store(settings.operations_url)
    with writing(engine) as connection:
        audit.append(connection, at=NOW, actor="ada", action="approve", subject=what, details={})
    audit.write_anchor(engine, settings.audit_anchor_path, now=NOW)
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load_settings({"RETAIL_HOME": str(tmp_path / "home"), "SANDBOX_URL": "http://127.0.0.1:9"})
    assert json.loads(run(found, "migrate", "--json")) == {"operations": migrations.HEAD, "dagster": "files"}
    return found


def test_a_lost_machine_comes_back_from_its_backup(settings: Settings, tmp_path: Path) -> None:
    """A backup that was never restored is a hope: here the home is lost, and what was decided and dropped is there."""
    decided(settings, "entry-1")
    create_raw_tables(settings.warehouse_path)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("insert into raw_ops.clock (as_of) values (now())")
    statement = settings.inbox_path(settings.configuration.bank("bank_us")) / "statement.xml"
    statement.write_text("<Document/>", encoding="utf-8")
    copied = json.loads(run(settings, "backup", str(tmp_path / "backup"), "--json"))
    assert {"operations.sqlite", "warehouse.duckdb", "exports/audit_head.json"} <= set(copied["files"])
    assert copied["revision"] == migrations.HEAD
    assert all((path.stat().st_mode & 0o077) == 0 for path in (tmp_path / "backup").rglob("*") if path.is_file())

    shutil.rmtree(settings.home)
    shutil.copytree(tmp_path / "backup", settings.home)
    run(settings, "migrate")
    # The doctor's look at what is ours; the connections come after it, and there is nothing to connect to here.
    findings = {finding.subject: finding.ok for finding in islice(examine(settings), 6)}
    assert (findings["operations store"], findings["warehouse"]) == (True, True)
    assert "0 problems in 1 audit entries" in run(settings, "verify", "--no-erp")
    assert statement.read_text(encoding="utf-8") == "<Document/>"
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        assert connection.execute("select count(*) from raw_ops.clock").fetchall() == [(1,)]


def test_an_older_copy_of_the_operations_store_is_noticed(settings: Settings, tmp_path: Path) -> None:
    """Yesterday's store under today's anchor would post again what was posted in between."""
    decided(settings, "entry-1")
    run(settings, "backup", str(tmp_path / "backup"))
    decided(settings, "entry-2")
    for name in ("operations.sqlite-wal", "operations.sqlite-shm"):
        (settings.home / name).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup" / "operations.sqlite", settings.home / "operations.sqlite")
    engine = open_store(settings.operations_url)
    with pytest.raises(audit.AnchorMismatchError, match="older copy"):
        audit.require_anchor_holds(engine, settings.audit_anchor_path)
    engine.dispose()


def test_a_release_can_be_taken_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade that goes wrong on a Friday must have a way back that keeps what was decided."""
    decided(settings, "entry-1")
    assert json.loads(run(settings, "migrate", "--to", "0003", "--json")) == {"operations": "0003"}
    monkeypatch.setattr(migrations, "HEAD", "0003")
    older = open_store(settings.operations_url)
    assert [entry.subject for entry in audit.entries(older)] == ["entry-1"]
    older.dispose()
    monkeypatch.undo()
    run(settings, "migrate")
    newer = open_store(settings.operations_url)
    with newer.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    newer.dispose()
    with pytest.raises(StoreTooNewError, match="upgrade retail-assets"):
        open_store(settings.operations_url)


def test_evidence_that_an_older_release_has_no_place_for_stays(settings: Settings) -> None:
    """The way back dropped what people had decided, and said so nowhere."""
    run(settings, "migrate")
    engine = open_store(settings.operations_url)
    with writing(engine) as connection:
        replays.start(connection, "order", "cedar_us:1", actor="ada", reason="r", now=NOW)
    engine.dispose()
    with pytest.raises(AssertionError, match=r"1 replays would be lost(.|\n)*docs/running\.md"):
        run(settings, "migrate", "--to", "0005")


def test_a_backup_is_never_mixed_with_another(settings: Settings, tmp_path: Path) -> None:
    """Files of two days in one folder restore to a day that never was."""
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "warehouse.duckdb").touch()
    with environment({"RETAIL_HOME": str(settings.home), "SANDBOX_URL": "http://127.0.0.1:9"}):
        result = CliRunner().invoke(app, ["backup", str(tmp_path / "backup")])
    assert result.exit_code == 2
    assert "is not empty" in " ".join(result.output.split())
