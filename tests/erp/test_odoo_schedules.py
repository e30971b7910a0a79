"""Random schedules of lost, repeated and late requests, deaths and changing ledgers at Odoo: each entry exactly once.

The real poster and the simulated Odoo, joined in process so that hundreds of schedules take seconds.
"""

import asyncio
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from retail_assets.accounting.posting import PostingStoppedError, acknowledge_cancelled, apply
from retail_assets.accounting.verify import verify
from retail_assets.erp.odoo import OdooPoster
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.erp.protocol import ErpUnavailable, RejectedByErp
from retail_assets.http import HttpStatusError, HttpUnavailableError
from retail_assets.ops import outbox
from retail_assets.ops.store import open_store
from retail_assets.sandbox.odoo import OdooData, create_app
from tests.accounting.ledgers import NOW, amounts, plan_for
from tests.erp.odoo_site import KEY, fill, settings_for

ENTRIES = ("a", "b", "c")


class Killed(BaseException):
    """The process is gone: nothing of it may run any more."""


@dataclass
class Wire:
    """Carries the requests of one worker, with the faults of a schedule, one for each request that changes something.

    ``late`` loses a request that arrives when a later fault says ``arrives``, perhaps from a worker that is long dead.
    """

    app: Starlette
    loop: asyncio.AbstractEventLoop
    late: list[bytes]
    faults: Iterator[Any]
    dead: bool = False

    def request(
        self, method: str, path: str, *, json: Any = None, data: bytes | None = None, headers: Any = None
    ) -> requests.Response:
        if self.dead:
            raise Killed
        if data is None:
            return self.answered(self.carried(_encoded(json)))
        fault = next(self.faults, None)
        if fault == "dies before":
            self.die()
        if fault == "late":
            self.late.append(data)
        if fault in ("lost", "late"):
            raise HttpUnavailableError(str(fault))
        if fault in (429, 503):
            raise HttpStatusError(fault, path, b"busy", {})
        if fault == "arrives":
            while self.late:
                self.carried(self.late.pop())
        body = self.carried(data)
        if fault == "twice":
            body = self.carried(data)
        if fault == "dies after":
            self.die()
        if fault == "answer lost":
            raise HttpUnavailableError("answer lost")
        if fault == 504:
            raise HttpStatusError(504, path, b"gateway timeout", {})
        return self.answered(body)

    def close(self) -> None: ...

    def die(self) -> None:
        self.dead = True
        raise Killed

    def answered(self, body: bytes) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content = 200, body
        return response

    def carried(self, data: bytes) -> bytes:
        return self.loop.run_until_complete(self.carry(data))

    async def carry(self, data: bytes) -> bytes:
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/jsonrpc", "query_string": b"",
                 "headers": [], "server": ("odoo", 80), "scheme": "http"}  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[1]["body"]


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


