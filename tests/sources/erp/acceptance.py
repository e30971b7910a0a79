"""The ERPs' part in the acceptance suite: the simulated ERPNext and Odoo, and a real Tryton behind a relay."""

import asyncio
import atexit
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from retail_assets.sandbox import erpnext, odoo
from retail_assets.sandbox.erp_seed import ShippedLine, add_deliveries, erp_seed
from retail_assets.sandbox.profiles import ENTITIES
from retail_assets.sandbox.rates import ExchangeRates
from tests.sources.acceptance import ApiCase
from tests.support.tryton import DATABASE, LOGIN, PASSWORD, RunningTryton, running_tryton, template

_NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
_KEY, _SECRET = "acceptance-canary-key", "acceptance-canary-secret"
_CACHE = Path(__file__).resolve().parents[3] / ".pytest_cache" / "d" / "tryton"


def _erpnext(folder: Path) -> Starlette:
    company = next(iter(ENTITIES.values())).company
    days = _NOW.date() - timedelta(days=10), _NOW.date()
    seed = erp_seed(ExchangeRates(*days, Random(1)), days[0], Random(1))
    shipped = [
        ShippedLine(company, "1001", "MUG-1", 2, datetime(2026, 11, 3, 9, 30)),  # noqa: DTZ001 - the ERP's own time
        ShippedLine(company, "1001", "MUG-1", 1, datetime(2026, 11, 4, 9, 30), is_return=True),  # noqa: DTZ001
        ShippedLine(company, "1002", "MUG-2", 1, datetime(2026, 11, 4, 10), tracking_number="1Z"),  # noqa: DTZ001
    ]
    seed = add_deliveries(seed, shipped, reserved={"MUG-1": 5})
    return erpnext.create_app(folder / "erp.sqlite", seed, _KEY, _SECRET, clock=lambda: _NOW)


def _erpnext_expected() -> Mapping[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        app = _erpnext(Path(folder))
        app.state.site.close()
        with closing(sqlite3.connect(Path(folder) / "erp.sqlite")) as state:
            tables = {"accounts": "Account", "sales_invoices": "Sales Invoice", "exchange_rates": "Currency Exchange"}
            counted = {
                name: state.execute(f'select count(*) from "{doctype}"').fetchone()[0]
                for name, doctype in tables.items()
            }
    # Two products received, three lines shipped or returned.
    return {**counted, "stock_levels": 2, "stock_movements": 5, "deliveries": 3, "delivery_lines": 3}


def _odoo(_: Path) -> ASGIApp:
    data = odoo.OdooData(lambda: _NOW)
    odoo.fill_books(data)
    return odoo.create_app(data, key=_KEY)


def _odoo_expected() -> Mapping[str, int]:
    return {
        "accounts": 4, "journals": 1, "journal_entries": 4, "gl_entries": 9, "sales_invoices": 2, "payments": 1,
        "exchange_rates": 1, "stock_levels": 1, "stock_movements": 3, "deliveries": 2, "delivery_lines": 2,
    }  # fmt: skip


@cache
def _server() -> RunningTryton:
    """One Tryton for the whole process: nothing of the suite changes it."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return stack.enter_context(running_tryton(template(_CACHE), Path(folder)))


def _tryton(_: Path) -> ASGIApp:
    """A relay to the server."""

    async def relay(request: Request) -> Response:
        body = await request.body()
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        address = f"{_server().url}{request.url.path}"
        answer = await asyncio.to_thread(requests.request, request.method, address, data=body, headers=headers)
        return Response(answer.content, answer.status_code, {"content-type": answer.headers["content-type"]})

    return Starlette(routes=[Route("/{path:path}", relay, methods=["GET", "POST"])])


def _tryton_expected() -> Mapping[str, int]:
    models = {
        "accounts": "account.account", "journals": "account.journal", "journal_entries": "account.move",
        "gl_entries": "account.move.line", "sales_invoices": "account.invoice",
        "exchange_rates": "currency.currency.rate", "stock_movements": "stock.move",
    }  # fmt: skip
    server = _server()
    counted = {name: server.call(f"model.{model}.search_count", [], {"company": 1}) for name, model in models.items()}
    return {**counted, "stock_levels": 1, "deliveries": 3, "delivery_lines": 3}


CASES = [
    ApiCase(
        variant="erpnext",
        section="erps",
        app=_erpnext,
        block={"id": "erp_main", "system": "erpnext", "api_key": _KEY, "api_secret": _SECRET},
        wrong={"api_secret": "wrong-canary"},
        expected=_erpnext_expected,
    ),
    ApiCase(
        variant="odoo",
        section="erps",
        app=_odoo,
        block={"id": "erp_odoo", "system": "odoo", "database": "books", "login": "reader", "api_key": _KEY},
        wrong={"api_key": "wrong-canary"},
        expected=_odoo_expected,
    ),
    ApiCase(
        variant="tryton",
        section="erps",
        app=_tryton,
        block={"id": "erp_tryton", "system": "tryton", "database": DATABASE, "login": LOGIN, "password": PASSWORD},
        wrong={"password": "wrong-canary"},
        expected=_tryton_expected,
    ),
]
