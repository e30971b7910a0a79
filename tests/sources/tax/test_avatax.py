"""An AvaTax company through dlt into the warehouse."""

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retail_assets.http import HttpStatusError
from retail_assets.sandbox.tax import TaxDocument, avatax_id_of, create_avatax_app
from retail_assets.sources.intake import Counts
from retail_assets.sources.tax import build, examine
from retail_assets.sources.tax.avatax import UnexpectedAnswerError, _converted, _pattern, escaped
from tests.sources.loading import NOW, Home
from tests.sources.tax.documents import COMPANY, LICENSE, avatax, sale, some
from tests.support.server import running

DAY = timedelta(days=1)


class Company:
    """A company whose documents change between loads."""

    def __init__(self, documents: list[TaxDocument]) -> None:
        self.documents = documents
        self.queries: list[dict[str, str]] = []
        self.edit: Callable[[dict[str, Any]], None] = lambda _: None
        self.page_size = 1000

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.queries.append(query)
        real = create_avatax_app(
            self.documents, company_code=COMPANY, account_id="2000123456", license_key=LICENSE, now=NOW
        )
        scope = {**request.scope, "app": None, "root_path": ""}
        sent: list[Any] = []

        async def collect(message: Any) -> None:
            sent.append(message)

        await real(scope, request.receive, collect)
        status, body = sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:])
        if status == 200:
            document = json.loads(body, parse_float=Decimal)
            document["value"] = document["value"][: self.page_size]
            self.edit(document)
            body = json.dumps(document, default=float).encode()
        return Response(body, status, media_type="application/json")


@contextmanager
def served(documents: list[TaxDocument]):
    company = Company(documents)
    with running(company.app()) as url:
        yield company, avatax(url)


def load(home: Home, engine: Any) -> Counts:
    counts: Mapping[str, Counts] = home.load("tax", engine.id, lambda intake: build(engine, intake, Path("none")))
    return counts["avatax_transactions"]


def test_documents_and_their_tax_by_jurisdiction(home: Home) -> None:
    """A return that counts as a sale, tax that is rounded through a float, a code that names no order."""
    with served(some()) as (company, engine):
        assert examine(engine, Path("none"))
        assert load(home, engine).loaded == 8
        load(home, engine)
    assert company.queries[1]["$filter"] == "date ge '2000-01-01'"
    assert "modifiedDate ge" in company.queries[2]["$filter"]
    assert home.query(
        "select code, document_type, total_amount, total_tax, order_reference, refund_reference "
        "from raw_tax.avatax_transactions where document_date >= '2026-11-04' order by id"
    ) == [
        ("wc-1007", "SalesInvoice", Decimal(100), Decimal("8.5"), "1007", None),
        ("wc-1007-refund-9001", "ReturnInvoice", Decimal(-20), Decimal("-1.7"), "1007", "9001"),
    ]
    assert home.query(
        "select position, country, region, juris_type, rate, taxable, tax from raw_tax.avatax_summaries "
        f"where transaction_id = {avatax_id_of(company.documents[-1])} order by position"
    ) == [
        (1, "US", "NY", "State", Decimal("0.04"), Decimal(-20), Decimal("-0.8")),
        (2, "US", "NY", "City", Decimal("0.045"), Decimal(-20), Decimal("-0.9")),
    ]


def test_every_page_is_read_however_short_the_server_makes_them(home: Home) -> None:
    """A server that sends fewer than asked for ends the walk early; the default filter hides all but 30 days."""
    documents = [*some(7), sale(20, NOW.date() - 400 * DAY)]
    with served(documents) as (company, engine):
        company.page_size = 3
        assert load(home, engine).loaded == 9
        assert [query["$skip"] for query in company.queries] == ["0", "3", "6"]
        company.page_size = 0
        with pytest.raises(Exception, match="names 9 documents, but brought 0") as failed:
            load(Home(_made(home.path / "other")), engine)
        assert isinstance(failed.value.__cause__.__cause__, UnexpectedAnswerError)  # pyright: ignore


def test_an_adjusted_document_keeps_both_revisions(home: Home) -> None:
    """An adjustment that replaces the revision that was filed, or is never seen."""
    first = sale(1, NOW.date() - 60 * DAY)
    with served([first]) as (company, engine):
        load(home, engine)
        changed = first.modified + 50 * 86_400
        company.documents[:] = [
            sale(1, first.day, status="Adjusted", modified=changed),
            sale(1, first.day, 12_000, version=2, modified=changed),
        ]
        assert load(home, engine).received == 2
    assert home.query("select version, status, total_amount from raw_tax.avatax_transactions order by version") == [
        (1, "Adjusted", Decimal(100)),
        (2, "Committed", Decimal(120)),
    ]
    assert home.one("select count(*) from raw_tax.avatax_summaries") == 4


