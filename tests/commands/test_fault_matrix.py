"""The fault matrix: each fault happens to the smallest part of the chain that can show it.

For each: nothing is lost or doubled, the right alert comes once, and nobody has to lend a hand. Elsewhere: a store that
is down for the whole chain (``test_run``), killed at any step (``test_killed``, ``accounting/test_kill``), a storm of
webhooks, doubled and out of order (``defs/test_events``, ``webhooks/test_intake``), an answer of the ERP that is lost
(``accounting/test_posting``).
"""

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from retail_assets import keys
from retail_assets.definitions import build_ingest_definitions
from retail_assets.defs.checks.gate import gate_check_keys
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.defs.export.sensors import request_export
from retail_assets.sandbox.faults import Fault
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.server import RunningServer, running_server
from retail_assets.settings import Settings, load_settings, sandbox_credentials
from tests.support.alerted import news
from tests.support.chain import AS_OF, environment
from tests.support.postgres import running_postgres

STORE = "cedar_us"
GATEWAY = "stripe_us"
ASSETS = {
    STORE: dg.AssetKey(keys.raw_asset_path("woocommerce", STORE, "orders")),
    GATEWAY: dg.AssetKey(keys.raw_asset_path("stripe", GATEWAY, "balance_transactions")),
}
_ROOM = 32 << 10
TABLES = {STORE: "raw_woocommerce.orders", GATEWAY: "raw_stripe.balance_transactions"}


@dataclass
class Home:
    """A retailer's home of its own, before its first load, and what Dagster knows of it."""

    settings: Settings
    instance: dg.DagsterInstance
    server: RunningServer

    def load(self, source: str, settings: Settings | None = None) -> bool:
        job = build_ingest_definitions(settings or self.settings).resolve_job_def(keys.INGEST_JOB)
        return job.execute_in_process(
            instance=self.instance, asset_selection=[ASSETS[source]], raise_on_error=False
        ).success

    def news(self) -> list[str]:
        return news(self.settings, self.instance)

    def rows(self, source: str) -> list[tuple[Any, ...]]:
        """Every record of a source, by id and content."""
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as connection:
            return connection.execute(f"select id, _payload_sha256 from {TABLES[source]} order by 1, 2").fetchall()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("systems")
    generate(folder, seed=5, orders=60)
    with running_server(folder, sandbox_credentials()) as found:
        yield found


@contextmanager
def a_home(folder: Path, server: RunningServer) -> Iterator[Home]:
    values = {"RETAIL_HOME": str(folder), "RETAIL_AS_OF": AS_OF, "SANDBOX_URL": server.url}
    settings = load_settings(values)
    # Waiting is tested with the client (test_http); here it would only take the time it takes.
    sections = ("stores", "gateways")
    hasty = {
        section: tuple(
            item.model_copy(update={"retries": 0}) if item.declared.access == "http" else item
            for item in getattr(settings.configuration, section)
        )
        for section in sections
    }
    settings = replace(settings, configuration=settings.configuration.model_copy(update=hasty))
    with (
        environment({**values, "DAGSTER_HOME": str(folder / "dagster")}),
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Home(settings, instance, server)


@pytest.fixture
def home(tmp_path: Path, server: RunningServer) -> Iterator[Home]:
    with a_home(tmp_path / "home", server) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, server: RunningServer) -> dict[str, list[tuple[Any, ...]]]:
    """What a home holds to which nothing ever happened."""
    with a_home(tmp_path_factory.mktemp("undisturbed"), server) as found:
        assert found.load(STORE)
        assert found.load(GATEWAY)
        return {source: found.rows(source) for source in ASSETS}


