"""The sandbox's PayPal: true limits and errors of the API, files whose footers are right."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from retail_assets.sandbox import paypal
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from tests.support.server import running

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
ID, SECRET = "client", "secret-canary"
AT = int(datetime(2026, 10, 31, 23, 30, tzinfo=UTC).timestamp())


def ledger(currency: str = "JPY") -> GatewayLedger:
    """A sale, its refund, a chargeback with a fee that is booked apart, a sweep; and a sale an hour ago."""
    movements = (
        Movement(1, "sale", AT, 9_573, 345, 501, "1001", payout=1),
        Movement(2, "refund", AT + 60, -573, 0, refund_of=1, payout=1),
        Movement(3, "chargeback", AT + 3_600, -1_000, 500, refund_of=1, payout=1),
        Movement(4, "sale", int(NOW.timestamp()) - 3_600, 100, 10, 502, "1002"),
    )
    payouts = (LedgerPayout(1, AT + 7_200, datetime(2026, 11, 2, tzinfo=UTC).date(), 7_155),)
    return GatewayLedger("paypal_jp", currency, "Asia/Tokyo", "JP-", movements, payouts)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(paypal.create_app(ledger(), ID, SECRET, NOW)) as address:
        yield address


def token(url: str) -> dict[str, str]:
    answer = requests.post(
        f"{url}/v1/oauth2/token", auth=(ID, SECRET), data={"grant_type": "client_credentials"}, timeout=5
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def ask(url: str, start: datetime, end: datetime, **more: Any) -> requests.Response:
    params = {"start_date": start.isoformat(), "end_date": end.isoformat(), **more}
    return requests.get(f"{url}/v1/reporting/transactions", params, headers=token(url), timeout=5)


def test_only_the_credentials_open_it(url: str) -> None:
    """A loader that forgot to sign, or signed wrongly, was never found out."""
    wrong = requests.post(f"{url}/v1/oauth2/token", auth=(ID, "x"), data={"grant_type": "x"}, timeout=5)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert requests.get(f"{url}/v1/reporting/balances", timeout=5).status_code == 401


def test_windows_pages_and_what_is_not_there_yet(url: str) -> None:
    """The sandbox was milder than PayPal: windows of any length, no lag, pages counted from nought."""
    start = NOW - timedelta(days=20)
    answer = ask(url, start, NOW, page_size=2, page=2, fields="all").json()
    assert (answer["total_items"], answer["total_pages"], answer["page"]) == (5, 3, 2)
    assert answer["last_refreshed_datetime"] == "2026-11-05T09:00:00+0000"
    third, fourth = (detail["transaction_info"] for detail in answer["transaction_details"])
    assert third["transaction_amount"] == {"currency_code": "JPY", "value": "-1000"}
    assert (third["transaction_event_code"], fourth["transaction_event_code"]) == ("T1201", "T0106")
    assert fourth["paypal_reference_id"] == third["transaction_id"]
    assert ask(url, start, NOW, page_size=501).status_code == 400
    assert ask(url, start - timedelta(days=12), NOW).json()["message"] == "Date range is greater than 31 days"
    missing = "Data for the given start date is not available."
    for begin in (NOW - timedelta(hours=2), NOW - timedelta(days=4 * 365)):
        assert ask(url, begin, begin + timedelta(hours=1)).json()["message"] == missing


def test_too_many(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESULTSET_TOO_LARGE never came, so that nobody ever split a window."""
    monkeypatch.setattr(paypal, "MAXIMUM_ITEMS", 4)
    answer = ask(url, NOW - timedelta(days=20), NOW)
    error = answer.json()
    assert (answer.status_code, error["name"], error["maximum_items"]) == (400, "RESULTSET_TOO_LARGE", 4)


def test_balances_add_up(url: str) -> None:
    """A balance that its own lines contradict."""
    answer = requests.get(f"{url}/v1/reporting/balances", headers=token(url), timeout=5).json()
    assert answer["balances"][0]["available_balance"] == {"currency_code": "JPY", "value": "0"}
    assert answer["as_of_time"] == "2026-11-05T09:00:00Z"


def test_files_are_by_local_day_in_hundredths_and_add_up(tmp_path: Path) -> None:
    """Yen by ISO's digits, days in UTC, or footers that no row supports."""
    written = paypal.write_files(ledger(), tmp_path)
    assert [path.name for path in written] == [f"STL-202611{day}.01.009.CSV" for day in ("01", "05")]
    rows = list(csv.reader(written[0].read_text("utf-8-sig").splitlines()))
    (header,) = [row for row in rows if row[0] == "CH"]
    lines = [dict(zip(header, row, strict=True)) for row in rows if row[0] == "SB"]
    assert [line["Transaction Event Code"] for line in lines] == ["T0006", "T1107", "T1201", "T0106", "T0401"]
    assert lines[0]["Gross Transaction Amount"] == "957300"
    assert lines[0]["Transaction Initiation Date"] == "2026/11/01 08:30:00 +0900"
    (footer,) = [row for row in rows if row[0] == "SF"]
    assert footer[:6] == ["SF", "JPY", "957300", str(57_300 + 100_000 + 50_000 + 715_500), "0", "34500"]
    assert footer[-1] == "5"
    again = paypal.write_files(ledger(), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_names_are_made_from_the_movement_alone() -> None:
    """The ground truth named lines that the loaders then call otherwise."""
    sale, refund, chargeback, _ = ledger().movements
    assert paypal.line_id_of(sale) == f"{paypal.payment_id_of(sale)}:T0006:CR:20261031233000"
    assert paypal.line_id_of(refund) == f"{paypal.refund_id_of(refund)}:T1107:DR:20261031233100"
    assert [line.split(":")[1] for line in paypal.line_ids_of(chargeback)] == ["T1201", "T0106"]
    assert paypal.dispute_id_of(chargeback) == paypal.payment_id_of(sale)
    ids = {paypal.payment_id_of(Movement(serial, "sale", AT, 1, 0)) for serial in range(1, 2_000)}
    assert len(ids) == 1_999
    assert {len(name) for name in ids} == {17}
