"""``retail evidence`` on the small retailer of the scenario: what an auditor gets, and whether it is still so."""

import csv
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.commands import CommandError
from retail_assets.commands.evidence import Pack, check, findings, gather, write, zipped
from retail_assets.contracts import TABLES
from retail_assets.defs.export.planning import plan_for
from retail_assets.erp.payload import to_payload
from retail_assets.ops import approvals, attestations, audit, certificates, exception_actions, load_log, outbox
from retail_assets.ops.exception_actions import Seen
from retail_assets.ops.outbox import NewPosting
from retail_assets.ops.periods import Period
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings, load_settings
from tests.dbt.compiled import Compiled
from tests.dbt.scenario import play
from tests.support.chain import AS_OF, environment

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
OCTOBER = Period(date(2026, 10, 1))
#: Nobody's name: what it is found in has kept something of a customer.
CANARY = "canary.jane.doe@example.com"


@pytest.fixture(scope="module")
def home(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario, built; what is ready of it is posted, certified and read back; people have worked on it."""
    warehouse = project.empty(tmp_path_factory.mktemp("evidence"))
    play().write(warehouse)
    warehouse.execute(";\n".join(_canaries()))
    project.make(warehouse)
    (warehouse.home / "dbt" / "run").mkdir()
    shutil.move(warehouse.home / "dbt" / "manifest.json", warehouse.home / "dbt" / "run" / "manifest.json")
    settings = settings_of(warehouse.home)
    folder = settings.inbox_path(settings.configuration.bank("bank_us"))
    folder.mkdir(parents=True)
    (folder / "october.xml").write_text("<Document/>")
    _work(settings)
    return warehouse.home


def _canaries() -> Iterator[str]:
    """Every column that is declared to hold personal data, and what banks and gateways write, holds some."""
    for table in TABLES:
        for column in table.columns:
            named = column.personal or column.name in ("counterparty", "description")
            if named and column.type == "text" and column.name not in (*table.primary_key, *table.parent_key):
                yield f'update {table.schema}."{table.name}" set "{column.name}" = \'{CANARY}\''


def _work(settings: Settings) -> None:
    store = open_store(settings.operations_url)
    plan = plan_for(settings, store, "US")
    wanted = [
        NewPosting(
            item.posting_key, item.entry_id, item.revision, item.kind, "US", "erp_main", item.content_hash,
            to_payload(item.entry), item.entry.posting_date,
        )
        for item in plan.items
    ]  # fmt: skip
    entry = wanted[0]
    with writing(store) as connection:
        outbox.claim(connection, wanted, worker="w", run_id="r", actor="ann", now=NOW)
        documents = {one.posting_key: f"JE-{number}" for number, one in enumerate(wanted)}
        outbox.mark_posted(connection, documents, worker="w", now=NOW)
        for one in wanted:
            audit.append(
                connection, at=NOW, actor="ann", action="posting.posted", subject=one.posting_key,
                details={"entity_code": "US", "document": documents[one.posting_key]},
            )  # fmt: skip
        for rows in outbox.histories(connection, [one.entry_id for one in wanted]).values():
            for row in rows:
                attestations.record(connection, row, "equal", None, now=NOW)
        approvals.request(
            connection,
            [
                approvals.Request(
                    "entry", entry.entry_id, "US", entry.content_hash, "above the limit", Decimal(9), "USD"
                )
            ],
            requested_by="ann",
            now=NOW,
        )
        seen = Seen(
            "payment_missing:cedar_us:1002", "payment_missing", "US", "cedar_us", "stripe_us", "cedar_us:1002", None,
            None, None, Decimal(45), "USD", datetime(2026, 10, 22, 15, 1, tzinfo=UTC),
        )  # fmt: skip
        exception_actions.act(connection, "comment", [seen], actor="bob", now=NOW, reason=f"called Jane Doe, {CANARY}")
        exception_actions.act(connection, "resolve", [seen], actor="bob", now=NOW, reason=f"paid by {CANARY} in cash")
    (waiting,) = approvals.rows(store)
    approvals.decide(store, waiting.approval_id, "approved", actor="cem", reason="seen the invoice", now=NOW)
    covered = certificates.uncertified(store, "US")
    body = {
        "entity_code": "US",
        "run_id": "r",
        "audit_from": covered.audit_from,
        "audit_to": covered.entries[-1].seq,
        "previous": covered.previous,
        "postings": [{"posting_key": one.subject} for one in covered.entries],
        "postings_root": "0" * 64,
    }
    certificates.issue(store, body, actor="ann", now=NOW)
    for day, received in ((1, 99), (20, 10), (25, 7)):
        moment = datetime(2026, 9 if day == 1 else 10, day, 12, tzinfo=UTC)
        load_log.record(
            store, system="woocommerce", instance_id="cedar_us", resource="orders", received=received,
            loaded=received - 1, quarantined=1, loaded_at=moment,
        )  # fmt: skip
    store.dispose()


def settings_of(home: Path, as_of: str = AS_OF) -> Settings:
    return load_settings({"RETAIL_HOME": str(home), "RETAIL_AS_OF": as_of})


@pytest.fixture(scope="module")
def pack(home: Path) -> Pack:
    """October of the American entity."""
    return gather(settings_of(home), "US", OCTOBER)


@pytest.fixture
def spoiled(home: Path, pack: Pack, tmp_path: Path) -> Path:
    """A home of one's own, to be spoiled, with the pack that was made before."""
    shutil.copytree(home, tmp_path / "home")
    write(settings_of(tmp_path / "home"), pack)
    return tmp_path / "home"


def execute(home: Path, statement: str) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        # It is a view, which nobody can change.
        connection.execute("create table lines as from marts.acc_journal_lines; drop view marts.acc_journal_lines")
        connection.execute("create table marts.acc_journal_lines as from lines; drop table lines")
        connection.execute(statement)


def rows(pack: Pack, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(pack.files[name].decode(), newline="")))


