"""The simulated ERPNext over HTTP: real paths, token authentication, error bodies, and faults on request."""

import asyncio
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from retail_assets.sandbox.erpnext_schema import DOCTYPES
from retail_assets.sandbox.erpnext_site import Document, Refusal, Site

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_PAGE: Final = 20
_USER: Final = "Administrator"
_WRITES: Final = frozenset({"POST", "PUT", "DELETE"})


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong with requests.

    Attributes:
        at: ``before_commit`` undoes the work first, ``after_commit`` lets it stand.
        action: ``drop`` breaks the connection off, ``hang`` waits ``seconds`` and then answers, ``status`` answers with
            ``status`` instead.
        method: only requests with this method; None for any.
        path: only requests whose path contains this.
        skip: how many such requests pass before it starts.
        times: how many it then hits.
    """

    at: Literal["before_commit", "after_commit"] = "before_commit"
    action: Literal["drop", "hang", "status"] = "drop"
    method: str | None = None
    path: str = ""
    skip: int = 0
    times: int = 1
    status: int = 503
    seconds: float = 0
    retry_after: int | None = None


@dataclass(slots=True)
class Faults:
    """The faults waiting to happen, in order; the first that fits a request hits it."""

    waiting: list[Fault] = field(default_factory=list)

    def hit(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, if any; it is used up once."""
        for fault in self.waiting:
            if (fault.method in (None, method)) and fault.path in path:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


