"""A simulated retailer in a folder of its own, and the whole chain run on it as ``retail run`` does."""

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import requests
from rich.console import Console

from retail_assets.commands.home import environment as home_environment
from retail_assets.commands.ledger import prepare_erps
from retail_assets.commands.run import ChainResult, attest_entities, post_entities, run_chain
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.server import RunningServer, running_server
from retail_assets.settings import Settings, load_settings, sandbox_credentials

AS_OF = "2026-11-05T12:00:00+00:00"


@dataclass
class Retailer:
    """The simulated retailer of one test: its home, its server, and what the chain printed."""

    home: Path
    server: RunningServer
    printed: str = ""
    #: Of a team's database; this home's own files if None.
    operations_url: str | None = None

    def settings(self) -> Settings:
        return load_settings(self._environment())

    def run(self, **arguments: Any) -> ChainResult:
        """The whole chain, once."""
        console = Console(file=io.StringIO(), width=200)
        with environment(self._environment()):
            result = run_chain(load_settings(), console, **arguments)
        assert isinstance(console.file, io.StringIO)
        self.printed = console.file.getvalue()
        return result

    def post(self, entities: list[str]) -> ChainResult:
        """What the last build lets through, posted."""
        console = Console(file=io.StringIO(), width=200)
        with environment(self._environment()):
            result = post_entities(load_settings(), console, entities)
        assert isinstance(console.file, io.StringIO)
        self.printed = console.file.getvalue()
        return result

    def attest(self, entities: list[str]) -> ChainResult:
        """What was posted, read back."""
        console = Console(file=io.StringIO(), width=200)
        with environment(self._environment()):
            result = attest_entities(load_settings(), console, entities)
        assert isinstance(console.file, io.StringIO)
        self.printed = console.file.getvalue()
        return result

    @contextmanager
    def changed_at_the_erp(self, document: str, **values: str) -> Iterator[None]:
        """A journal entry with other values, behind the ERP's back, while the block runs."""
        columns = ", ".join(values)
        assignments = ", ".join(f"{column} = ?" for column in values)
        update = f'UPDATE "Journal Entry" SET {assignments} WHERE name = ?'
        with closing(sqlite3.connect(self.home / "sandbox" / "erp.sqlite", timeout=30, isolation_level=None)) as erp:
            before = erp.execute(f'SELECT {columns} FROM "Journal Entry" WHERE name = ?', [document]).fetchone()
            erp.execute(update, [*values.values(), document])
            try:
                yield
            finally:
                erp.execute(update, [*before, document])

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's instance, as the chain left it."""
        with environment(home_environment(self.settings())), dg.DagsterInstance.get() as instance:
            yield instance

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the warehouse."""
        with duckdb.connect(str(self.home / "warehouse.duckdb"), read_only=True) as connection:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def metadata(self, *asset: str) -> Mapping[str, dg.MetadataValue]:
        """What Dagster shows of the last materialization of an asset."""
        with self.instance() as instance:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization.metadata

    def erp(self, doctype: str, fields: list[str]) -> list[dict[str, Any]]:
        """Every document of a type, as the ERP holds it now."""
        credentials = sandbox_credentials()
        response = requests.get(
            f"{self.server.url}/erp_main/api/resource/{doctype}",
            params={"fields": json.dumps(fields), "limit_page_length": 0},
            headers={"Authorization": f"token {credentials['ERP_MAIN_API_KEY']}:{credentials['ERP_MAIN_API_SECRET']}"},
            timeout=30,
        )
        assert response.status_code == 200, response.text
        return json.loads(response.text, parse_float=Decimal)["data"]

    def stripe_balance(self, gateway_id: str) -> dict[str, int]:
        """What a gateway says it holds: minor units by currency, available and pending together."""
        key = sandbox_credentials()[f"{gateway_id.upper()}_API_KEY"]
        response = requests.get(
            f"{self.server.url}/{gateway_id}/v1/balance", headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        assert response.status_code == 200, response.text
        balance: dict[str, int] = {}
        for part in (*response.json()["available"], *response.json()["pending"]):
            balance[part["currency"].upper()] = balance.get(part["currency"].upper(), 0) + part["amount"]
        return balance

    def _environment(self) -> dict[str, str]:
        values = {"RETAIL_HOME": str(self.home), "RETAIL_AS_OF": AS_OF, "SANDBOX_URL": self.server.url}
        if self.operations_url is None:
            return values
        shipped = Path(__file__).resolve().parents[2] / "data"
        # Outside the home, where no secret may be found.
        folder = self.home.with_name(f"{self.home.name}-configuration")
        configuration = folder / "retail.yaml"
        if not configuration.exists():
            folder.mkdir()
            block = "\noperations:\n  url: ${OPERATIONS_URL}\n"
            configuration.write_text((shipped / "retail.yaml").read_text(encoding="utf-8") + block, encoding="utf-8")
            shutil.copyfile(shipped / "retail.env", configuration.with_suffix(".env"))
        return {**values, "RETAIL_CONFIG": str(configuration), "OPERATIONS_URL": self.operations_url}


@contextmanager
def retailer(home: Path, *, orders: int = 120, seed: int = 11, operations_url: str | None = None) -> Iterator[Retailer]:
    """A small simulated retailer, served while the block runs, its ERP ready for posting."""
    generate(home, seed=seed, orders=orders)
    with running_server(home, sandbox_credentials()) as server:
        found = Retailer(home, server, operations_url=operations_url)
        prepare_erps(found.settings())
        yield found


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """The process environment with ``values``, as it was before afterwards."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