def test_what_changes_without_saying_so_is_found_within_the_look_back(home: Home) -> None:
    """A document that filing locked without touching modifiedDate stayed open for ever, or every run read all anew."""
    recent, old = sale(1, NOW.date() - 5 * DAY), sale(2, NOW.date() - 100 * DAY)
    with served([recent, old]) as (company, engine):
        load(home, engine)
        company.documents[:] = [
            sale(1, recent.day, locked=True, modified=recent.modified),
            sale(2, old.day, locked=True, modified=old.modified),
        ]
        assert [load(home, engine).received for _ in range(2)] == [1, 1]
        home.loads += 24
        company.queries.clear()
        load(home, engine)
        assert [query["$filter"] for query in company.queries][1] == "date ge '2026-09-22'"
    assert home.query("select id % 1000 // 100, locked from raw_tax.avatax_transactions order by id") == [
        (1, True),
        (2, False),
    ]


def test_a_jurisdiction_that_is_gone_is_gone(home: Home) -> None:
    """Tax that was recalculated for one jurisdiction fewer is counted with the one that it had before."""
    document = sale(1, NOW.date() - 5 * DAY)
    with served([document]) as (company, engine):
        load(home, engine)
        later = document.modified + 3600
        company.documents[:] = [sale(1, document.day, splits=document.splits[:1], modified=later)]
        load(home, engine)
        assert home.one("select count(*) from raw_tax.avatax_summaries") == 1


def test_a_document_that_is_unfit_stops_no_other(home: Home) -> None:
    """A broken tax by jurisdiction loads a document without its tax, or takes the page with it."""

    def spoil(answer: dict[str, Any]) -> None:
        first, second, third, fourth, *_ = answer["value"]
        first["summary"][0]["tax"] = "0.123456"
        second["summary"] = None
        third["totalTax"] = "many"
        fourth["modifiedDate"] = 7

    with served(some()) as (company, engine):
        company.edit = spoil
        counts = load(home, engine)
    assert (counts.received, counts.loaded, counts.quarantined) == (8, 4, 4)
    assert home.one("select count(*) from raw_tax.avatax_summaries") == 8
    reasons = sorted((row["field"], row["reason"]) for row in home.quarantined())
    assert [field for field, _ in reasons] == ["modified_date", "summary", "summary", "totalTax"]
    assert {reasons[1][1].split(":")[0], reasons[2][1]} == {
        "summary[0].tax",
        "the tax by jurisdiction is missing, although the document has tax",
    }


def test_a_long_first_load_is_taken_in_portions(home: Home) -> None:
    """A backfill that breaks off after hours begins anew, or what changed meanwhile is never read."""
    with served(some()) as (company, engine):
        company.page_size = 3

        def portions(intake: Any) -> Any:
            intake.portion = 4
            return build(engine, intake, Path("none"))

        home.load("tax", engine.id, portions)
        home.load("tax", engine.id, portions)
    assert home.one("select count(*) from raw_tax.avatax_transactions") == 8
    assert [query["$filter"] for query in company.queries if "modifiedDate" not in query["$filter"]][-1] == (
        "date ge '2000-01-01' and id gt 85000000601"
    )


def test_wrong_credentials_or_company_say_so(home: Home) -> None:
    """A refused key looks like a company without sales."""
    with served(some()) as (_, engine):
        for changes in ({"license_key": "wrong-canary"}, {"company_code": "OTHER"}):
            other = avatax(engine.base_url, **changes)
            with pytest.raises(HttpStatusError, match=r"HTTP 40[14]"):
                examine(other, Path("none"))


def test_codes_are_escaped_as_avalara_wants_them() -> None:
    """A company code with a slash leads to another address."""
    assert escaped("CEDAR/US + Co") == "CEDAR_-ava2f-_US%20_-ava2b-_%20Co"
    assert escaped("a%b#c?") == "a_-ava25-_b_-ava23-_c_-ava3f-_"


def test_a_pattern_that_is_none_is_named() -> None:
    """A typing mistake in retail.yaml ends in a stack trace of the re module."""
    with pytest.raises(ValueError, match=r"avatax_us: code_pattern '\(' is no regular expression"):
        _pattern(avatax("http://127.0.0.1:1", code_pattern="("))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["country", "tax", "jurisType"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled=st.dictionaries(st.sampled_from(["id", "code", "summary", "totalTax", "date", "modifiedDate"]), VALUES))
def test_whatever_a_document_holds_the_good_one_loads(spoiled: dict[str, Any]) -> None:
    """A document of a shape nobody thought of ends the run, or takes a good one with it."""
    line = {
        "country": "US",
        "region": "NY",
        "jurisType": "State",
        "tax": 1,
        "taxable": 9,
        "nonTaxable": 1,
        "exemption": 0,
    }
    body = {
        "id": 1, "code": "wc-1", "date": "2026-11-01", "status": "Committed", "type": "SalesInvoice",
        "currencyCode": "USD", "totalAmount": 10, "totalTax": 1, "totalExempt": 0, "totalTaxable": 10,
        "modifiedDate": "2026-11-01T00:00:00", "summary": [line],
    }  # fmt: skip
    good, bad = json.dumps({**body, "id": 2}).encode(), json.dumps({**body, **spoiled}).encode()

    class Door:
        instance, now = "avatax_us", NOW

    batch, _ = _converted([bad, good], _pattern(avatax("http://127.0.0.1:1")), Door, "test")  # pyright: ignore
    assert "2" in batch.loaded_keys
    assert batch.received == batch.loaded + len(batch.rejected) == 2


def _made(path: Path) -> Path:
    path.mkdir()
    return path
