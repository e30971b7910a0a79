"""What every source has to show before it is trusted: the cases that sources hand to the one acceptance suite.

A source has ``tests/sources/<system>/acceptance.py`` with ``CASES``: one for each variant that it declares. The suite
(``test_acceptance_of_*.py``) finds them by itself; a new source passes it without a change there.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retail_assets.contracts import SYSTEMS
from retail_assets.sandbox.generator import generate
from retail_assets.settings import Instance
from retail_assets.sources.intake import Counts
from tests.sources.loading import Home

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ApiCase:
    """A source that reads an API.

    Attributes:
        variant: the ``system`` of its block in retail.yaml.
        section: the section of retail.yaml.
        app: makes a fake of the system; its argument is an empty folder for whatever it keeps.
        block: the block of retail.yaml without ``base_url``; secrets are written out.
        wrong: settings that make the credentials of the block wrong.
        expected: gives raw table → rows after the first load; tables that are left out must be empty.
        path: what follows the server's address in ``base_url``.
        records_of: the lists of records in a decoded answer; by default the answer itself or the lists it holds.
        own_times: columns in which a load notes when it took place itself.
    """

    variant: str
    section: str
    app: Callable[[Path], ASGIApp]
    block: Mapping[str, Any]
    wrong: Mapping[str, Any]
    expected: Callable[[], Mapping[str, int]]
    path: str = ""
    records_of: Callable[[Any], list[list[Any]]] | None = None
    own_times: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileCase:
    """A source that reads file drops.

    Attributes:
        variant: the ``system`` (of a bank: the ``format``) of its block in retail.yaml.
        section: the section of retail.yaml.
        drop: writes at least two files into a folder.
        block: the block of retail.yaml.
        expected: gives raw table → rows after all files are read; tables that are left out must be empty.
        keeps_every_file: the rows of each file stay as it was sent, and the models decide which of two versions holds.
    """

    variant: str
    section: str
    drop: Callable[[Path], Any]
    block: Mapping[str, Any]
    expected: Callable[[], Mapping[str, int]]
    keeps_every_file: bool = False


def all_cases(kind: type) -> list[Any]:
    """Every case of one kind that the sources hand in, as pytest parameters."""
    found = []
    for path in sorted(_FOLDER.glob("*/acceptance.py")):
        module = import_module(f"tests.sources.{path.parent.name}.acceptance")
        found += [case for case in module.CASES if isinstance(case, kind)]
    return [pytest.param(case, id=case.variant) for case in found]


def load(home: Home, instance: Instance, inbox: Path) -> Mapping[str, Counts]:
    """One load as the orchestrator does it."""
    package = import_module(f"retail_assets.sources.{instance.source}")
    return home.load(instance.source, instance.id, lambda intake: package.build(instance, intake, inbox))


def row_counts(home: Home, system: str, *, without_file: str | None = None) -> dict[str, int]:
    """Rows of each raw table of a system that has any; those of one file may be left out."""
    if without_file is None:
        return {name: len(rows) for name, rows in home.content(system).items() if rows}
    counted = {
        table.name: home.one(f'select count(*) from "{table.schema}"."{table.name}" where file_name <> ?', without_file)
        for table in SYSTEMS[system].tables
    }
    return {name: number for name, number in counted.items() if number}


@cache
def small_world() -> Path:
    """The home of a small simulated retailer, made once per process; sources may serve its systems."""
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="retail-world-"))
    generate(home, orders=60, days=30)
    return home


@dataclass
class Wire:
    """An ASGI middleware between source and system: counts requests, breaks answers, and edits records.

    ``fail_from``: from this request on (1 is the first) every one gets 500. ``rude``: request number → "429", "500" or
    "truncated". ``edit`` changes each record of an answer in place.
    """

    app: ASGIApp
    records_of: Callable[[Any], list[list[Any]]] | None = None
    requests: int = 0
    fail_from: int | None = None
    rude: dict[int, str] = field(default_factory=dict)
    edit: Callable[[list[Any]], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.requests += 1
        manner = self.rude.get(self.requests)
        if self.fail_from is not None and self.requests >= self.fail_from:
            manner = "500"
        if manner in ("429", "500"):
            await self._refuse(int(manner), send)
            return
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            else:
                body += message.get("body", b"")

        await self.app(scope, receive, collect)
        if self.edit is not None and start["status"] == 200:
            body = self._edited(body)
        await send({**start, "headers": _with_length(start["headers"], len(body))})
        if manner == "truncated":
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            send.__self__.transport.close()  # pyright: ignore[reportFunctionMemberAccess] - uvicorn's connection
            return
        await send({"type": "http.response.body", "body": body})

    def _edited(self, body: bytes) -> bytes:
        try:
            document = json.loads(body)
        except ValueError:
            return body
        for records in (self.records_of or lists_of)(document):
            assert self.edit is not None
            self.edit(records)
        return json.dumps(document, ensure_ascii=False).encode()

    async def _refuse(self, status: int, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"message": "not now"}'})


def lists_of(document: Any) -> Iterator[list[Any]]:
    """The lists of records of an answer: itself, or the lists of objects directly below it."""
    if isinstance(document, list):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                yield value


def _with_length(headers: Any, length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]
