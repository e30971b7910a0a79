"""Stripe's itemised reports in a folder, through dlt into the warehouse."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from retail_assets.settings import Gateway, instance_of
from retail_assets.sources import stripe
from retail_assets.sources.files import DroppedFile
from retail_assets.sources.intake import Counts, Intake
from retail_assets.sources.stripe.reports import REPORT_LAYOUT, UnknownZoneError, read_report
from tests.sources.loading import NOW, Home

#: The usual default columns of payout_reconciliation.itemized.5.
DEFAULT = (
    "automatic_payout_id", "automatic_payout_effective_at", "balance_transaction_id", "created_utc", "created",
    "available_on_utc", "available_on", "currency", "gross", "fee", "net", "reporting_category", "source_id",
    "description", "customer_facing_amount", "customer_facing_currency",
)  # fmt: skip


def account(**more: Any) -> Gateway:
    """An account of which only reports are had."""
    return instance_of(
        "gateways",
        {
            "id": "stripe_files",
            "system": "stripe_reports",
            "entity": "US",
            "bank": "bank_us",
            "folder": "stripe_files",
            "stores": [{"store": "cedar_us"}],
            **more,
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, folder: Path, gateway: Gateway | None = None) -> Counts:
    gateway = gateway or account()
    counts: Mapping[str, Counts] = home.load("stripe", gateway.id, lambda intake: stripe.build(gateway, intake, folder))
    assert list(counts) == ["report_lines"]
    return counts["report_lines"]


def row(line: str, **changes: str) -> dict[str, str]:
    """One row with the default columns."""
    return {
        "automatic_payout_id": "po_1",
        "automatic_payout_effective_at": "2026-10-07 02:00:00",
        "balance_transaction_id": line,
        "created_utc": "2026-10-01 22:30:00",
        "created": "2026-10-02 00:30:00",
        "available_on_utc": "2026-10-05 00:00:00",
        "available_on": "2026-10-05 02:00:00",
        "currency": "usd",
        "gross": "25",
        "fee": "0.95",
        "net": "24.05",
        "reporting_category": "charge",
        "source_id": "ch_1",
        "description": 'Cedar, "the" shop - Order 7',
        "customer_facing_amount": "25",
        "customer_facing_currency": "USD",
    } | changes


def csv(*rows: Mapping[str, str], columns: tuple[str, ...] = DEFAULT, end: str = "\n") -> bytes:
    def field(text: str) -> str:
        quoted = text.replace('"', '""')
        return f'"{quoted}"' if set(text) & set(',"\n') else text

    lines = [",".join(columns), *(",".join(field(item.get(name, "")) for name in columns) for item in rows)]
    return "".join(line + end for line in lines).encode()


def test_default_columns_load_exactly(home: Home, folder: Path) -> None:
    """Major units became cents, local time passed for UTC, or a description with a comma shifted all columns."""
    (folder / "october.csv").write_bytes(
        csv(
            row("txn_1"),
            row("txn_fee", gross="-0.5", fee="0", net="-0.5", reporting_category="fee", source_id="", currency="USD"),
            row("", gross="-23.55", fee="0", net="-23.55", reporting_category="payout", source_id="po_1"),
        )
    )
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (3, 3, 0)
    assert home.query(
        "select balance_transaction_id, report, gross, fee, net, strftime(created, '%d %H:%M'), "
        "strftime(payout_effective_at, '%d %H:%M'), description, row_number from raw_stripe.report_lines order by 9"
    ) == [
        ("txn_1", "payouts", Decimal(25), Decimal("0.95"), Decimal("24.05"), "01 22:30", "07 02:00",
         'Cedar, "the" shop - Order 7', 2),
        ("txn_fee", "payouts", Decimal("-0.5"), 0, Decimal("-0.5"), "01 22:30", "07 02:00",
         'Cedar, "the" shop - Order 7', 3),
        ("po_1", "payouts", Decimal("-23.55"), 0, Decimal("-23.55"), "01 22:30", "07 02:00",
         'Cedar, "the" shop - Order 7', 4),
    ]  # fmt: skip


def test_times_are_in_the_zone_that_was_asked_for(home: Home, folder: Path) -> None:
    """Without _utc columns the times of Berlin were booked as UTC: sales of a night fell into the next day."""
    local = tuple(name for name in DEFAULT if not name.endswith("_utc"))
    (folder / "local.csv").write_bytes(
        csv(
            row("txn_1"),
            row("twice", created="2026-10-25 02:30:00"),
            row("never", created="2026-03-29 02:30:00"),
            row("no_day", created="2026-02-30 10:00:00"),
            row("no_time", created="yesterday"),
            row("day", created="2026-10-02"),
            columns=local,
        )
    )
    counts = load(home, folder, account(report_time_zone="Europe/Berlin"))
    assert (counts.received, counts.quarantined) == (6, 2)
    times = home.query("select balance_transaction_id, strftime(created, '%m-%d %H:%M') from raw_stripe.report_lines")
    assert dict(times) == {
        "txn_1": "10-01 22:30",
        "twice": "10-25 00:30",
        "never": "03-29 01:00",
        "day": "10-01 22:00",
    }
    assert {(fault["record_key"], fault["field"]) for fault in home.quarantined()} == {
        ("no_day/payouts", "created"),
        ("no_time/payouts", "created"),
    }


def test_an_unknown_zone_is_named(home: Home, folder: Path) -> None:
    """A misspelt zone was taken for UTC."""
    gateway = account(report_time_zone="Europe/Berln")
    with pytest.raises(UnknownZoneError, match="'Europe/Berln' is no IANA time zone"):
        stripe.examine(gateway, folder)
    with pytest.raises(Exception, match="Europe/Berln"):
        load(home, folder, gateway)


def test_a_bad_row_stops_no_other_and_a_foreign_file_heals(home: Home, folder: Path) -> None:
    """One row with words for an amount, or one file of another kind, held back the whole folder."""
    (folder / "1_other.csv").write_bytes(b"id,amount\n1,2\n")
    (folder / "2_rows.csv").write_bytes(csv(row("txn_1"), row("txn_2", gross="free"), row("txn_3", currency="dollars")))
    (folder / "3_empty.csv").write_bytes(b"")
    (folder / "4_no_rows.csv").write_bytes(csv())
    counts = load(home, folder)
    assert (counts.received, counts.loaded, counts.quarantined) == (5, 1, 4)
    assert home.logged() == {"report_lines": (5, 1, 4)}
    reasons = {fault["record_key"]: fault["reason"] for fault in home.quarantined()}
    assert "is no itemised Stripe report: it has no column balance_transaction_id" in reasons["1_other.csv"]
    assert set(reasons) == {"1_other.csv", "txn_2/payouts", "txn_3/payouts", "3_empty.csv"}
    (folder / "1_other.csv").unlink()
    (folder / "3_empty.csv").unlink()
    assert load(home, folder).received == 0


def test_the_same_report_again_changes_nothing(home: Home, folder: Path) -> None:
    """A report that was made twice, or dropped under two names, doubled the ledger."""
    (folder / "a.csv").write_bytes(csv(row("txn_1"), row("txn_2")))
    (folder / "b.csv").write_bytes(csv(row("txn_1"), row("txn_2")))
    assert load(home, folder).received == 2
    before = home.content("stripe")
    assert load(home, folder).received == 0
    assert home.content("stripe") == before
    # Made anew, with more columns and a payout that was not known before; the line is still one.
    (folder / "c.csv").write_bytes(csv(row("txn_1", automatic_payout_id="po_2"), columns=(*DEFAULT, "charge_id")))
    load(home, folder)
    lines = "select balance_transaction_id, automatic_payout_id from raw_stripe.report_lines order by all"
    assert home.query(lines) == [("txn_1", "po_2"), ("txn_2", "po_1")]


def test_of_two_versions_in_one_load_the_later_file_holds(home: Home, folder: Path) -> None:
    """Which version of a line held was left to chance when both reports came in one load."""
    (folder / "2026-10.csv").write_bytes(csv(row("txn_1", automatic_payout_id="")))
    (folder / "2026-11.csv").write_bytes(csv(row("txn_1", automatic_payout_id="po_9")))
    load(home, folder)
    assert home.query("select automatic_payout_id, file_name from raw_stripe.report_lines") == [("po_9", "2026-11.csv")]


def test_an_account_may_have_both(home: Home, folder: Path) -> None:
    """Reports dropped for an account that the API loads were never read."""
    gateway = instance_of(
        "gateways",
        {
            "id": "both",
            "system": "stripe",
            "entity": "US",
            "bank": "bank_us",
            "base_url": "http://127.0.0.1:9",
            "api_key": "sk",
            "stores": [{"store": "cedar_us"}],
        },
    )
    (folder / "a.csv").write_bytes(csv(row("txn_1")))
    home.load("stripe", "both", lambda intake: stripe.build(gateway, intake, folder).with_resources("report_lines"))
    assert home.query("select gateway_id from raw_stripe.report_lines") == [("both",)]


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_columns_go_by_name(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A column that was moved, added or left out shifted all others; a byte order mark hid the first one."""
    extra = ("payment_metadata[order_id]", "customer_email", "regulatory_tag", "charge_id")
    wanted = data.draw(st.permutations([*DEFAULT, *data.draw(st.lists(st.sampled_from(extra), unique=True))]))
    amounts = st.decimals(min_value="-99999999.99", max_value="99999999.99", places=2)
    gross = data.draw(st.lists(amounts, min_size=1, max_size=5))
    rows = [
        row(
            f"txn_{number}",
            gross=str(value),
            fee="0",
            net=str(value),
            description=data.draw(st.text("ä,\" 'x", max_size=9)),
        )
        for number, value in enumerate(gross)
    ]
    content = csv(*rows, columns=tuple(wanted), end=data.draw(st.sampled_from(["\n", "\r\n"])))
    mark = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    path = tmp_path_factory.mktemp("report") / "report.csv"
    path.write_bytes(content.decode().encode(mark))
    intake = Intake("stripe", "stripe_files", NOW, "sqlite://")
    batches = list(read_report(DroppedFile(path, "sha"), "UTC", REPORT_LAYOUT, intake, "report_lines"))
    found = [item for batch in batches for item in batch.tables[REPORT_LAYOUT.contract].to_pylist()]
    assert [item["gross"] for item in found] == [item["net"] for item in found] == gross
    assert {item["currency"] for item in found} == {"usd"}
    assert [item["description"] for item in found] == [item["description"] for item in rows]


def test_a_report_without_rows_is_noted(home: Home, folder: Path) -> None:
    """A report that had failed passed for a month without payouts."""
    (folder / "empty.csv").write_bytes(csv())
    counts = load(home, folder)
    assert (counts.received, counts.notes) == (0, ["empty.csv has no rows"])