def by_step(pack: Pack) -> dict[str, dict[str, str]]:
    return {row["step"]: row for row in rows(pack, "totals/control_totals.csv")}


def path_of(home: Path) -> Path:
    return home / "exports" / "evidence" / "US-2026-10.zip"


def test_the_same_state_gives_the_same_bytes(pack: Pack, home: Path, tmp_path: Path) -> None:
    """A pack with the time of its making in it can never be made again, so nobody can tell whether it was changed."""
    later = settings_of(home, "2027-01-01T00:00:00Z")
    path, aside = write(later, gather(later, "US", OCTOBER), tmp_path / "later.zip")
    assert path.read_bytes() == zipped(pack)
    assert aside is None
    assert check(later, path).ok
    assert write(later, pack, path) == (path, None)


def test_the_pack_proves_itself(pack: Pack) -> None:
    """Whoever has the pack and nothing of ours can tell that it is whole."""
    with zipfile.ZipFile(io.BytesIO(zipped(pack))) as archive:
        names = [name.removeprefix("US-2026-10/") for name in archive.namelist()]
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        listed = archive.read("US-2026-10/SHA256SUMS").decode().splitlines()
        sums = {name: value for value, name in (line.split("  ", 1) for line in listed)}
        assert set(names) == {*sums, "SHA256SUMS", "manifest.json"}
        for name, value in sums.items():
            assert hashlib.sha256(archive.read(f"US-2026-10/{name}")).hexdigest() == value
        manifest = json.loads(archive.read("US-2026-10/manifest.json"))
    assert manifest["digest"] == hashlib.sha256(pack.files["SHA256SUMS"]).hexdigest() == pack.digest
    assert {row["path"]: row["sha256"] for row in manifest["files"]} == sums
    (certificate,) = [name for name in sums if name.startswith("certificates/")]
    assert certificate == f"certificates/{sums[certificate]}.json"
    (issued,) = rows(pack, "postings/certificates.csv")
    assert (issued["certificate_id"], len(issued["audit_entry_hash"])) == (sums[certificate], 64)


def test_records_lead_to_the_journal_and_the_amounts_agree(pack: Pack) -> None:
    """Totals that leave out what is held, or what must not be booked, hide a record that was lost."""
    steps = by_step(pack)
    assert {name: row["difference_amount"] for name, row in steps.items()} == dict.fromkeys(steps, "0")
    orders, lines = steps["orders to sales"], steps["settlement lines to entries"]
    names = ("record_count", "ready_count", "held_count", "not_booked_count", "record_amount", "journal_amount")
    assert [orders[name] for name in names] == ["27", "10", "7", "10", "1018.45", "803.45"]
    assert [lines[name] for name in names] == ["37", "37", "0", "0", "850.48", "850.48"]
    (load,) = rows(pack, "sources/loads.csv")
    assert [load[name] for name in ("loads", "received", "loaded", "quarantined")] == ["2", "17", "15", "2"]
    records = {row["raw_table"]: row for row in rows(pack, "sources/records.csv") if row["instance_id"] == "cedar_us"}
    assert [records["orders"][name] for name in ("raw_count", "mart_count", "journal_count")] == ["28", "28", "17"]
    files = {row["file"]: row for row in rows(pack, "sources/files.csv")}
    assert files["october.xml"]["sha256"] == hashlib.sha256(b"<Document/>").hexdigest()
    assert any(row["record_count"] != "0" and row["in_folder"] == "false" for row in files.values())


