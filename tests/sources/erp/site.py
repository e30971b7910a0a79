"""A small ERPNext site: lists by filter, order and offset, as Frappe answers them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from retail_assets.settings import Erp, instance_of


def settings_for(url: str, **changes: Any) -> Erp:
    """The site as retail.yaml would have it."""
    return instance_of(
        "erps",
        {
            "id": "erp_main",
            "system": "erpnext",
            "base_url": url,
            "api_key": "key",
            "api_secret": "canary-secret",
            "retries": 0,
            **changes,
        },
    )


@dataclass
class FakeSite:
    """Documents by DocType; ``custom_fields`` are those of Journal Entry."""

    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    custom_fields: tuple[str, ...] = ()
    before_page: Callable[[int], None] = lambda _number: None
    queries: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)

    def entry(self, number: int, modified: str, **changes: Any) -> None:
        """A submitted journal entry."""
        self.documents.setdefault("Journal Entry", []).append(
            {
                "name": f"JE-{number:03}",
                "company": "Cedar & Pine LLC",
                "posting_date": "2026-11-05",
                "docstatus": 1,
                "total_debit": 10.5,
                "total_credit": 10.5,
                "modified": modified,
            }
            | changes
        )

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/resource/{doctype}", self._list)])

    async def _list(self, request: Request) -> Response:
        doctype, query = request.path_params["doctype"], request.query_params
        self.keys.add(request.headers.get("authorization"))
        filters = json.loads(query.get("filters", "[]"))
        if doctype == "Custom Field":
            wanted = next(value for name, _, value in filters if name == "fieldname")
            return JSONResponse({"data": [{"name": wanted}] if wanted in self.custom_fields else []})
        fields = json.loads(query["fields"])
        known = {"platform_ref", "our_key"} - set(self.custom_fields)
        if doctype == "Journal Entry" and known & set(fields):
            return JSONResponse({"exc_type": "DataError", "exception": "Field not permitted in query"}, 417)
        found = self.documents.get(doctype, [])
        if query.get("order_by") == "modified asc, name asc":
            self.queries.append({"filters": filters, "start": int(query["limit_start"])})
            self.before_page(len(self.queries))
            found = sorted(found, key=lambda document: (document["modified"], document["name"]))
        for name, operator, value in filters:
            assert operator == ">="
            found = [document for document in found if document[name] >= value]
        # Without a limit a list has twenty documents.
        start, size = int(query.get("limit_start", 0)), int(query.get("limit_page_length", 20)) or len(found)
        page = [{name: document.get(name) for name in fields} for document in found[start : start + size]]
        return JSONResponse({"data": page})
