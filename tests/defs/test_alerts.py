"""Alerts from end to end: what went wrong in Dagster, told to a real mail server and a real webhook on this machine."""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from aiosmtpd.controller import Controller
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner

from retail_assets import keys
from retail_assets.cli import app
from retail_assets.defs.alerts import causes, channels, watching
from retail_assets.defs.alerts.watching import watch
from retail_assets.ops import alerts, inbox, load_log
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import MailChannel, Settings, SettingsError, load_settings
from tests.support.chain import environment
from tests.support.server import running

SHIPPED = Path(__file__).resolve().parents[2] / "data"
SECRET = "T000/B000/secret-of-the-hook"


@dataclass
class Inbox:
    """What arrived, and whether the receivers are up."""

    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    hook_is_up: bool = True

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # pyright: ignore[reportArgumentType]
        return "250 OK"

    async def hook(self, request: Request) -> Response:
        if self.hook_is_up:
            self.posts.append(json.loads(await request.body())["text"])
        return Response(status_code=200 if self.hook_is_up else 503)


class MailServer(Controller):
    """On a port that the system chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        super()._trigger_server()


@dataclass
class World:
    """A retailer with two channels, and the runs of its jobs as Dagster has them."""

    settings: Settings
    instance: dg.DagsterInstance
    inbox: Inbox

    def ran(self, **steps: str | None) -> None:
        """One run of the load job: each step fails with its text, or succeeds."""

        def op_of(name: str, problem: str | None) -> dg.OpDefinition:
            @dg.op(name=name)
            def step() -> None:
                if problem:
                    raise RuntimeError(problem)

            return step

        ops = [op_of(name, problem) for name, problem in steps.items()]

        @dg.job(name=keys.INGEST_JOB)
        def job() -> None:
            for op in ops:
                op()

        job.execute_in_process(instance=self.instance, raise_on_error=False)

    def watch(self) -> dict[str, str]:
        return watch(self.settings, self.instance)


@pytest.fixture(scope="module")
def receivers() -> Iterator[tuple[Inbox, int, str]]:
    inbox = Inbox()
    mail = MailServer(inbox, hostname="127.0.0.1", port=0)
    mail.start()
    try:
        with running(Starlette(routes=[Route(f"/{SECRET}", inbox.hook, methods=["POST"])])) as url:
            yield inbox, mail.port, url
    finally:
        mail.stop()


def configured(home: Path, channels: list[dict[str, Any]], **values: str) -> Settings:
    document = yaml.safe_load((SHIPPED / "retail.yaml").read_text(encoding="utf-8"))
    document["operations"] = {"alerts": {"channels": channels, "ui_url": "https://dagster.example.com"}}
    path = home / "retail.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    path.with_suffix(".env").write_text((SHIPPED / "retail.env").read_text(encoding="utf-8"), encoding="utf-8")
    return load_settings({"RETAIL_HOME": str(home), "RETAIL_CONFIG": str(path), **values})


def mail_to(port: int, **more: Any) -> dict[str, Any]:
    return {
        "id": "oncall", "kind": "mail", "host": "127.0.0.1", "port": port, "security": "none",
        "sender": "retail@example.com", "to": ["oncall@example.com"], "throttle_minutes": 0, **more,
    }  # fmt: skip


HOOK = {"id": "chat", "kind": "webhook", "url": "${HOOK_URL}", "hosts": ["127.0.0.1"], "throttle_minutes": 0}


@pytest.fixture
def world(tmp_path: Path, receivers: tuple[Inbox, int, str]) -> Iterator[World]:
    inbox, port, url = receivers
    inbox.mails.clear()
    inbox.posts.clear()
    inbox.hook_is_up = True
    settings = configured(tmp_path, [mail_to(port, send=["technical"]), HOOK], HOOK_URL=f"{url}/{SECRET}")
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(settings, instance, inbox)


def test_a_source_that_is_down_is_told_once_and_so_is_its_recovery(world: World) -> None:
    """A store that is down for a day fails 144 loads: 144 mails bury the one that matters."""
    for _ in range(3):
        world.ran(load_cedar_us="HTTP 503 from GET https://cedar.example", load_linden_de=None)
        world.watch()
    (mail,) = world.inbox.mails
    assert mail["Subject"] == "[retail] 1 technical failure: cedar_us could not be loaded"
    text = mail.get_content()
    assert "HTTP 503 from GET https://cedar.example" in text
    assert "owner: team:commerce" in text
    assert "what to do: The next poll tries again" in text
    assert "https://dagster.example.com/runs/" in text
    world.ran(load_cedar_us=None, load_linden_de=None)
    world.watch()
    assert world.inbox.mails[1]["Subject"] == "[retail] 1 recovered: cedar_us could not be loaded"
    assert len(world.inbox.posts) == 2
    assert world.watch() == {"oncall": "nothing new", "chat": "nothing new"}


def test_a_failed_check_is_told_as_the_check_and_not_as_its_step_too(world: World) -> None:
    """Two alerts for one cause make people look for two."""
    mart = dg.AssetKey(keys.mart_asset_path("rec_clearing"))
    passes = False

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("clearing_us", asset=mart, blocking=True)])
    def posting_gate() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=passes, description="1 of 3 break it", metadata={"entity": "US"})

    def check() -> None:
        definitions = dg.Definitions(
            asset_checks=[posting_gate],
            jobs=[dg.define_asset_job(keys.BUILD_JOB, selection=dg.AssetSelection.checks_for_assets(mart))],
        )
        job = definitions.resolve_job_def(keys.BUILD_JOB)
        job.execute_in_process(instance=world.instance, raise_on_error=False)
        world.watch()

    check()
    (mail,) = world.inbox.mails
    # A long subject is folded, and begins with a blank then.
    assert mail["Subject"].strip() == "[retail] 1 technical failure: check clearing_us failed on marts/rec_clearing"
    assert "[US]" in mail.get_content()
    passes = True
    check()
    assert len(world.inbox.mails) == 2


def test_stock_that_is_not_written_is_told_to_commerce(world: World) -> None:
    """A store that goes on selling what is not there, while the failed run is seen by nobody who knows the articles."""
    path = keys.stock_asset_path("cedar_us")
    outcomes: list[dg.Failure | None] = [
        dg.Failure("POST products/batch: HTTP 401", allow_retries=False),
        None,
        dg.Failure("140 of 300 articles", metadata={keys.NEEDS_DECISION: True}, allow_retries=False),
    ]

    @dg.asset(key=path)
    def stock() -> None:
        if problem := outcomes.pop(0):
            raise problem

    def write() -> None:
        jobs = [dg.define_asset_job(keys.stock_job_name("cedar_us"), selection=dg.AssetSelection.assets(stock))]
        job = dg.Definitions(assets=[stock], jobs=jobs).resolve_job_def(keys.stock_job_name("cedar_us"))
        job.execute_in_process(instance=world.instance, raise_on_error=False)
        world.watch()

    write()
    text = world.inbox.mails[0].get_content()
    assert "cedar_us: stock is not written" in text
    assert "HTTP 401" in text
    assert "owner: team:commerce" in text
    assert "retail stock plan cedar_us" in text
    write()
    assert "1 recovered" in world.inbox.mails[1]["Subject"]
    write()
    assert len(world.inbox.mails) == 2, (
        "more changes than are allowed are a decision, and no fault for whoever is on call"
    )
    assert "1 business exception" in world.inbox.posts[2]
    assert "retail stock push cedar_us --allow-large" in world.inbox.posts[2]


def test_a_canary_that_does_not_arrive_is_told_though_its_check_only_warns(world: World) -> None:
    """The one test of the whole way fails and nobody hears of it, as it holds nothing; other warnings stay quiet."""
    mart = dg.AssetKey(keys.mart_asset_path("mon_canaries"))
    passes = False

    def checked(name: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(name=name, asset=mart)
        def check() -> dg.AssetCheckResult:
            description = "7f of cedar_us is lost, placed 1500 minutes ago"
            return dg.AssetCheckResult(passed=passes, severity=dg.AssetCheckSeverity.WARN, description=description)

        return check

    def build() -> None:
        definitions = dg.Definitions(
            asset_checks=[checked(keys.CANARY_CHECK), checked("shape")],
            jobs=[dg.define_asset_job(keys.BUILD_JOB, selection=dg.AssetSelection.checks_for_assets(mart))],
        )
        definitions.resolve_job_def(keys.BUILD_JOB).execute_in_process(instance=world.instance)
        world.watch()

    build()
    build()
    (mail,) = world.inbox.mails
    text = mail.get_content()
    assert "1 technical failure" in mail["Subject"]
    assert "7f of cedar_us is lost" in text
    assert "owner: team:platform" in text
    assert "retail canary status" in text.replace("\n", " ")
    passes = True
    build()
    assert "1 recovered" in world.inbox.mails[1]["Subject"]


def test_a_run_that_was_killed_before_its_steps_is_told(world: World) -> None:
    """A process that dies of memory fails no step: nothing would be said at all."""

    @dg.job(name=keys.BUILD_JOB)
    def job() -> None: ...

    run = world.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    world.instance.report_run_failed(run, "the process is gone")
    world.watch()
    assert [mail["Subject"] for mail in world.inbox.mails] == [
        "[retail] 1 technical failure: a run of build ended before any of its steps did"
    ]


def test_a_failure_is_told_however_many_runs_ended_before_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a page of runs an hour the look back showed known runs only: no alert came any more, for good."""
    monkeypatch.setattr(watching, "_PAGE", 4)
    monkeypatch.setattr(watching, "_MOST_RUNS", 4)

    @dg.job(name=keys.BUILD_JOB)
    def job() -> None: ...

    *fine, failed = [world.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED) for _ in range(11)]
    for run in fine:
        world.instance.report_run_canceled(run)
    world.instance.report_run_failed(failed, "the process is gone")
    engine = open_store(world.settings.operations_url)
    for _ in range(3):
        watching._look_at_runs(world.settings, world.instance, engine)
    assert [row["cause"] for row in alerts.rows(engine)] == [f"run:{keys.BUILD_JOB}"]
    engine.dispose()


