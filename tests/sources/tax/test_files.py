"""Stripe's tax report and filed returns in folders, through dlt into the warehouse."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.contracts import table
from retail_assets.mapping import MappingError
from retail_assets.sandbox.tax import write_remittances, write_stripe_report
from retail_assets.settings import TaxEngine, instance_of
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.feeds import Feed, open_feed, read_feed
from retail_assets.sources.files import DroppedFile
from retail_assets.sources.intake import Counts
from retail_assets.sources.tax import build, examine
from tests.sources.loading import NOW, Home
from tests.sources.tax.documents import filed, sale, some

STRIPE = instance_of("tax", {"id": "stripe_tax_us", "system": "stripe_tax", "entity": "US", "folder": "tax"})
RETURNS = instance_of("tax", {"id": "returns_us", "system": "remittance_file", "entity": "US", "folder": "returns"})


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, engine: TaxEngine, inbox: Path) -> Counts:
    counts: Mapping[str, Counts] = home.load("tax", engine.id, lambda intake: build(engine, intake, inbox))
    (only,) = counts.values()
    return only


def test_each_line_item_and_jurisdiction_is_a_row_once(home: Home, inbox: Path) -> None:
    """Reports of overlapping periods, or one that was made again, double the tax; two rows of one rate become one."""
    twice = sale(9, NOW.date() - timedelta(days=2))
    documents = [
        *some(4),
        sale(9, twice.day, splits=(twice.splits[0], twice.splits[0])),
        sale(10, twice.day, splits=()),
    ]
    write_stripe_report(documents, inbox)
    assert examine(STRIPE, inbox) == f"2 files in {inbox}"
    assert load(home, STRIPE, inbox).loaded == 13
    content = home.content("tax")
    for path in list(inbox.iterdir()):
        again = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.with_name(f"zz_{path.name}").write_text(again[0] + "".join(reversed(again[1:])), encoding="utf-8-sig")
    load(home, STRIPE, inbox)
    kept = [[row[:-3] for row in rows] for rows in (content["stripe_tax_rows"], home.content("tax")["stripe_tax_rows"])]
    assert sorted(kept[0], key=repr) == sorted(kept[1], key=repr)
    assert home.query(
        "select type, currency, state_code, jurisdiction_level, subtotal, tax_amount, order_reference, occurrence "
        "from raw_tax.stripe_tax_rows where type = 'refund' or line_item_id like '%9' order by 1, 4, 8"
    ) == [
        ("payment_intent", "usd", "NY", "state", Decimal(100), Decimal(4), "1009", 1),
        ("payment_intent", "usd", "NY", "state", Decimal(100), Decimal(4), "1009", 2),
        ("refund", "usd", "NY", "city", Decimal(-20), Decimal("-0.9"), "1004", 1),
        ("refund", "usd", "NY", "state", Decimal(-20), Decimal("-0.8"), "1004", 1),
    ]


def test_a_report_with_decimal_commas(home: Home, inbox: Path) -> None:
    """The parameter decimal_separator turns 8,50 into 850, or into a file of faults."""
    (inbox / "report.csv").write_text(
        "id;line_item_id;type;currency;transaction_date;country_code;state_code;jurisdiction_level;jurisdiction_name;"
        "subtotal;tax_amount;invoice_metadata[order_id];refund_metadata[order_id]\n"
        "in_1;li_1;invoice;eur;2026-10-31 23:30:00;DE;;country;Germany;1234,50;234,56;;77\n",
        encoding="utf-8",
    )
    engine = instance_of("tax", {**STRIPE.model_dump(), "decimal_separator": ","})
    assert load(home, engine, inbox).loaded == 1
    assert home.query("select subtotal, tax_amount, order_reference from raw_tax.stripe_tax_rows") == [
        (Decimal("1234.50"), Decimal("234.56"), "77")
    ]


def test_a_report_without_jurisdictions_is_refused_until_it_is_made_again(home: Home, inbox: Path) -> None:
    """A report with other columns loads as tax of nowhere; the refusal does not say how to make a good one."""
    report = inbox / "report.csv"
    report.write_text("id,type,currency,subtotal,tax_amount\nin_1,invoice,usd,1.00,0.10\n", encoding="utf-8")
    for _ in range(2):
        counts = load(home, STRIPE, inbox)
        assert (counts.received, counts.loaded, counts.quarantined) == (1, 0, 1)
    (refused,) = home.quarantined()
    assert "it lacks the columns line_item_id, transaction_date, country_code" in refused["reason"]
    report.unlink()
    write_stripe_report(some(1), inbox)
    for path in inbox.iterdir():
        path.replace(report)
    load(home, STRIPE, inbox)
    assert home.quarantined() == []


def test_returns_filed_and_paid(home: Home, inbox: Path) -> None:
    """A return that is paid later is counted twice; one that is there twice with two amounts is settled by chance."""
    write_remittances(filed(), inbox)
    assert load(home, RETURNS, inbox).loaded == 3
    (inbox / "later.csv").write_text(
        "Jurisdiction,Period Start,Period End,Currency,Due Amount,Paid-Amount,Reference\n"
        "US-CA,2026-07-01,2026-09-30,USD,99.00,94.00,\n"
        "US-CA,2026-07-01,2026-09-30,USD,99.00,,\n"
        "New York,2026-07-01,2026-09-30,USD,1.00,,\n",
        encoding="utf-8",
    )
    counts = load(home, RETURNS, inbox)
    assert (counts.received, counts.loaded, counts.quarantined) == (3, 1, 2)
    assert home.query("select jurisdiction, due_amount, paid_amount from raw_tax.remittances order by 1, 2") == [
        ("US-CA", Decimal(88), Decimal(88)),
        ("US-CA", Decimal(99), Decimal(94)),
        ("US-NY", Decimal("1234.56"), Decimal("1229.56")),
    ]
    assert {(row["field"], row["reason"].split(" (")[0][:20]) for row in home.quarantined()} == {
        ("reference", "is there twice in th"),
        ("jurisdiction", "does not have the fo"),
    }


def test_a_mapping_names_the_headers(home: Home, inbox: Path) -> None:
    """The authority's own headers need a programmer; a misspelt column of ours is left empty in silence."""
    columns = {
        "jurisdiction": "State", "period_start": "From", "period_end": "Until", "due_amount": "Tax due (net)",
        "currency": {"constant": "USD"},
    }  # fmt: skip

    def mapped(columns: Mapping[str, Any]) -> TaxEngine:
        mapping = {"columns": columns, "date_format": "%m/%d/%Y", "grouping": ","}
        block = {"id": "r", "system": "remittance_file", "entity": "US", "folder": "r", "mapping": mapping}
        return instance_of("tax", block)

    (inbox / "a.csv").write_text(
        'Tax due (net),State,From,Until\n"1,210.00",US-NY,07/01/2026,09/30/2026\n', encoding="utf-8"
    )
    assert load(home, mapped(columns), inbox).loaded == 1
    assert home.query("select due_amount, period_end from raw_tax.remittances") == [(Decimal(1210), date(2026, 9, 30))]
    with pytest.raises(Exception, match=r"tax: r: mapping: columns.due is none of ours; allowed are currency") as bad:
        load(home, mapped({**columns, "due": "x"}), inbox)
    assert isinstance(bad.value.__cause__.__cause__, MappingError)  # pyright: ignore


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12) | st.sampled_from(
    ["", "-0.00", "99999999999999999999", "1e5", "2026-02-30", '"', "US-NY", "2026-10-01", "USD", "\ufeff", "🎁"]
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bad=st.lists(CELLS, max_size=9),
    order=st.permutations(["jurisdiction", "period_start", "period_end", "reference", "currency", "due_amount"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_whatever_a_row_holds_the_good_one_loads(
    tmp_path: Path, bad: list[str], order: list[str], encoding: str, end: str, delimiter: str
) -> None:
    """A file in another encoding, order or with an odd row ends the run, or takes the good rows with it."""
    good = {
        "jurisdiction": "US-NY", "period_start": "2026-07-01", "period_end": "2026-09-30",
        "reference": "good", "currency": "USD", "due_amount": "12.50",
    }  # fmt: skip
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in bad]
    rows = [order, [good[name] for name in order], quoted]
    path = tmp_path / "file.csv"
    path.write_bytes((end.join(delimiter.join(row) for row in rows) + end).encode(encoding))
    file = DroppedFile(path, "sha")

    class Door:
        instance, now = "returns_us", NOW

    door: Any = Door()
    opened = open_feed(file, [Feed(table("tax", "remittances"), ["jurisdiction", "due_amount"])])
    batches = list(read_feed(opened, door))
    assert any("US-NY/2026-07-01/2026-09-30/good" in batch.loaded_keys for batch in batches)
    assert all(batch.received == batch.loaded + len(batch.rejected) for batch in batches)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no CSV end the run."""
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(CsvError):
        open_feed(DroppedFile(path, "sha"), [Feed(table("tax", "remittances"), ["jurisdiction", "due_amount"])])
