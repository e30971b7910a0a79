"""Worlds and servers that the tests of the simulated retailer share: made once, since nothing changes them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.profiles import (
    CHANNELS,
    ERP_CREDENTIALS,
    GATEWAYS,
    STORES,
    TAX_ENGINES,
    gateway_credential,
    store_credentials,
)
from retail_assets.sandbox.server import RunningServer, running_server
from tests.dbt.conftest import project

__all__ = ["project", "sandbox", "world", "world_home"]

CREDENTIALS = {
    **{name: f"ck_{store_id}" for store_id in STORES for name in store_credentials(store_id)[:1]},
    **{name: f"cs_{store_id}" for store_id in STORES for name in store_credentials(store_id)[1:]},
    **{gateway_credential(gateway_id): f"sk_test_{gateway_id}" for gateway_id in GATEWAYS},
    **dict.fromkeys(ERP_CREDENTIALS, "erp"),
    **{name: f"channel_{name.lower()}" for channel in CHANNELS.values() for name in channel.credentials},
    **{engine.credential: f"tax_{engine_id}" for engine_id, engine in TAX_ENGINES.items()},
}


class State:
    """The generated records of a world, decoded, as the systems would serve them."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def rows(self, name: str, table: str, where: str = "true") -> list[dict[str, Any]]:
        """The bodies of a table of ``sandbox/<name>.sqlite``."""
        with closing(sqlite3.connect(self.home / "sandbox" / f"{name}.sqlite")) as connection:
            found = connection.execute(f"select body from {table} where {where} order by rowid").fetchall()
        return [msgspec.json.decode(body) for (body,) in found]

    def table(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """The answer of a statement to ``sandbox/<name>.sqlite``."""
        with closing(sqlite3.connect(self.home / "sandbox" / f"{name}.sqlite")) as connection:
            return connection.execute(statement).fetchall()

    @property
    def truth(self) -> dict[str, Any]:
        return msgspec.json.decode((self.home / "sandbox" / "truth.json").read_bytes())


@pytest.fixture(scope="session")
def world_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the default world."""
    home = tmp_path_factory.mktemp("world")
    generate(home, orders=450)
    return home


@pytest.fixture(scope="session")
def world(world_home: Path) -> State:
    """The records of the default world."""
    return State(world_home)


@pytest.fixture(scope="session")
def sandbox(world_home: Path) -> Iterator[RunningServer]:
    """A server of the default world."""
    with running_server(world_home, CREDENTIALS) as server:
        yield server