class _LostResponse(Response):
    """An answer that breaks off after its head, which makes the server close the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})


class _UndoError(Exception):
    """Rolls the transaction back although nothing is wrong with it."""


def create_app(
    database: Path,
    seed: Mapping[str, Any],
    api_key: str,
    api_secret: str,
    *,
    clock: Callable[[], datetime] | None = None,
    forbidden: Collection[str] = (),
) -> Starlette:
    """The simulated ERPNext as an ASGI application that can be mounted anywhere.

    Args:
        database: SQLite file with its state; filled from ``seed`` when it is made.
        seed: ``companies`` (name, abbr, currency, country), ``accounts`` (company, account_number, account_name,
            root_type, account_type, account_currency, is_group), ``exchange_rates`` (date, from_currency, to_currency,
            exchange_rate) and ``sales_invoices`` (company, customer, posting_date, currency, grand_total, po_no,
            is_return, return_against: number or po_no of an earlier invoice); with stock also what
            ``erp_seed.add_deliveries`` adds.
        clock: the site's time (aware UTC); the real one if left out.
        forbidden: document types that the user may not read.

    Returns:
        The application; ``app.state.faults`` and ``PUT /_sandbox/erp_faults`` (a list of ``Fault``) make it fail.
    """
    site = Site(database, seed, clock)
    endpoint = _Endpoint(site, Faults(), f"token {api_key}:{api_secret}", frozenset(forbidden))

    @asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        site.close()

    app = Starlette(
        routes=[
            Route("/_sandbox/erp_faults", endpoint.set_faults, methods=["PUT"]),
            Route("/api/method/{method}", endpoint.method, methods=["GET", "POST"]),
            Route("/api/resource/{doctype}", endpoint.collection, methods=["GET", "POST"]),
            Route("/api/resource/{doctype}/{name:path}", endpoint.document, methods=["GET", "PUT", "DELETE"]),
        ],
        lifespan=lifespan,
    )
    app.state.site, app.state.faults = site, endpoint.faults
    return app


class _Endpoint:
    def __init__(self, site: Site, faults: Faults, authorization: str, forbidden: frozenset[str]) -> None:
        self._site = site
        self._forbidden = forbidden
        self.faults = faults
        self._authorization = authorization.encode()

    async def set_faults(self, request: Request) -> Response:
        """Replace the waiting faults."""
        try:
            self.faults.waiting[:] = msgspec.json.decode(await request.body(), type=list[Fault])
        except msgspec.DecodeError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"waiting": len(self.faults.waiting)})

    async def method(self, request: Request) -> Response:
        """``/api/method/…``."""
        name = request.path_params["method"]
        return await self._answer(request, lambda body: {"message": self._call(name, body)})

    async def collection(self, request: Request) -> Response:
        """A list, or a new document."""
        doctype = request.path_params["doctype"]
        if request.method == "POST":
            return await self._answer(request, lambda body: {"data": self._site.insert(doctype, body)})
        return await self._answer(request, lambda query: {"data": self._page(doctype, query)})

    async def document(self, request: Request) -> Response:
        """One document."""
        doctype, name = request.path_params["doctype"], request.path_params["name"]
        if request.method == "PUT":
            return await self._answer(request, lambda body: {"data": self._site.update(doctype, name, body)})
        if request.method == "DELETE":
            return await self._answer(request, lambda _: self._delete(doctype, name), status=202)
        return await self._answer(request, lambda _: {"data": self._site.fetch(doctype, name)})

    def _call(self, name: str, body: Document) -> Any:
        if name == "frappe.auth.get_logged_user":
            return _USER
        if name == "frappe.client.insert_many":
            return self._site.insert_many(_nested(body.get("docs")) or [])
        if name == "frappe.client.get_count":
            return self._site.count(str(body.get("doctype")), _nested(body.get("filters")))
        if name == "frappe.client.cancel":
            return self._site.update(str(body.get("doctype")), str(body.get("name")), {"docstatus": 2})
        if name == "frappe.client.submit":
            document = _nested(body.get("doc")) or {}
            return self._site.update(str(document.get("doctype")), str(document.get("name")), {"docstatus": 1})
        raise Refusal("ValidationError", f"Failed to get method for command {name}")

    def _page(self, doctype: str, query: Document) -> list[Document]:
        kind = DOCTYPES.get(doctype)
        if doctype in self._forbidden or (kind and kind.child_of and query.get("parent") != kind.child_of):
            message = f"User <strong>{_USER}</strong> does not have doctype access via role permission for document "
            raise Refusal("PermissionError", f"{message}<strong>{doctype}</strong>", status=403)
        return self._site.find(
            doctype,
            fields=_nested(query.get("fields")) or ["name"],
            filters=_nested(query.get("filters")),
            order_by=query.get("order_by"),
            start=int(query.get("limit_start") or 0),
            length=int(query.get("limit_page_length") or query.get("limit") or 0)
            if "limit_page_length" in query or "limit" in query
            else _PAGE,
        )

    def _delete(self, doctype: str, name: str) -> Document:
        self._site.delete(doctype, name)
        return {"data": "ok"}

    async def _answer(self, request: Request, work: Callable[[Document], Document], status: int = 200) -> Response:
        sent = await request.body()
        refused = self._refuse_stranger(request)
        if refused:
            return refused
        fault = self.faults.hit(request.method, request.url.path)
        try:
            arguments = {**request.query_params, **(_DECODER.decode(sent) if sent else {})}
            response = _encoded(self._work(request.method, work, arguments, fault), status)
        except _UndoError:
            response = _encoded({}, status)
        except Refusal as refusal:
            response = _error(refusal)
        except (msgspec.DecodeError, json.JSONDecodeError, TypeError, ValueError) as error:
            response = _error(Refusal("ValidationError", f"{error}"))
        return response if fault is None else await spoilt(fault, response)

    def _work(
        self, method: str, work: Callable[[Document], Document], arguments: Document, fault: Fault | None
    ) -> Document:
        # Everything happens within this call, so the site sees one request at a time.
        if method not in _WRITES:
            return work(arguments)
        with self._site.transaction():
            answer = work(arguments)
            if fault and fault.at == "before_commit":
                raise _UndoError
        return answer

    def _refuse_stranger(self, request: Request) -> Response | None:
        given = request.headers.get("Authorization", "")
        if not given:
            message = "You are not permitted to access this resource. Login to access"
            return _error(Refusal("PermissionError", message, status=403))
        if not secrets.compare_digest(given.encode(), self._authorization):
            return _error(Refusal("AuthenticationError", "", status=401))
        return None


async def spoilt(fault: Fault, response: Response) -> Response:
    """The answer as the fault leaves it."""
    if fault.action == "drop":
        return _LostResponse()
    if fault.action == "hang":
        await asyncio.sleep(fault.seconds)
        return response
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Response(b"<html><body>Service unavailable</body></html>", fault.status, headers, media_type="text/html")


def _nested(value: Any) -> Any:
    """Parameters arrive as JSON text in a query and as values in a body."""
    return _DECODER.decode(value) if isinstance(value, str) else value


def _encoded(content: Any, status: int = 200) -> Response:
    return Response(_ENCODER.encode(content), status, media_type="application/json")


def _error(refusal: Refusal) -> Response:
    content = {
        "exception": refusal.exception.removesuffix(": "),
        "exc_type": refusal.kind,
        "exc": json.dumps([f"Traceback (most recent call last):\n{refusal.exception}\n"]),
    }
    if refusal.message:
        shown = {"message": refusal.message, "title": "Message", "indicator": "red", "raise_exception": 1}
        content["_server_messages"] = json.dumps([json.dumps(shown)])
    return _encoded(content, refusal.status)
