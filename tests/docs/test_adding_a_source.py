"""docs/adding-a-source.md, followed to the letter in a copy of the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from retail_assets.sandbox import bank as bank_files
from retail_assets.sandbox import settlement_file as files
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement
from retail_assets.settings import instance_of

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "adding-a-source.md"
AT = 1793534400  # 2026-11-01 12:00 UTC


def blocks() -> Iterator[tuple[str, str]]:
    """(the file that a code block is for, its content)."""
    for language, content in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        first, _, rest = content.partition("\n")
        yield first.lstrip("#- ").strip(), rest if language == "yaml" else content


def configured(section: str) -> dict[str, dict[str, Any]]:
    """The blocks of one section of ``retail.yaml`` on the page, by id."""
    found = [yaml.safe_load(content) for name, content in blocks() if name == "retail.yaml"]
    return {block["id"]: block for document in found for block in document.get(section, ())}


def ledger(gateway_id: str, currency: str) -> GatewayLedger:
    """A sale and a refund that were paid out, and a sale that was not."""
    movements = (
        Movement(1, "sale", AT, 125_050, 1_250, 11, "1001", payout=1),
        Movement(2, "refund", AT + 60, -5_000, 0, 11, "1001", refund_of=1, payout=1),
        Movement(3, "sale", AT + 120, 2_000, 20, 12, "1002"),
    )
    payouts = (LedgerPayout(1, AT + 3600, date(2026, 11, 4), 118_800),)
    return GatewayLedger(gateway_id, currency, "Europe/Berlin", "LH-", movements, payouts)


def test_the_examples_are_the_ones_that_are_tried() -> None:
    """The page showed a mapping that nobody had run; the sandbox's files had another."""
    gateways = configured("gateways")
    assert gateways["northbank"]["mapping"] == files.ACQUIRER_MAPPING
    assert gateways["swift_courier"]["mapping"] == files.COURIER_MAPPING
    assert gateways["swift_courier"]["file_name_pattern"] == files.COURIER_PATTERN
    assert configured("banks")["bank_csv"]["mapping"] == bank_files.CSV_MAPPING
    assert instance_of("banks", configured("banks")["bank_csv"]).system == "csv"


def apply(checkout: Path) -> None:
    """Do what the page says, and nothing else."""
    config = checkout / "data" / "retail.yaml"
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    for name, content in blocks():
        if name == "retail.yaml":
            for section, items in yaml.safe_load(content).items():
                document[section].extend(items)
        elif name.startswith("dbt_project/dbt_project.yml"):
            project = checkout / "dbt_project" / "dbt_project.yml"
            text = project.read_text(encoding="utf-8")
            assert text.count("  gateway_systems:\n") == 1
            project.write_text(text.replace("  gateway_systems:\n", "  gateway_systems:\n" + content), encoding="utf-8")
        else:
            path = checkout / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
    config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def test_the_page_can_be_followed(tmp_path: Path) -> None:
    """The page left something out: a new gateway needed a change in a place that nobody had named."""
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    # The marts are left out for speed: nothing that is looked at here depends on them.
    ignored = shutil.ignore_patterns("target", "logs", "marts", "semantic", "_unit_*.yml")
    for folder in ("retail_assets", "dbt_project", "data"):
        shutil.copytree(CHECKOUT / folder, checkout / folder, ignore=ignored)
    apply(checkout)
    files.write_files(ledger("northbank", "EUR"), home / "inbox" / "northbank")
    files.write_remittances(ledger("swift_courier", "USD"), home / "inbox" / "swift_courier")
    (home / "inbox" / "prepaid_de").mkdir()
    (home / "inbox" / "prepaid_de" / "20261101.jsonl").write_text(
        '{"id": "x1", "kind": "sale", "cents": 1050, "fee_cents": 50, "currency": "eur", "at": 1793534400}\n'
        '{"id": "x2", "kind": "levy", "cents": -100, "fee_cents": 0, "currency": "eur", "at": 1793534401}\n'
        '{"id": "x3", "kind": "sale", "cents": "none", "fee_cents": 0, "currency": "eur", "at": 1793534401}\n'
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "RETAIL_HOME": str(home),
        "RETAIL_CONFIG": str(checkout / "data" / "retail.yaml"),
        "RETAIL_AS_OF": "2026-11-05T12:00:00Z",
        "SANDBOX_URL": "http://127.0.0.1:1",
    }
    script = Path(__file__).with_name("follow.py")
    command = [sys.executable, str(script), "northbank", "swift_courier", "prepaid_de"]
    run = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout[run.stdout.index('{"lines"') :])
    sale, refund, unpaid = (files.line_id_of(movement) for movement in ledger("x", "EUR").movements)
    payment = files.payment_id_of(ledger("x", "EUR").movements[0])
    assert found["lines"] == [
        ["northbank", sale, "charge", payment, "EUR", "1238.0000"],
        ["northbank", refund, "refund", refund, "EUR", "-50.0000"],
        ["northbank", unpaid, "charge", files.payment_id_of(ledger("x", "EUR").movements[2]), "EUR", "19.8000"],
        ["northbank", "payout-S000001", "payout", "S000001", "EUR", "-1188.0000"],
        ["prepaid_de", "x1", "charge", "x1", "EUR", "10.0000"],
        ["prepaid_de", "x2", "unknown", "x2", "EUR", "-1.0000"],
        ["swift_courier", sale, "charge", sale, "USD", "1238.0000"],
        ["swift_courier", refund, "refund", refund, "USD", "-50.0000"],
        ["swift_courier", "payout-S000001", "payout", "S000001", "USD", "-1188.0000"],
    ]
    assert found["payouts"] == [
        ["northbank:S000001", "1188.0000", "2026-11-04"],
        ["swift_courier:S000001", "1188.0000", "2026-11-04"],
    ]
