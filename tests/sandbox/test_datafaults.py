"""Bad data on demand: present where a loader will meet it, and nowhere else."""

from decimal import Decimal
from pathlib import Path

import pytest
import requests
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from retail_assets.sandbox.datafaults import (
    IMPOSSIBLE_AMOUNTS,
    corrupt_bank_file,
    impossible_order,
    mend_order,
    planted_faults,
)
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.server import running_server
from tests.sandbox.conftest import CREDENTIALS, State
from tests.sandbox.test_woocommerce import key_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A small world that may be damaged."""
    generate(tmp_path, orders=60, days=30)
    return tmp_path


def test_a_corrupt_bank_file_is_added_to_good_ones(home: Path) -> None:
    """The broken file is a copy: no good statement may be lost for the others to chain."""
    before = {path.name: path.read_bytes() for path in (home / "inbox" / "bank_de").iterdir()}
    first, second = corrupt_bank_file(home, "bank_de"), corrupt_bank_file(home, "bank_de")
    after = {path.name: path.read_bytes() for path in (home / "inbox" / "bank_de").iterdir()}
    assert set(after) - set(before) == {first.name, second.name}
    assert {name: after[name] for name in before} == before
    for path in (first, second):
        with pytest.raises(etree.XMLSyntaxError):
            etree.parse(path)
    assert [fault["what"] for fault in planted_faults(home)] == [
        f"broken bank file {first.name}",
        f"broken bank file {second.name}",
    ]


@pytest.mark.parametrize("total", IMPOSSIBLE_AMOUNTS)
def test_an_impossible_order_is_served_as_new(home: Path, total: str) -> None:
    """It must reach an incremental load: its modification date is the newest."""
    newest = max(order["date_modified_gmt"] for order in State(home).rows("aoi_jp", "orders"))
    with running_server(home, CREDENTIALS) as server:
        order_id = impossible_order(home, "aoi_jp", total)
        url = f"{server.url}/aoi_jp/wp-json/wc/v3/orders"
        query = {"modified_after": newest, "dates_are_gmt": "true"}
        (order,) = requests.get(url, params=query, auth=key_of("aoi_jp"), timeout=10).json()
    assert (order["id"], order["total"], order["status"]) == (order_id, total, "pending")
    assert order["_links"]["self"][0]["href"].endswith(f"/orders/{order_id}")


def test_a_mended_order_is_newer_still(home: Path) -> None:
    """Correcting the order at the source must reach the loader after the bad version did."""
    order_id = impossible_order(home, "cedar_us")
    (bad,) = State(home).rows("cedar_us", "orders", f"id = {order_id}")
    mend_order(home, "cedar_us", order_id)
    (good,) = State(home).rows("cedar_us", "orders", f"id = {order_id}")
    assert good["date_modified_gmt"] > bad["date_modified_gmt"]
    assert Decimal(good["total"]) > 0
    assert planted_faults(home) == []
    with pytest.raises(ValueError, match="no impossible order"):
        mend_order(home, "cedar_us", order_id)


def test_unknown_places_are_refused(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A typo must not damage something else."""
    with pytest.raises(ValueError, match="no bank"):
        corrupt_bank_file(home, "bank_xx")
    with pytest.raises(ValueError, match="no store"):
        impossible_order(home, "shop_xx")
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(FileNotFoundError):
        impossible_order(empty, "cedar_us")
    with pytest.raises(FileNotFoundError):
        corrupt_bank_file(empty, "bank_de")
