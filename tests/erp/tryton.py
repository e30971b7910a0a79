"""Books in a real Tryton, entries for them, and a line to it on which everything can go wrong."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from retail_assets.erp.protocol import JournalEntry, JournalLine
from retail_assets.erp.tryton import TrytonPoster
from retail_assets.erp.tryton_client import TrytonClient
from retail_assets.http import HttpStatusError, HttpUnavailableError
from retail_assets.settings import Erp, instance_of
from tests.erp import books
from tests.support.tryton import COMPANY, DATABASE, LOGIN, PASSWORD, RunningTryton, running_tryton

DAY = date(2026, 3, 15)
RECEIVABLE = "1.2.1"
_TYPES = {
    "1250": "Cash and Cash Equivalents",
    "1251": "Cash and Cash Equivalents",
    "4000": "Revenue",
    "6100": "Selling, General and Administrative expenses",
    "6910": "Finance costs",
}


def settings(url: str, **options: Any) -> Erp:
    block = {"base_url": url, "database": DATABASE, "login": LOGIN, "password": PASSWORD, "retries": 0}
    return instance_of("erps", {"id": "erp_main", "system": "tryton", **block, **options})


@dataclass
class Line:
    """The HTTP client of a poster with the faults of a schedule, one for each request; then there are no more.

    ``lost`` and ``answer lost`` break off before or after the request is carried out, a number is what a proxy answers
    instead, ``twice`` delivers the request a second time and answers with what that one got. ``before`` is called with
    each request, before it is carried out.
    """

    client: TrytonClient
    faults: Iterator[Any] = field(default_factory=lambda: iter(()))
    before: Callable[[Callable[[], Any]], None] = lambda _: None
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._http = self.client._http
        self.client._http = self  # pyright: ignore[reportAttributeAccessIssue]

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        self.before(lambda: self._http.request(method, path, **arguments))
        fault = next(self.faults, None)
        if fault == "lost":
            raise HttpUnavailableError("lost")
        if fault in (429, 503):
            raise HttpStatusError(fault, path, b"busy", {"Retry-After": "7"})
        body = arguments.get("data") or arguments.get("json")
        self.sent.append(body if isinstance(body, str) else str(body))
        response = self._http.request(method, path, **arguments)
        if fault == "twice":
            response = self._http.request(method, path, **arguments)
        if fault == "answer lost":
            raise HttpUnavailableError("answer lost")
        if fault == 502:
            raise HttpStatusError(502, path, b"bad gateway", {})
        return response

    def close(self) -> None:
        self._http.close()


@dataclass
class TrytonErp:
    """A running server with our accounts, and a poster for it."""

    server: RunningTryton
    poster: TrytonPoster
    line: Line

    def poster_with(self, *faults: Any, before: Callable[[Callable[[], Any]], None] = lambda _: None) -> TrytonPoster:
        """A poster, signed in, whose next requests meet these faults."""
        client = TrytonClient(settings(self.server.url))
        client._session, client._user = self.poster._client._session, self.poster._client._user
        Line(client, iter(faults), before)
        return TrytonPoster(client, web_address=f"{self.server.url}/#{DATABASE}")

    def knowing(self, *faults: Any, before: Callable[[Callable[[], Any]], None] = lambda _: None) -> TrytonPoster:
        """Likewise, and it knows companies, accounts and periods: the next request is the posting itself."""
        poster = self.poster_with(*faults, before=before)
        for name in ("_companies", "_currencies", "_charts", "_periods", "_journal", "_party"):
            setattr(poster, name, getattr(self.poster, name))
        return poster

    def moves(self, *domain: Any) -> list[dict[str, Any]]:
        """Our moves: id, key, state."""
        ours = ["platform_ref", "!=", None]
        return self.server.call(
            "model.account.move.search_read", [ours, *domain], 0, None, None, ["platform_ref", "state"], {}
        )


@contextmanager
def running_erp(template: Path, folder: Path) -> Iterator[TrytonErp]:
    """A server on a copy of the filled database, with the accounts of the tests' ledgers."""
    with running_tryton(template, folder) as server:
        _create_accounts(server)
        client = TrytonClient(settings(server.url))
        line = Line(client)
        poster = TrytonPoster(client, web_address=f"{server.url}/#{DATABASE}")
        poster.prepare()
        yield TrytonErp(server, poster, line)
        poster.close()


def _create_accounts(server: RunningTryton) -> None:
    read = "search_read"
    types = server.call(f"model.account.account.type.{read}", [], 0, None, None, ["name"], {})
    type_of = {row["name"]: row["id"] for row in types}
    (dollar,) = server.call(f"model.currency.currency.{read}", [["code", "=", "USD"]], 0, None, None, ["id"], {})
    accounts = [{"code": code, "name": code, "company": 1, "type": type_of[name]} for code, name in _TYPES.items()]
    accounts[1]["second_currency"] = dollar["id"]
    server.call("model.account.account.create", accounts, {"company": 1})


def line(account: str, debit: str = "0", credit: str = "0", currency: str = "EUR", rate: str = "1") -> JournalLine:
    return books.line(account, debit, credit, currency, rate)


SALE_LINES = (line("1250", debit="33.33"), line("4000", credit="30.00"), line("6100", credit="3.33"))


def entry(key: str, *lines: JournalLine, day: date = DAY) -> JournalEntry:
    return JournalEntry(key, "DE", COMPANY, day, "EUR", f"Sale {key}", lines or SALE_LINES)


def booked(server: RunningTryton, account: str = "6100") -> Mapping[str, Decimal]:
    """What the books hold of each entry on an account: posted debits minus credits, over all its revisions."""
    domain = [["account.code", "=", account], ["move.state", "=", "posted"], ["move.platform_ref", "!=", None]]
    fields = ["debit", "credit", "move.platform_ref"]
    totals: dict[str, Decimal] = {}
    for row in server.call("model.account.move.line.search_read", domain, 0, None, None, fields, {"company": 1}):
        entry_id = row["move."]["platform_ref"].partition("#")[0]
        amount = _amount(row["debit"]) - _amount(row["credit"])
        totals[entry_id] = totals.get(entry_id, Decimal(0)) + amount
    return {entry_id: total for entry_id, total in totals.items() if total}


def _amount(value: dict[str, str]) -> Decimal:
    return Decimal(value["decimal"])
