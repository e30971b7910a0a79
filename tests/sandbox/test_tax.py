"""The simulated tax engines must answer, and refuse, as the real ones do."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from retail_assets.sandbox.tax import create_avatax_app, create_taxjar_app, write_remittances, write_stripe_report
from tests.sources.loading import NOW
from tests.sources.tax.documents import COMPANY, LICENSE, TOKEN, filed, sale, some
from tests.support.server import running

PATH = "api/v2/companies/CEDAR_-ava2f-_US%20_-ava2b-_%20Co/transactions"
DOCUMENTS = [
    sale(20, NOW.date() - timedelta(days=200), status="Adjusted"),
    sale(20, NOW.date() - timedelta(days=200), 12_000, version=2, locked=True),
    sale(21, NOW.date() - timedelta(days=2), status="Cancelled"),
    *some(7),
]


@pytest.fixture(scope="module")
def avatax() -> Iterator[str]:
    with running(
        create_avatax_app(DOCUMENTS, company_code=COMPANY, account_id="2000", license_key=LICENSE, now=NOW)
    ) as url:
        yield url


@pytest.fixture(scope="module")
def taxjar() -> Iterator[str]:
    with running(create_taxjar_app(DOCUMENTS, api_token=TOKEN)) as url:
        yield url


def ask(url: str, path: str = PATH, **query: Any) -> requests.Response:
    """AvaTax's list; ``filter=…`` stands for ``$filter=…``."""
    named = {f"${name}": value for name, value in query.items()}
    return requests.get(f"{url}/{path}", params=named, auth=("2000", LICENSE), timeout=10)


def jar(url: str, path: str, token: str = f"Bearer {TOKEN}", **query: Any) -> requests.Response:
    """TaxJar's API, for what the plugin recorded."""
    headers = {"Authorization": token}
    return requests.get(
        f"{url}/v2/transactions/{path}", params={"provider": "woo", **query}, headers=headers, timeout=10
    )


def test_without_a_date_only_thirty_days_are_listed(avatax: str) -> None:
    """A loader that forgets the date finds out in the sandbox, not at the end of the year."""
    assert ask(avatax).json()["@recordsetCount"] == 9
    everything = ask(avatax, filter="date ge '2000-01-01'").json()
    assert everything["@recordsetCount"] == 11
    assert "@nextLink" not in everything
    assert [one["version"] for one in everything["value"] if one["code"] == "wc-1020"] == [1, 2]
    assert all(one["summary"] is None for one in everything["value"])


def test_pages_and_filters_of_avatax(avatax: str) -> None:
    """Skip, top, the next link, conditions; a filter that cannot be read is refused, not left out."""
    first = ask(avatax, filter="date ge '2000-01-01'", top=4, include="SummaryOnly", orderBy="id ASC").json()
    assert len(first["value"]) == 4
    assert "%24skip=4" in first["@nextLink"]
    second = ask(avatax, filter="date ge '2000-01-01'", top=4, skip=8, orderBy="id ASC").json()
    assert len(second["value"]) == 3
    returned = ask(avatax, filter="type eq 'ReturnInvoice' and date ge '2026-10-01'", include="Lines,Summary").json()
    (body,) = returned["value"]
    assert (body["totalAmount"], body["totalTax"], body["code"]) == (-20.0, -1.7, "wc-1007-refund-9001")
    assert [(line["jurisType"], line["tax"]) for line in body["summary"]] == [("State", -0.8), ("City", -0.9)]
    assert ask(avatax, filter="date ge '2026-01-01' or x").status_code == 400
    assert ask(avatax, top="many").status_code == 400


def test_avatax_refuses_strangers(avatax: str) -> None:
    """A wrong key and a foreign company, in Avalara's words."""
    refused = requests.get(f"{avatax}/{PATH}", auth=("2000", "wrong"), timeout=10)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "AuthenticationException")
    assert requests.get(f"{avatax}/{PATH}", timeout=10).status_code == 401
    assert ask(avatax, PATH.replace("US", "DE")).json()["error"]["code"] == "EntityNotFoundError"


def test_taxjar_lists_ids_and_shows_one(taxjar: str) -> None:
    """Lists hold ids alone; what was deleted is gone; amounts are text; other providers have nothing."""
    listed = jar(taxjar, "orders", from_transaction_date="2026/10/15", to_transaction_date="2026/10/25").json()
    assert listed == {"orders": ["1001", "1002", "1003"]}
    assert jar(taxjar, "orders", provider="api").json() == {"orders": []}
    refund = jar(taxjar, "refunds/9001", token=f'Token token="{TOKEN}"').json()["refund"]
    assert (refund["transaction_reference_id"], refund["amount"], refund["sales_tax"]) == ("1007", "-20.0", "-1.7")
    assert jar(taxjar, "orders/1020").json()["order"]["amount"] == "120.0"
    for path in ("orders/1021", "orders/9001", "elsewhere"):
        assert jar(taxjar, path).json()["status"] == 404
    assert jar(taxjar, "orders", from_transaction_date="yesterday").status_code == 400
    assert jar(taxjar, "orders", token="Bearer wrong").json()["error"] == "Unauthorized"


def test_files_have_the_same_bytes_and_the_right_sums(tmp_path: Path) -> None:
    """A report that changes from run to run is loaded anew each time; one that does not foot proves nothing."""
    reports = write_stripe_report(DOCUMENTS, tmp_path / "a"), write_stripe_report(reversed(DOCUMENTS), tmp_path / "b")
    assert [path.read_bytes() for path in reports[0]] == [path.read_bytes() for path in reports[1]]
    assert [path.name[-11:] for path in reports[0]] == ["2026-04.csv", "2026-10.csv", "2026-11.csv"]
    rows = [line.split(",") for path in reports[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    expected = sum(document.tax for document in DOCUMENTS if document.status == "Committed")
    column = reports[0][0].read_text(encoding="utf-8").split("\n")[0].split(",").index("tax_amount")
    assert sum(Decimal(row[column]) for row in rows) == Decimal(expected) / 100
    written = write_remittances(filed(), tmp_path / "c")
    assert [path.name for path in written] == ["returns_2026-q2.csv", "returns_2026-q3.csv"]
    assert written[1].read_text(encoding="utf-8").splitlines()[2].endswith("USD,1234.56,5.00,1229.56")
    assert not list(tmp_path.rglob("*.part"))
