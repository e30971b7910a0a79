"""A simulated Klarna account through dlt into the warehouse."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from retail_assets.http import HttpStatusError
from retail_assets.sandbox.klarna import create_app, write_reports
from retail_assets.settings import instance_of
from retail_assets.sources.klarna import build, examine
from retail_assets.sources.klarna.client import KlarnaClient, UnexpectedAnswerError
from tests.sandbox.test_adyen import LEDGER
from tests.sources.loading import Home
from tests.support.server import running

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def gateway(url: str, key: str = "key") -> Any:
    block = {"id": "klarna_eu", "system": "klarna", "entity": "DE", "bank": "bank_de", "base_url": url}
    login = {"username": "user", "password": key, "retries": 0}
    return instance_of("gateways", {**block, **login, "stores": [{"store": "shop_de"}]})


def test_payouts_are_read_with_all_they_hold_and_once(home: Home) -> None:
    """Transactions beyond the first page were lost, equal ones fell together, or a second reading doubled them."""
    fees = [replace(LEDGER.movements[3], serial=1000 + number) for number in range(520)]
    ledger = replace(LEDGER, movements=(*LEDGER.movements, *fees))
    with running(create_app(ledger, "user", "key", NOW)) as url:
        assert examine(gateway(url), Path()) == f"answers at {url}"
        counts = home.load("klarna", "klarna_eu", lambda intake: build(gateway(url), intake, Path()))["payouts"]
        before = home.content("klarna")
        home.load("klarna", "klarna_eu", lambda intake: build(gateway(url), intake, Path()))
    assert home.content("klarna") == before
    assert (counts.received, counts.loaded) == (533, 533)
    equal = "select count(*), count(distinct id) from raw_klarna.transactions where detailed_type = 'SERVICING_FEE'"
    assert home.query(equal) == [(521, 521)]


def test_a_wrong_password_is_told() -> None:
    """A doctor that finds all well with a password that opens nothing."""
    with running(create_app(LEDGER, "user", "key", NOW)) as url, pytest.raises(HttpStatusError, match="401"):
        examine(gateway(url, "other"), Path())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"transactions": [], "pagination": {"count": 0, "total": 7}}, "ends after 0"),
        ({"payouts": []}, "did not answer with a list"),
        ([], "did not answer with a list"),
    ],
)
def test_an_answer_that_is_not_complete_is_refused(body: Any, reason: str) -> None:
    """A list that broke off was taken for the whole payout."""

    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(body)

    with running(Starlette(routes=[Route("/{path:path}", endpoint)])) as url:
        client = KlarnaClient(gateway(url))
        with pytest.raises(UnexpectedAnswerError, match=reason):
            list(client.pages("transactions", {}))


def reports() -> Any:
    block = {"id": "klarna_files", "system": "klarna_reports", "entity": "DE", "bank": "bank_de"}
    return instance_of("gateways", {**block, "folder": "klarna_files", "stores": [{"store": "shop_de"}]})


def loaded(home: Home, folder: Path) -> Any:
    return home.load("klarna", "klarna_files", lambda intake: build(reports(), intake, folder))["report_lines"]


def test_a_report_says_the_same_as_the_api(home: Home, tmp_path: Path) -> None:
    """Amounts, times or ids of a report that differ from the API made other lines of the same payout."""
    write_reports(LEDGER, tmp_path / "inbox", NOW)
    loaded(home, tmp_path / "inbox")
    with running(create_app(LEDGER, "user", "key", NOW)) as url:
        home.load("klarna", "klarna_eu", lambda intake: build(gateway(url), intake, Path()))
    told = """
        select payment_reference, id, cast(amount as varchar) as amount, capture_date, merchant_reference1
        from raw_klarna.transactions order by all
    """
    reported = """
        select
            payment_reference,
            type || '/' || order_id || '/' || coalesce(nullif(capture_id, ''), refund_id) || '/' || detailed_type
            || '/' || occurrence,
            cast(cast(amount * 100 as bigint) as varchar),
            strftime(capture_date, '%Y-%m-%dT%H:%M:%SZ'),
            merchant_reference1
        from raw_klarna.report_lines order by all
    """
    assert home.query(told) == home.query(reported)
    totals = "select distinct payment_reference, cast(settlement_amount * 100 as bigint) from raw_klarna.report_lines"
    assert sorted(home.query(totals)) == sorted(
        home.query("select payment_reference, settlement_amount from raw_klarna.payouts")
    )


def test_a_new_version_of_a_report_replaces_the_old(home: Home, tmp_path: Path) -> None:
    """Rows that a corrected report no longer has stayed beside the new ones."""
    path = write_reports(LEDGER, tmp_path, NOW)[0]
    before = loaded(home, tmp_path).loaded
    *lines, _ = path.read_text().splitlines()
    path.write_text("\n".join(lines))
    loaded(home, tmp_path)
    assert home.one("select count(*) from raw_klarna.report_lines") == before - 1


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda lines: lines[2:], "switch the total section on"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "holds the totals of 2 payouts"),
        (lambda lines: [lines[0], "", *lines[2:]], "holds the totals of 0 payouts"),
        (
            lambda lines: [*lines[:2], lines[2].replace("amount", "betrag"), *lines[3:]],
            "has no column type, order_id, amount",
        ),
    ],
    ids=["without totals", "several payouts", "empty totals", "other columns"],
)
def test_a_report_whose_payout_is_unclear_is_quarantined_whole(
    home: Home, tmp_path: Path, edit: Any, reason: str
) -> None:
    """Transactions were put to no payout, or to another than theirs."""
    good, path = write_reports(LEDGER, tmp_path, NOW)
    path.write_text("\n".join(edit(path.read_text().splitlines())))
    counts = loaded(home, tmp_path)
    assert counts.quarantined == 1
    assert home.query("select distinct file_name from raw_klarna.report_lines") == [(good.name,)]
    assert reason in str(home.quarantined())


def test_a_payout_without_a_day_is_refused_by_its_rows(home: Home, tmp_path: Path) -> None:
    """A date in a form of its own, which the report configurator allows, went on to break the models."""
    path = write_reports(LEDGER, tmp_path, NOW)[0]
    head, totals, *rows = path.read_text().splitlines()
    values = totals.split(";")
    values[head.split(";").index("payout_date")] = "03/11/2026"
    path.write_text("\n".join([head, ";".join(values), *rows]))
    counts = loaded(home, tmp_path)
    assert counts.quarantined == len(rows) - 1
    assert "is not a date and time such as" in str(home.quarantined())