@dataclass
class World:
    """An operations store and an Odoo, as they were in the beginning."""

    folder: Path
    data: OdooData = field(default_factory=OdooData)
    late: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = fill(self.data)
        self.app = create_app(self.data, key=KEY)
        self.loop = asyncio.new_event_loop()
        self.engine = open_store(f"sqlite:///{self.folder / 'operations.sqlite'}")
        # Power cuts are not part of the schedules, and waiting for the disk is most of the time.
        with closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA synchronous=OFF")
        self.poster([]).prepare()

    def poster(self, faults: list[Any]) -> OdooPoster:
        client = OdooClient(settings_for("http://127.0.0.1:9"))
        client._http.close()
        client._http = Wire(self.app, self.loop, self.late, iter(faults))  # pyright: ignore[reportAttributeAccessIssue]
        return OdooPoster(client, base_url="http://odoo", journal="WEB")

    def run(self, wanted: dict[str, str], faults: list[Any]) -> None:
        plan, poster = plan_for(self.engine, amounts(wanted)), self.poster(faults)
        try:
            apply(plan, self.engine, poster, now=NOW, actor="ann", run_id="run", pause=lambda _: None)
        except (Killed, PostingStoppedError, ErpUnavailable, RejectedByErp):
            return

    def deliver_what_is_late(self) -> None:
        wire = Wire(self.app, self.loop, self.late, iter(()))
        while self.late:
            wire.carried(self.late.pop())

    def deal_with_drafts(self) -> None:
        """What a person does who is told of a draft with other lines than are wanted now: cancel it, and say so.

        Lines that arrive after their entry was given up leave such a draft. Nothing else may need a person.
        """
        for row in outbox.postings(self.engine, states=["failed"]):
            if row.erp_document and row.error_code == "posted_drift":
                move, reason = int(row.erp_document), "lines that came late"
                assert self.data.records["account.move"][move]["state"] == "draft"
                self.data.change("account.move", move, state="cancel")
                acknowledge_cancelled(
                    self.engine, self.poster([]), row.posting_key, now=NOW, actor="bob", reason=reason
                )

    def posted(self) -> list[tuple[str, Decimal]]:
        """Key and fees of every entry that is posted."""
        keys = {record["res_id"]: record["name"] for record in self.data.records["ir.model.data"].values()}
        fees: dict[int, Decimal] = defaultdict(Decimal)
        for line in self.data.records["account.move.line"].values():
            if line["account_id"] == self.ids["6100"]:
                fees[line["move_id"]] += Decimal(str(line["debit"])) - Decimal(str(line["credit"]))
        moves = self.data.records["account.move"].values()
        return [(keys[move["id"]], fees[move["id"]]) for move in moves if move["state"] == "posted"]

    def close(self) -> None:
        self.engine.dispose()
        self.loop.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "template"
    folder.mkdir()
    open_store(f"sqlite:///{folder / 'operations.sqlite'}").dispose()
    return folder


FAULT = st.sampled_from(
    [None, None, None, "lost", "late", "arrives", "answer lost", "twice", 429, 503, 504, "dies before", "dies after"]
)
VERSION = st.sampled_from(["1", "2", "3", None])
ROUND = st.tuples(st.fixed_dictionaries(dict.fromkeys(ENTRIES, VERSION)), st.lists(FAULT, max_size=20))


# They take a sixth of a second each; more than a thousand have been run.
@settings(max_examples=15)
@given(rounds=st.lists(ROUND, min_size=1, max_size=4))
@example(
    rounds=[
        ({"a": "2", "b": "2", "c": "1"}, [None, "dies before"]),
        ({"a": "1", "b": "2", "c": "1"}, [None, None, "late", "dies before"]),
        ({"a": "1", "b": "1", "c": "1"}, ["arrives"]),
    ]
)
def test_any_schedule_ends_in_the_desired_ledger(
    template: Path, tmp_path_factory: pytest.TempPathFactory, rounds: list[Any]
) -> None:
    """Goal 9 at an ERP that posts in several calls: drafts, claims and late requests included."""
    folder = tmp_path_factory.mktemp("run") / "world"
    shutil.copytree(template, folder)
    world = World(folder)
    try:
        for versions, faults in rounds:
            world.run({entry: amount for entry, amount in versions.items() if amount}, faults)
            assert all(count == 1 for count in Counter(key for key, _ in world.posted()).values())
        final = {entry: amount for entry, amount in rounds[-1][0].items() if amount}
        for _ in range(4):
            world.run(final, [])
            world.deliver_what_is_late()
            world.deal_with_drafts()
        assert plan_for(world.engine, amounts(final)).items == ()
        assert all(count == 1 for count in Counter(key for key, _ in world.posted()).values())
        books: dict[str, Decimal] = defaultdict(Decimal)
        for key, amount in world.posted():
            books[key.partition("#")[0]] += amount
        assert {entry: amount for entry, amount in books.items() if amount} == {
            entry: Decimal(amount) for entry, amount in final.items()
        }
        assert outbox.postings(world.engine, states=["sent"]) == []
        assert verify(world.engine, None, {"erp_main": world.poster([])}) == []
    finally:
        world.close()
