"""A small set of books in the simulated Odoo, and posters for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from starlette.applications import Starlette

from retail_assets.erp.factory import odoo_poster
from retail_assets.erp.odoo import OdooPoster
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.sandbox.erpnext import Fault
from retail_assets.sandbox.odoo import OdooData, create_app
from retail_assets.settings import Erp, instance_of
from tests.erp.books import DE, US
from tests.support.server import running

KEY = "canary-key"
_CHART = (("1100", "Web customers"), ("1250", "Stripe clearing"), ("4000", "Sales"), ("6100", "Payment fees"))


@dataclass(frozen=True)
class Odoo:
    """A running simulated Odoo and a poster for it."""

    url: str
    app: Starlette
    data: OdooData
    erp: Erp
    client: OdooClient
    poster: OdooPoster
    ids: dict[str, int]

    def fault(self, path: str, **fault: Any) -> None:
        """Make a request to ``<model>.<method>`` go wrong."""
        self.app.state.faults.waiting.append(Fault(path=path, **fault))

    def moves(self, state: str | None = None) -> list[dict[str, Any]]:
        """The entries there are, in the given state."""
        moves = self.data.records["account.move"].values()
        return [move for move in moves if state in (None, move["state"])]

    def lines(self, move: int) -> list[dict[str, Any]]:
        return [line for line in self.data.records["account.move.line"].values() if line["move_id"] == move]

    def renewed(self) -> "Odoo":
        """The books as they were in the beginning, with the journal, and a poster that knows nothing of them yet."""
        for records in self.data.records.values():
            records.clear()
        self.data._ids.clear()
        self.ids.clear()
        self.ids.update(fill(self.data))
        self.app.state.faults.waiting.clear()
        poster = odoo_poster(self.erp)
        poster.prepare()
        return replace(self, poster=poster)

    def lock(self, **days: str | None) -> None:
        """Set lock dates of the American company."""
        self.data.change("res.company", self.ids[US], **days)


def block_for(url: str, **changes: Any) -> dict[str, Any]:
    """The database as retail.yaml would have it."""
    block = {"id": "erp_main", "system": "odoo", "base_url": url, "database": "books", "retries": 0, "login": "reader"}
    return {**block, "api_key": KEY, **changes}


def settings_for(url: str, **changes: Any) -> Erp:
    """The same, checked."""
    return instance_of("erps", block_for(url, **changes))


def fill(data: OdooData) -> dict[str, int]:
    """Two companies with a chart and, in one of them, an account in another currency; ids by name or code."""
    ids = {code: data.add("res.currency", name=code) for code in ("USD", "EUR")}
    ids["GBP"] = data.add("res.currency", name="GBP", active=False)
    for company, currency in ((US, "USD"), (DE, "EUR")):
        ids[company] = owner = data.add("res.company", name=company, currency_id=ids[currency])
        for code, name in _CHART:
            made = data.add("account.account", code=code, name=name, company_id=owner, deprecated=False)
            ids.setdefault(code, made)
    ids["1251"] = data.add("account.account", code="1251", name="Stripe clearing EUR", company_id=ids[US],
                           currency_id=ids["EUR"], deprecated=False)  # fmt: skip
    data.add("account.account", code="9000", name="Old", company_id=ids[US], deprecated=True)
    return ids


@contextmanager
def running_odoo(*, api: str = "jsonrpc", prepared: bool = True, timeout: float = 10, **faults: Any) -> Iterator[Odoo]:
    """The simulated Odoo over HTTP: series 17, or 19 where JSON-2 is asked."""
    data = OdooData(**faults)
    ids = fill(data)
    app = create_app(data, key=KEY, series=19 if api == "json2" else 17)
    with running(app) as url:
        erp = settings_for(url, api=api, timeout_seconds=timeout)
        poster = odoo_poster(erp)
        if prepared:
            poster.prepare()
        client = OdooClient(erp)
        yield Odoo(url, app, data, erp, client, poster, ids)
        poster.close()
        client.close()