@pytest.mark.parametrize(
    ("source", "fault"),
    [(STORE, Fault(down=True)), (GATEWAY, Fault(rate_limited=10_000, retry_after=3600))],
    ids=["store down", "gateway 429 for an hour"],
)
def test_a_source_that_gives_nothing(
    home: Home, undisturbed: dict[str, list[tuple[Any, ...]]], source: str, fault: Fault
) -> None:
    """Every poll of the hour fails; the first after it has it all, and of all failures one alert was made."""
    home.server.faults.set(source, fault)
    told = []
    for _ in range(3):
        assert not home.load(source)
        told += home.news()
    assert told == [f"raised step:load_{source}"]
    home.server.faults.clear()
    assert home.load(source)
    assert home.news() == [f"recovered step:load_{source}"]
    assert home.rows(source) == undisturbed[source]
    assert home.load(source)
    assert home.rows(source) == undisturbed[source]


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing can be written behind the first part of a file: what a full disk looks like from within."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# What dlt could not write it leaves to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_disk_is_full(home: Home, undisturbed: dict[str, list[tuple[Any, ...]]]) -> None:
    """What was half written must not be taken for whole, nor the warehouse be lost, once there is room again."""
    assert home.load(GATEWAY)
    assert home.settings.warehouse_path.stat().st_size > _ROOM
    with full_disk():
        assert not home.load(STORE)
        gc.collect()
    assert home.news() == [f"raised step:load_{STORE}"]
    assert home.rows(GATEWAY) == undisturbed[GATEWAY]
    assert home.load(STORE)
    assert home.news() == [f"recovered step:load_{STORE}"]
    assert home.rows(STORE) == undisturbed[STORE]


def test_the_operations_store_is_gone_for_a_minute(home: Home, undisturbed: dict[str, list[tuple[Any, ...]]]) -> None:
    """Records loaded while nobody could note what was refused, or an alert that was lost with the store."""
    with running_postgres() as url:
        address = SecretStr(url.render_as_string(hide_password=False))
        operations = home.settings.configuration.operations.model_copy(update={"url": address})
        configuration = home.settings.configuration.model_copy(update={"operations": operations})
        home.settings = replace(home.settings, configuration=configuration)
        assert home.load(GATEWAY)
        assert home.news() == []
        socket = Path(str(url.query["host"])) / ".s.PGSQL.5432"
        socket.rename(socket.with_name("gone"))
        try:
            assert not home.load(STORE)
            with pytest.raises(OperationalError):
                home.news()
        finally:
            socket.with_name("gone").rename(socket)
        assert home.news() == [f"raised step:load_{STORE}"]
        assert home.load(STORE)
        assert home.news() == [f"recovered step:load_{STORE}"]
        assert home.rows(STORE) == undisturbed[STORE]
        assert home.rows(GATEWAY) == undisturbed[GATEWAY]


def test_the_clock_is_two_minutes_off(home: Home, undisturbed: dict[str, list[tuple[Any, ...]]]) -> None:
    """A clock that was ahead leaves a cursor in the future, and one that is put back reads from before it."""
    now = home.settings.now()
    for minutes in (2, -2, 0):
        assert home.load(STORE, replace(home.settings, as_of=now + timedelta(minutes=minutes)))
    assert home.news() == []
    assert home.rows(STORE) == undisturbed[STORE]


def test_the_erp_is_down_for_a_day(home: Home) -> None:
    """Three attempts for each build, one alert for the day, and the first build after it posts by itself."""
    entity, job_name = "US", keys.export_job_name("US")
    step = "erp_export__journals_us"
    is_down = True

    @dg.multi_asset(
        specs=[dg.AssetSpec(keys.mart_asset_path(mart)) for mart in sorted({one.mart for one in INVARIANTS})]
    )
    def marts() -> Iterator[dg.MaterializeResult]:
        for mart in sorted({one.mart for one in INVARIANTS}):
            yield dg.MaterializeResult(asset_key=keys.mart_asset_path(mart))

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec(key.name, asset=key.asset_key) for key in gate_check_keys(entity)])
    def posting_gate() -> Iterator[dg.AssetCheckResult]:
        for key in gate_check_keys(entity):
            yield dg.AssetCheckResult(passed=True, check_name=key.name, asset_key=key.asset_key)

    @dg.op(name=step)
    def export() -> None:
        if is_down:
            raise RuntimeError("no answer from the ERP")

    @dg.job(name=job_name)
    def posting() -> None:
        export()

    built = dg.Definitions(
        assets=[marts], asset_checks=[posting_gate], jobs=[dg.define_asset_job(keys.BUILD_JOB, selection="*")]
    ).resolve_job_def(keys.BUILD_JOB)

    def build_and_post() -> list[bool]:
        built.execute_in_process(instance=home.instance)
        done = []
        while isinstance(request := request_export(home.instance, entity, job_name, ""), dg.RunRequest):
            run = posting.execute_in_process(instance=home.instance, tags=dict(request.tags), raise_on_error=False)
            done.append(run.success)
        return done

    told = []
    for _ in range(3):
        assert build_and_post() == [False, False, False]
        told += home.news()
    assert told == [f"raised step:{step}"]
    is_down = False
    assert build_and_post() == [True]
    assert home.news() == [f"recovered step:{step}"]