def test_the_books_are_the_journal(pack: Pack) -> None:
    """A document without its number, its proof or its approval; a balance that is not what was posted."""
    posted = rows(pack, "postings/postings.csv")
    entries = {row["entry_id"]: row for row in rows(pack, "journal/entries.csv")}
    ready = {key for key, row in entries.items() if row["posting_status"] == "ready"}
    assert {row["entry_id"] for row in posted} == ready
    for row in posted:
        assert row["erp_document"] == entries[row["entry_id"]]["erp_documents"]
        assert row["certificate_id"]
        assert row["audit_seq"]
        assert row["attested_state"] == "equal"
    balance = rows(pack, "totals/trial_balance.csv")
    assert balance
    assert all(row["not_posted_amount"] == "0" for row in balance)
    assert sum(Decimal(row["debit_amount"]) - Decimal(row["credit_amount"]) for row in balance) == 0
    lines = [row for row in rows(pack, "journal/lines.csv") if row["posting_status"] == "ready"]
    clearing = sum(Decimal(row["debit_amount"]) for row in lines if row["account_code"] == "1250")
    assert clearing == Decimal(next(row["debit_amount"] for row in balance if row["account_code"] == "1250"))
    (approval,) = rows(pack, "postings/approvals.csv")
    assert [approval[name] for name in ("requested_by", "decided_by", "decision")] == ["ann", "cem", "approved"]
    acts = [(row["action"], row["actor"], row["reason"]) for row in rows(pack, "exceptions/actions.csv")]
    assert acts == [("comment", "bob", ""), ("resolve", "bob", "paid by [e-mail] in cash")]
    assert "payment_missing:cedar_us:1002" in {row["exception_id"] for row in rows(pack, "exceptions/exceptions.csv")}


def test_the_statements_of_the_pack_make_the_journal(pack: Pack, home: Path, tmp_path: Path) -> None:
    """Statements that were left out, or that are not those that ran, are no evidence of how a figure came about."""
    shutil.copy(home / "warehouse.duckdb", tmp_path)
    lines = "select * exclude (description) from marts.acc_journal_lines order by entry_id, line_no"
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        before = connection.execute(lines).fetchall()
        seeds = [row["name"] for row in rows(pack, "code/models.csv") if row["kind"] == "seed"]
        for seed in seeds:
            connection.execute(f"create temp table {seed} as from warehouse.staging.{seed}")
        for schema in ("marts", "intermediate", "staging"):
            connection.execute(f"drop schema {schema} cascade; create schema {schema}")
        for seed in seeds:
            connection.execute(f"create table warehouse.staging.{seed} as from temp.{seed}")
        for row in rows(pack, "code/models.csv"):
            if row["kind"] == "model":
                statement = pack.files[f"code/sql/{int(row['place']):03d}_{row['name']}.sql"].decode()
                connection.execute(f"create table {row['relation']} as {statement}")
        assert connection.execute(lines).fetchall() == before
    assert len(before) > 100


def test_one_of_each_rule(pack: Pack) -> None:
    """An automated control is tested on one case of each condition: a rule without an example is not tested."""
    examples = {(row["kind"], row["rule"]): row for row in rows(pack, "test_of_one.csv")}
    with_rule = {rule for kind, rule in examples if kind == "line of a gateway's ledger"}
    assert {"gateway_id", "order_key", "gateway_refund_id", "amount_in_order", "none"} <= with_rule
    raised = {row["exception_type"] for row in rows(pack, "exceptions/exceptions.csv")}
    assert raised == {rule for kind, rule in examples if kind == "exception"}
    line = examples["line of a gateway's ledger", "amount_in_order"]
    assert json.loads(line["input_keys"])["order"] == "cedar_us:1006"
    assert line["outcome"] == "refund: matched"


def test_no_personal_data_and_no_secrets(pack: Pack, home: Path) -> None:
    """A pack goes to people outside the house: a customer's address or a key of a gateway in it is a breach."""
    whole = b"\n".join(pack.files.values())
    assert b"cedar_us:1001" in whole
    for trace in (CANARY, "Jane", "Buyer"):
        assert trace.lower().encode() not in whole.lower()
    secrets = set(_secrets(settings_of(home).configuration))
    assert len(secrets) > 5
    for secret in secrets:
        assert secret.encode() not in whole
    assert str(home).encode() not in whole


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, tuple):
        for one in value:
            yield from _secrets(one)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))


