"""Random schedules of faults, deaths and changing ledgers: never a second document, never a missing one.

The real application and the real poster, joined in process so that hundreds of schedules take seconds: the transport
between them loses requests and answers, and ends the worker, as a schedule says.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from starlette.applications import Starlette

from retail_assets.accounting.ledger import LedgerEntry
from retail_assets.accounting.posting import PostingStoppedError, apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.erpnext import ErpNextPoster
from retail_assets.http import HttpStatusError, HttpUnavailableError
from retail_assets.ops import outbox
from retail_assets.ops.store import open_store
from retail_assets.sandbox.erpnext import create_app
from tests.accounting.ledgers import NOW, amounts, booked, entry_rows, keys_at_erp, ledger, plan_for
from tests.erp.books import KEY, SECRET, SEED

ENTRIES = ("a", "b", "c")


class Killed(BaseException):
    """The process is gone: nothing of it may run any more."""


@dataclass
class Wire:
    """Carries requests to the application, with the faults of a schedule, one for each request.

    ``lost`` and ``answer lost`` drop the connection before or after the request is carried out; a number is the status
    that a proxy answers instead, likewise before or after; the two deaths end the worker there.
    """

    app: Starlette
    loop: asyncio.AbstractEventLoop
    faults: Iterator[Any] = field(default_factory=lambda: iter(()))
    dead: bool = False
    log: list[tuple[str, str]] = field(default_factory=list)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if self.dead:
            raise Killed
        fault = next(self.faults, None)
        if fault == "dies before":
            self.die()
        if fault == "lost":
            raise HttpUnavailableError("lost")
        if fault in (429, 503):
            raise HttpStatusError(fault, path, b"busy", {})
        self.note(method, path, params, data)
        status, body = self.loop.run_until_complete(self.carry(method, path, params or {}, data or b""))
        if fault == "dies after":
            self.die()
        if fault == "answer lost":
            raise HttpUnavailableError("answer lost")
        if fault == "502 after" and method == "POST":
            raise HttpStatusError(502, path, b"bad gateway", {})
        if status >= 400:
            raise HttpStatusError(status, path, body, {})
        response = requests.Response()
        response.status_code, response._content = status, body
        return response

    def close(self) -> None: ...

    def die(self) -> None:
        self.dead = True
        raise Killed

    def note(self, method: str, path: str, params: Mapping[str, Any] | None, data: bytes | None) -> None:
        if path.endswith("insert_many"):
            self.log += [("POST", document["platform_ref"]) for document in json.loads(data or b"")["docs"]]
        elif path.endswith("/Journal%20Entry"):
            field, _, values = json.loads((params or {})["filters"])[0]
            self.log += [("GET", key) for key in values if field == "platform_ref"]

    async def carry(self, method: str, path: str, params: Mapping[str, Any], data: bytes) -> tuple[int, bytes]:
        authorization = f"token {KEY}:{SECRET}".encode()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": unquote(path),
            "query_string": urlencode(params).encode(),
            "headers": [(b"authorization", authorization)],
            "server": ("erp", 80),
            "scheme": "http",
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]


class World:
    """An operations store and an ERP, copied from prepared ones."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copytree(template, folder)
        self.engine: Engine = open_store(f"sqlite:///{folder / 'operations.sqlite'}")
        # Power cuts are not part of the schedules, and waiting for the disk is most of the time.
        with closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA synchronous=OFF")
        self.app = create_app(folder / "erp.sqlite", SEED, KEY, SECRET)
        self.loop = asyncio.new_event_loop()
        self.anchor = folder / "audit_head.json"
        self.log: list[tuple[str, str]] = []

    def poster(self, faults: list[Any]) -> ErpNextPoster:
        wire = Wire(self.app, self.loop, iter(faults), log=self.log)
        return ErpNextPoster(wire, base_url="http://erp")

    def run(self, entries: list[LedgerEntry], faults: list[Any]) -> None:
        try:
            apply(
                plan_for(self.engine, entries),
                self.engine,
                self.poster(faults),
                now=NOW,
                actor="ann",
                run_id="run",
                anchor_path=self.anchor,
                pause=lambda _: None,
                most_unavailable=4,
            )
        except (Killed, PostingStoppedError):
            pass
        except Exception as error:
            # The checks before the first document meet faults as well.
            if type(error).__name__ not in {"ErpUnavailable", "RejectedByErp"}:
                raise

    def close(self) -> None:
        self.engine.dispose()
        self.app.state.site.close()
        self.loop.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "template"
    folder.mkdir()
    open_store(f"sqlite:///{folder / 'operations.sqlite'}").dispose()
    app, loop = create_app(folder / "erp.sqlite", SEED, KEY, SECRET), asyncio.new_event_loop()
    ErpNextPoster(Wire(app, loop), base_url="http://erp").prepare()
    app.state.site.close()
    loop.close()
    return folder


FAULT = st.sampled_from([None, None, None, "lost", "answer lost", "502 after", 503, 429, "dies before", "dies after"])
VERSION = st.sampled_from(["1", "2", "3", None, "held"])
ROUND = st.tuples(st.fixed_dictionaries(dict.fromkeys(ENTRIES, VERSION)), st.lists(FAULT, max_size=30))


def desired(versions: Mapping[str, str | None]) -> list[LedgerEntry]:
    ready = {entry_id: amount for entry_id, amount in versions.items() if amount not in (None, "held")}
    held = [
        entry_rows(entry_id, "9", posting_status="held", hold_reason="doubt")
        for entry_id, amount in versions.items()
        if amount == "held"
    ]
    return amounts(ready) + ledger(*held)  # pyright: ignore[reportArgumentType]


def assert_never_two(world: World) -> None:
    doubled = {key: count for key, count in keys_at_erp(world.app.state.site).items() if count > 1}
    assert doubled == {}


def assert_no_blind_send(log: list[tuple[str, str]]) -> None:
    """Goal 10: a look-up stands between any two sends of one key, and before the first."""
    looked_up: set[str] = set()
    for method, key in log:
        if method == "GET":
            looked_up.add(key)
        else:
            assert key in looked_up, f"{key} was sent without a look-up"
            looked_up.discard(key)


@settings(max_examples=200)
@given(rounds=st.lists(ROUND, min_size=1, max_size=4))
def test_any_schedule_ends_in_the_desired_ledger(
    template: Path, tmp_path_factory: pytest.TempPathFactory, rounds: list[Any]
) -> None:
    """Goal 9: faults at every step, in every order, with the ledger changing between runs."""
    world = World(template, tmp_path_factory.mktemp("run") / "world")
    try:
        for versions, faults in rounds:
            world.run(desired(versions), faults)
            assert_never_two(world)
        final = desired(rounds[-1][0])
        for _ in range(3):
            world.run(final, [])
        assert plan_for(world.engine, final).items == ()
        held = {entry_id for entry_id, amount in rounds[-1][0].items() if amount == "held"}
        books = {entry_id: amount for entry_id, amount in booked(world.app.state.site).items() if entry_id not in held}
        assert books == {
            entry_id: int(amount) for entry_id, amount in rounds[-1][0].items() if amount not in (None, "held")
        }
        assert_never_two(world)
        assert_no_blind_send(world.log)
        assert outbox.postings(world.engine, states=["sent"]) == []
        assert verify(world.engine, world.anchor, {"erp_main": world.poster([])}) == []
    finally:
        world.close()