def test_runs_that_ended_in_one_moment_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends a page of dead runs in one transaction would have hidden whatever ended after them."""
    monkeypatch.setattr(watching, "_PAGE", 2)
    start = datetime(2026, 11, 5, 12, tzinfo=UTC)
    ends = [start + timedelta(seconds=second) for second in (1, 1, 1, 1, 1, 2, 3)]

    class Instance:
        def get_run_records(self, filters: dg.RunsFilter, limit: int, **_: Any) -> list[Any]:
            after = filters.updated_after
            assert after is not None
            return [SimpleNamespace(update_timestamp=end, name=n) for n, end in enumerate(ends) if end > after][:limit]

    pages: Any = watching._ended(Instance(), start)  # pyright: ignore[reportArgumentType]
    assert {record.name for page in pages for record in page} == set(range(len(ends)))


def test_exceptions_go_to_those_who_work_on_them_and_are_told_again_when_overdue(world: World) -> None:
    """An exception of finance in the mail of whoever is on call is read by neither."""
    now = datetime(2026, 11, 5, 12, tzinfo=UTC)
    row = {
        "exception_id": "payout_not_in_bank:stripe_us:po_1", "exception_class": "business", "severity": "high",
        "owner": "team:treasury", "entity_code": "US", "amount_at_risk": Decimal("1200.50"), "currency_code": "USD",
        "due_at": datetime(2026, 11, 6), "suggested_action": "Ask the bank.",  # noqa: DTZ001 - as DuckDB gives it
    }  # fmt: skip
    engine = open_store(world.settings.operations_url)
    for is_overdue in (False, False, True):
        found = causes.of_exceptions([{**row, "is_overdue": is_overdue}])
        alerts.observe_all(engine, [causes.EXCEPTION, causes.OVERDUE], found, now)
        world.watch()
    assert world.inbox.mails == []
    first, second = world.inbox.posts
    assert "1 business exception" in first
    assert "1,200.50 USD at risk, due 2026-11-06" in first
    assert "Ask the bank." in first
    assert "overdue since 2026-11-06" in second
    alerts.observe_all(engine, [causes.EXCEPTION, causes.OVERDUE], [], now)
    engine.dispose()
    world.watch()
    assert "2 recovered" in world.inbox.posts[2]


def test_what_to_do_is_one_command_whatever_a_source_calls_its_records() -> None:
    """An id with a quote in it would end the word, and the rest be run by the shell of whoever copies the line."""
    identifier = "order_missing:stripe_us:txn_'; rm -rf ~ #"
    row = {
        "exception_id": identifier, "exception_class": "business", "severity": "high", "owner": "team:finance",
        "entity_code": "US", "amount_at_risk": None, "currency_code": None, "due_at": None, "suggested_action": "Ask.",
        "is_overdue": False,
    }  # fmt: skip
    (cause,) = causes.of_exceptions([row])
    assert shlex.split(cause.what_to_do.partition("See: ")[2]) == ["retail", "exceptions", "show", identifier]


def test_a_flood_is_one_message(world: World) -> None:
    """A lost payout file is hundreds of exceptions: hundreds of messages get the channel muted."""
    many = [
        alerts.Cause(f"exception:{n}", "business", "low", "team:finance", f"exception {n}", "-", "look")
        for n in range(500)
    ]
    engine = open_store(world.settings.operations_url)
    alerts.observe_all(engine, [causes.EXCEPTION], many, datetime.now(UTC))
    engine.dispose()
    assert world.watch() == {"oncall": "nothing new", "chat": "sent 500"}
    (text,) = world.inbox.posts
    assert text.startswith("*[retail] 500 business exceptions*")
    assert "and 480 more (team:finance 500 in all)" in text


def test_a_channel_that_is_down_stops_nothing_and_is_told_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat service that is down must neither fail the chain nor swallow the alert."""
    world.inbox.hook_is_up = False
    world.ran(load_cedar_us="refused")
    told = world.watch()
    assert told["oncall"] == "sent 1"
    assert told["chat"].startswith("failed: HTTP 503")
    assert SECRET not in told["chat"], "the address of such a webhook is its password"
    assert world.watch()["chat"] == "waits"
    world.inbox.hook_is_up = True
    monkeypatch.setattr(alerts, "may_send", lambda *_: True)
    assert world.watch()["chat"] == "sent 1"
    assert len(world.inbox.posts) == len(world.inbox.mails) == 1


