"""The catalogue: everything has an owner, and the page says what is so."""

import json
from pathlib import Path
from typing import Any

import pytest

from retail_assets.commands.catalogue import catalogue_page, unowned
from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import PROJECT

SEEDS = PROJECT / "seeds"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"


@pytest.fixture(scope="module")
def manifest(project: Compiled) -> dict[str, Any]:
    return json.loads((project.warehouse.home / "dbt" / "manifest.json").read_text(encoding="utf-8"))


def test_everything_is_owned(manifest: dict[str, Any]) -> None:
    """A contract, mapping, mart, exception type or dashboard that fails at night, and nobody answers for it."""
    assert unowned(manifest, SEEDS) == []


def test_what_nobody_owns_is_named(manifest: dict[str, Any]) -> None:
    """A search for owners that finds everything owned, whatever there is."""
    exposure = next(iter(manifest["exposures"].values()))
    orphan = {**exposure, "label": "Nobody's", "owner": {"name": None, "email": None}}
    assert unowned({**manifest, "exposures": {"exposure.orphan": orphan}}, SEEDS) == ["Nobody's"]


def test_the_page_is_current(manifest: dict[str, Any]) -> None:
    """A page of last year's contracts and dependants: run `retail catalogue > docs/catalogue.md`."""
    assert PAGE.read_text(encoding="utf-8") == catalogue_page(manifest, SEEDS)


def test_a_change_of_orders_is_told_to_whom_it_concerns(manifest: dict[str, Any]) -> None:
    """Dependants that end at the first model: the journals that hang on an order would not be named."""
    (line,) = [row for row in catalogue_page(manifest, SEEDS).splitlines() if "| `raw_woocommerce.orders` |" in row]
    assert "`stg_woocommerce__orders`" in line
    assert "`acc_journal_lines`" in line
