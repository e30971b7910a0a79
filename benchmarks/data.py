"""What the benches read: made from the sandbox, large enough to measure, the same bytes every time."""

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from retail_assets.sandbox import adyen, paypal
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.ledgers import GatewayLedger, LedgerPayout, Movement

#: Orders that the generator makes; larger files repeat them under new ids.
GENERATED: Final = 10_000
_ID: Final = re.compile(rb'^\{"id":\s*(\d+)')
_START: Final = int(datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp())
_ROWS_WRITTEN: Final = 10_000


@contextmanager
def orders_file(number: int) -> Iterator[Path]:
    """WooCommerce orders as JSON, one a line, each with an id of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.jsonl"
        bodies = order_bodies(Path(folder), min(number, GENERATED))
        with path.open("wb") as file:
            for position in range(number):
                body = bodies[position % len(bodies)]
                file.write(_ID.sub(b'{"id":%d' % (position + 1), body, count=1) + b"\n")
        yield path


def order_bodies(folder: Path, number: int) -> list[bytes]:
    """Orders of all stores as the sandbox's stores send them."""
    generate(folder, orders=number)
    bodies = []
    for path in sorted((folder / "sandbox").glob("*.sqlite")):
        with sqlite3.connect(path) as connection:
            if connection.execute("select 1 from sqlite_master where name = 'orders'").fetchone():
                bodies += [body.encode() for (body,) in connection.execute("select body from orders order by id")]
    return bodies


@contextmanager
def adyen_file(rows: int) -> Iterator[Path]:
    """A folder with one settlement details report of about so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        (report,) = adyen.write_files(_ledger("adyen_eu", "EUR"), Path(folder))
        header, *lines = report.read_text(encoding="utf-8").splitlines(keepends=True)
        # Only the references of the lines have to differ; the batch's own lines stay as they are.
        with report.open("w", encoding="utf-8") as file:
            file.write(header)
            for copy in range(-(-rows // len(lines))):
                file.writelines(_renumbered(line, copy) for line in lines)
        yield Path(folder)


@contextmanager
def paypal_file(rows: int) -> Iterator[Path]:
    """A folder with one settlement report of about so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        (report,) = paypal.write_files(_ledger("paypal_us", "USD"), Path(folder))
        lines = report.read_text(encoding="utf-8").splitlines(keepends=True)
        body = [line for line in lines if line.startswith('"SB"')]
        copies = -(-rows // len(body))
        with report.open("w", encoding="utf-8") as file:
            file.writelines(lines[:4])
            for copy in range(copies):
                file.writelines(_renumbered(line, copy) for line in body)
            file.writelines(_times(line, copies) for line in lines[4 + len(body) :])
        yield Path(folder)


def _times(footer: str, copies: int) -> str:
    """A footer whose totals and counts are of so many copies."""
    return re.sub(r"(?<=,)\d+(?=[,\n])", lambda found: str(int(found[0]) * copies), footer)


def _renumbered(line: str, copy: int) -> str:
    """The line under references of its own: PSP references and transaction ids are runs of 16 and 17 signs."""
    return re.sub(r"\b([0-9A-Z]{3})[0-9A-Z]{4}([0-9A-Z]{9,10})\b", rf"\g<1>{copy:04X}\2", line)


def _ledger(gateway_id: str, currency: str) -> GatewayLedger:
    sales = tuple(
        Movement(
            serial,
            "sale",
            _START + serial % 3600,
            1000 + serial % 90_000,
            30 + serial % 100,
            order_id=serial,
            order_number=str(serial),
            order_key=f"wc_order_{serial:013}",
            email=f"customer{serial}@example.test",
            country="DE",
            payout=1,
        )
        for serial in range(1, _ROWS_WRITTEN + 1)
    )
    amount = sum(sale.net for sale in sales)
    payout = LedgerPayout(1, _START + 7200, date(2026, 9, 3), amount)
    return replace(GatewayLedger(gateway_id, currency, "UTC", "", sales, (payout,)))