def test_a_source_that_fell_silent_is_told(world: World) -> None:
    """A poll that no longer starts fails no run: the marts are just as of last week."""
    engine = open_store(world.settings.operations_url)
    loaded = {"received": 1, "loaded": 1, "quarantined": 0, "system": "woocommerce", "resource": "orders"}
    load_log.record(engine, instance_id="cedar_us", loaded_at=datetime.now(UTC) - timedelta(hours=3), **loaded)  # pyright: ignore[reportArgumentType]
    load_log.record(engine, instance_id="aoi_jp", loaded_at=datetime.now(UTC) - timedelta(hours=1), **loaded)  # pyright: ignore[reportArgumentType]
    world.watch()
    (mail,) = world.inbox.mails
    assert "cedar_us was not loaded since" in mail["Subject"]
    assert "every 2 h 10 min" in mail.get_content()
    load_log.record(engine, instance_id="cedar_us", loaded_at=datetime.now(UTC), **loaded)  # pyright: ignore[reportArgumentType]
    engine.dispose()
    world.watch()
    assert "1 recovered" in world.inbox.mails[1]["Subject"]


def test_webhooks_that_were_given_up_are_told(world: World) -> None:
    """A store whose events nobody understands any more was loaded by its polls only, and nobody knew."""
    engine, now = open_store(world.settings.operations_url), world.settings.now()
    with writing(engine) as connection:
        inbox.put(connection, [inbox.NewEvent("cedar_us", b"1", None, "0" * 64, None, now, "0" * 32, b"?")])
    world.watch()
    assert world.inbox.mails == []
    inbox.bury(engine, {1: "the body does not say which record it is about"}, now=now)
    world.watch()
    world.watch()
    (mail,) = world.inbox.mails
    assert "1 technical failure: cedar_us: webhooks of" in mail["Subject"]
    text = mail.get_content()
    assert "does not say which record" in text
    assert "retail replay inbox --source cedar_us" in text.replace("\n", " ")
    with writing(engine) as connection:
        inbox.requeue(connection, [1], "ada", "mended", now=now)
    engine.dispose()
    world.watch()
    assert "1 recovered" in world.inbox.mails[1]["Subject"]