@pytest.mark.parametrize(
    ("statement", "finding", "file"),
    [
        (
            "update marts.acc_journal_lines set debit_amount = debit_amount + 1 "
            "where entry_id = 'line/stripe_us:txn_ch_1001' and account_role = 'gateway_clearing'",
            "settlement lines to entries, stripe_us: the entries are -1.0000 USD off the records",
            "journal/lines.csv",
        ),
        (
            "delete from marts.acc_journal_lines where entry_id = 'sale/cedar_us:1001'",
            "orders to sales, cedar_us: the entries are 110.3800 USD off the records",
            "totals/journal_totals.csv",
        ),
        (
            "update marts.acc_journal_lines set base_debit_amount = base_debit_amount + 1 where account_code = '6100'",
            "the journal is not what is posted on 1 accounts: 6100",
            "totals/trial_balance.csv",
        ),
    ],
)
def test_what_was_lost_or_changed_is_told(spoiled: Path, pack: Pack, statement: str, finding: str, file: str) -> None:
    """Control totals that agree although an entry was changed behind them control nothing."""
    execute(spoiled, statement)
    now = gather(settings_of(spoiled), "US", OCTOBER)
    assert finding not in list(findings(pack.figures))
    assert finding in list(findings(now.figures))
    assert finding in now.files["cover.html"].decode()
    assert now.files[file] != pack.files[file]


def test_a_pack_that_was_changed_is_told(pack: Pack, home: Path, tmp_path: Path) -> None:
    """Somebody altered a figure in the file: with the hashes left as they were, and with all of them made anew."""
    settings, made = settings_of(home), pack
    name = "totals/trial_balance.csv"
    forged = made.files[name].replace(b"1250", b"1259")
    clumsy = tmp_path / "clumsy.zip"
    clumsy.write_bytes(zipped(replace(made, files={**made.files, name: forged})))
    checked = check(settings, clumsy)
    assert (checked.ok, checked.damaged, checked.differing) == (False, (name,), ())
    old, new = (hashlib.sha256(content).hexdigest().encode() for content in (made.files[name], forged))
    careful = {key: value.replace(old, new) for key, value in {**made.files, name: forged}.items()}
    digest = hashlib.sha256(careful["SHA256SUMS"]).hexdigest().encode()
    careful["manifest.json"] = careful["manifest.json"].replace(made.digest.encode(), digest)
    sealed = tmp_path / "sealed.zip"
    sealed.write_bytes(zipped(replace(made, files=careful)))
    checked = check(settings, sealed)
    assert (checked.ok, checked.damaged, checked.differing) == (False, (), (name,))
    double = tmp_path / "double.zip"
    double.write_bytes(zipped(made))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(double, "a") as archive:
        archive.writestr(f"US-2026-10/{name}", forged)
    with pytest.raises(CommandError, match="two files of one name"):
        check(settings, double)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(zipped(made).replace(zlib.compress(made.files["SHA256SUMS"], 6)[2:12], b"0123456789"))
    with pytest.raises(CommandError, match="cannot be read"):
        check(settings, broken)


def test_evidence_is_not_written_over(spoiled: Path) -> None:
    """The pack that was handed out was lost when the month was looked at again."""
    settings = settings_of(spoiled)
    first = path_of(spoiled).read_bytes()
    execute(spoiled, "update marts.rec_exceptions set severity = 'low'")
    path, aside = write(settings, gather(settings, "US", OCTOBER))
    assert aside is not None
    assert aside.read_bytes() == first
    assert path.read_bytes() != first


def test_the_command(home: Path, tmp_path: Path) -> None:
    """A script that cannot tell equal from not equal; or a traceback for a file that is no pack."""
    run, out = CliRunner().invoke, tmp_path / "pack.zip"
    with environment({"RETAIL_HOME": str(home), "RETAIL_AS_OF": AS_OF, "COLUMNS": "200"}):
        made = run(app, ["evidence", "US", "2026-10", "--output", str(out), "--json"])
        assert made.exit_code == 0, made.output
        assert "10 entries of the month are held and not in the books" in json.loads(made.stdout)["findings"]
        equal = run(app, ["evidence", "--check", str(out)])
        assert equal.exit_code == 0
        assert "is equal to what is made of it now" in equal.stdout
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr("US-2026-10/more.txt", "what nobody asked for")
        changed = run(app, ["evidence", "--check", str(out), "--json"])
        assert (changed.exit_code, json.loads(changed.stdout)["damaged"]) == (1, ["more.txt"])
        out.write_text("no zip")
        for arguments in (
            ["--check", str(out)],
            ["--check", "nowhere.zip"],
            ["US"],
            ["US", "2026-13"],
            ["XX", "2026-10"],
        ):
            assert run(app, ["evidence", *arguments]).exit_code == 2, arguments
        assert run(app, ["evidence", "US", "2026-10", "--check", str(out)]).exit_code == 2


def test_without_the_models_nothing_is_proved(spoiled: Path) -> None:
    """A pack without the statements looked complete."""
    (spoiled / "dbt" / "run" / "manifest.json").unlink()
    with pytest.raises(CommandError, match="no build has left its models here yet"):
        gather(settings_of(spoiled), "US", OCTOBER)
