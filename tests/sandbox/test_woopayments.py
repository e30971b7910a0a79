"""The simulated WooPayments must page, filter, refuse and export as the plugin does."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from requests_oauthlib import OAuth1

from retail_assets.sandbox.woopayments import (
    EXPORT_COLUMNS,
    create_app,
    dispute_id_of,
    line_id_of,
    payment_id_of,
    payout_id_of,
    refund_id_of,
    write_files,
)
from tests.sources.woopayments.ledger import DAY, KEY, LEDGER, NOW, OPENED, SECRET
from tests.support.server import running

AUTH = OAuth1(KEY, SECRET, signature_method="HMAC-SHA256", signature_type="query")


def ask(url: str, path: str, **query: Any) -> requests.Response:
    return requests.get(f"{url}/wp-json/wc/v3/payments/{path}", params=query, auth=AUTH, timeout=10)


def test_lists_page_sort_and_filter() -> None:
    """Pages count from 1, newest first unless asked otherwise; a filter by date leaves out what is older."""
    with running(create_app(LEDGER, KEY, SECRET, NOW)) as url:
        newest = ask(url, "transactions", page=1, pagesize=3, sort="date").json()["data"]
        assert [one["transaction_id"] for one in newest] == [line_id_of(one) for one in reversed(LEDGER.movements[-3:])]
        oldest = ask(url, "transactions", pagesize=2, sort="date", direction="asc", page=2).json()["data"]
        assert [one["transaction_id"] for one in oldest] == [line_id_of(one) for one in LEDGER.movements[2:4]]
        assert ask(url, "transactions/summary", date_after="2026-10-01 00:00:00").json() == {"count": 4}
        assert ask(url, "deposits", sort="date").json()["total_count"] == 2
        assert ask(url, "transactions", direction="up").json()["code"] == "wcpay_bad_request"
        assert ask(url, "nothing").status_code == 404
        refused = requests.get(f"{url}/wp-json/wc/v3/payments/deposits", timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (401, "woocommerce_rest_cannot_view")


def test_records_tell_the_ledger() -> None:
    """Ids are what the pure functions say, a payout's lines add up to it, a forecast is no payout."""
    with running(create_app(LEDGER, KEY, SECRET, NOW)) as url:
        lines = {one["transaction_id"]: one for one in ask(url, "transactions", pagesize=100).json()["data"]}
        for movement in LEDGER.movements:
            line = lines[line_id_of(movement)]
            assert (line["amount"], line["fees"], line["net"]) == (movement.amount, movement.fee, movement.net)
            assert line["charge_id"] == (payment_id_of(movement) or "")
            assert refund_id_of(movement) == line["transaction_id"]
        for payout in LEDGER.payouts:
            of_payout = [line["net"] for line in lines.values() if line["deposit_id"] == payout_id_of(payout)]
            assert sum(of_payout) == payout.amount
        assert sum(line["deposit_id"].startswith("wcpay_estimated_") for line in lines.values()) == 2
        (dispute,) = ask(url, "disputes").json()["data"]
        assert (dispute["dispute_id"], dispute["status"]) == (dispute_id_of(LEDGER.movements[5]), "won")


def test_nothing_of_the_future_is_shown() -> None:
    """What happens after the simulated moment has not happened yet."""
    with running(create_app(LEDGER, KEY, SECRET, OPENED + 2 * DAY)) as url:
        assert ask(url, "transactions/summary").json() == {"count": 4}
        assert ask(url, "deposits").json() == {"data": [], "total_count": 0}
        (pending,) = ask(url, "deposits/overview-all").json()["balance"]["pending"]
        assert pending["amount"] == sum(movement.net for movement in LEDGER.movements[:4])


def test_exports_are_the_plugin_s(tmp_path: Path) -> None:
    """Columns, signs and bytes are those of the plugin's export, the same each time."""
    files = write_files(LEDGER, tmp_path / "a")
    assert [path.name for path in files] == [f"transactions_2026-{month}.csv" for month in ("09", "10", "11")]
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in write_files(LEDGER, tmp_path / "b")]
    rows = [row for path in files for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    assert tuple(rows[0]) == EXPORT_COLUMNS
    by_id = {row["Transaction Id"]: row for row in rows}
    for movement in LEDGER.movements:
        row = by_id[line_id_of(movement)]
        assert Decimal(row["Net"]) * 100 == movement.net
        if movement.kind != "fee":
            assert (Decimal(row["Amount"]) * 100, Decimal(row["Fees"]) * -100) == (movement.amount, movement.fee)
    assert by_id[line_id_of(LEDGER.movements[3])]["Fees"] == "-2.5"