def test_a_password_is_not_sent_in_the_clear(receivers: tuple[Inbox, int, str]) -> None:
    """A mail server that offers no STARTTLS, or a man in the middle who takes it out, would be sent the password."""
    _, port, _ = receivers
    channel = MailChannel.model_validate(mail_to(port, security="starttls", user="u", password="p"))
    with pytest.raises(channels.ChannelError, match="STARTTLS"):
        channels.send(channel, "subject", "text")


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({**HOOK, "hosts": ["hooks.slack.com"]}, "url is on none of hosts"),
        ({**HOOK, "url": "https://hooks.slack.com/x"}, "may only be given as ${NAME}"),
        (mail_to(25, security="none", host="mail.example.com"), "for a mail server on this machine"),
        (mail_to(25, user="u"), "needs both user and password"),
        ([HOOK, HOOK], "'chat' is used 2 times"),
    ],
)
def test_a_channel_that_could_leak_is_refused(tmp_path: Path, channel: Any, says: str) -> None:
    """Alerts hold amounts and names: they go where the configuration says, encrypted, and nowhere else."""
    chosen = channel if isinstance(channel, list) else [channel]
    with pytest.raises(SettingsError) as caught:
        configured(tmp_path, chosen, HOOK_URL=f"http://127.0.0.1:1/{SECRET}")
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_commands_list_and_test(world: World) -> None:
    """A channel that is tried for the first time on the night it matters is a hope."""
    world.ran(load_cedar_us="refused")
    world.watch()
    url = world.settings.configuration.operations.alerts.channels[1].url.get_secret_value()  # pyright: ignore[reportAttributeAccessIssue]
    values = {
        "RETAIL_HOME": str(world.settings.home),
        "RETAIL_CONFIG": str(world.settings.config_path),
        "HOOK_URL": url,
    }
    run: Callable[..., Any] = CliRunner().invoke
    with environment(values):
        listed = json.loads(run(app, ["alerts", "list", "--json"]).output)
        assert [(row["cause"], row["told"]) for row in listed["alerts"]] == [("step:load_cedar_us", "chat, oncall")]
        assert "cedar_us could not be loaded" in run(app, ["alerts", "list"]).output
        assert run(app, ["alerts", "test"]).exit_code == 0
        assert world.inbox.posts[-1].startswith("*[retail] test*")
        world.inbox.hook_is_up = False
        failing = run(app, ["alerts", "test", "--channel", "chat", "--json"])
        assert failing.exit_code == 1
        assert "503" in json.loads(failing.output)["chat"]
        assert run(app, ["alerts", "test", "--channel", "none"]).exit_code != 0
