"""A logistics provider's files through dlt into the warehouse."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sandbox.threepl import write_files
from retail_assets.settings import instance_of
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.feeds import open_feed, read_feed
from retail_assets.sources.files import DroppedFile
from retail_assets.sources.fulfilment import build, examine
from retail_assets.sources.fulfilment.source import WANTED, _feeds
from retail_assets.sources.intake import Counts
from tests.sources.fulfilment.lines import BLOCK, DAY, NOON, drop, shipment
from tests.sources.loading import NOW, Home

PROVIDER = instance_of("fulfilment", BLOCK)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def load(home: Home, inbox: Path, provider: Any = PROVIDER, *resources: str) -> Mapping[str, Counts]:
    def source(intake: Any) -> Any:
        built = build(provider, intake, inbox)
        return built.with_resources(*resources) if resources else built

    return home.load("fulfilment", provider.id, source)


def test_each_kind_of_file_finds_its_table(home: Home, inbox: Path) -> None:
    """Files are told apart by names that no two providers share, or a return is loaded as a shipment."""
    for number, path in enumerate(drop(inbox)):
        path.rename(inbox / f"{number}.txt")
    assert examine(PROVIDER, inbox) == f"5 files in {inbox}"
    counts = load(home, inbox)
    assert {name: (one.received, one.loaded) for name, one in counts.items()} == {
        "shipments": (3, 3),
        "returns": (1, 1),
        "stock_levels": (2, 2),
        "stock_movements": (2, 2),
    }
    assert home.query(
        "select order_reference, sku, quantity, tracking_number, shipped_at::varchar, delivered_at::varchar "
        "from raw_fulfilment.shipments order by 1, 2"
    ) == [
        ("1001", "CUP", Decimal(2), "1Z000001", "2026-11-02 12:00:00+00", None),
        ("1001", "MUG", Decimal(1), "1Z000001", "2026-11-02 12:00:00+00", None),
        ("1002", "MUG", Decimal(1), "1Z000002", "2026-11-03 12:00:00+00", "2026-11-04 12:00:00+00"),
    ]
    assert home.query(
        "select location, sku, on_hand, reserved, available from raw_fulfilment.stock_levels order by 2"
    ) == [
        ("MAIN", "CUP", Decimal(0), Decimal(0), Decimal(0)),
        ("MAIN", "MUG", Decimal(10), Decimal(2), Decimal(8)),
    ]


def test_a_file_that_is_made_again_counts_nothing_twice(home: Home, inbox: Path) -> None:
    """An export that grows, or is sent again with what has become of it, doubles what was shipped."""
    twice = [shipment(1), shipment(1), shipment(2)]
    write_files(twice, inbox)
    load(home, inbox)
    (first,) = inbox.iterdir()
    write_files([*reversed(twice), shipment(3)], inbox)
    first.rename(inbox / "a.csv")
    write_files([shipment(2, delivered_at=NOON + DAY)], inbox)
    first.rename(inbox / "b.csv")
    load(home, inbox)
    assert home.query(
        "select shipment_id, occurrence, delivered_at is not null from raw_fulfilment.shipments order by all"
    ) == [("S1", 1, False), ("S1", 2, False), ("S2", 1, True), ("S3", 1, False)]


def test_times_are_those_of_the_warehouse(home: Home, inbox: Path) -> None:
    """A count at midnight in Berlin belongs to the day before; a file without a date counts for no day."""
    provider = instance_of("fulfilment", {**BLOCK, "time_zone": "Europe/Berlin"})
    (inbox / "stock_2026-11-02.csv").write_text("SKU;On hand;Location\nMUG;3;A\nMUG;4;A\n", encoding="utf-8")
    (inbox / "stock_now.csv").write_text("sku,on_hand\nMUG,3\n", encoding="utf-8")
    (inbox / "sent.csv").write_text(
        "shipment_id,order_reference,sku,quantity,shipped_at,delivered_at\n"
        "S1,1,MUG,1,2026-07-01 00:30:00,2026-07-02T00:30:00-04:00\n",
        encoding="utf-8",
    )
    counts = load(home, inbox, provider)["stock_levels"]
    assert (counts.loaded, counts.quarantined) == (2, 1)
    assert home.query("select as_of::varchar, occurrence, on_hand from raw_fulfilment.stock_levels order by 2") == [
        ("2026-11-01 23:00:00+00", 1, Decimal(3)),
        ("2026-11-01 23:00:00+00", 2, Decimal(4)),
    ]
    assert home.query("select shipped_at::varchar, delivered_at::varchar from raw_fulfilment.shipments") == [
        ("2026-06-30 22:30:00+00", "2026-07-02 04:30:00+00")
    ]
    with pytest.raises(Exception, match="time_zone 'Berlin' is no IANA zone"):
        load(home, inbox, instance_of("fulfilment", {**BLOCK, "time_zone": "Berlin"}))


def test_bad_rows_and_files_stop_no_other(home: Home, inbox: Path) -> None:
    """One odd row takes the file with it; a file of no known kind is lost, or counted once for each kind."""
    (inbox / "1.csv").write_text(
        "shipment_id,order_reference,sku,quantity,shipped_at\n"
        "S1,1,MUG,-1,2026-11-02T12:00:00Z\n"
        ",1,MUG,1,2026-11-02T12:00:00Z\n"
        "S2,1,MUG,one,2026-11-02T12:00:00Z\n"
        "S3,1,MUG,1,2026-02-30\n"
        "S4,1,MUG\n"
        "S5,,MUG,2.0,2026-11-02\n",
        encoding="utf-8",
    )
    (inbox / "2.csv").write_text(
        "movement_id,sku,movement_type,quantity,moved_at\nM1,MUG,x,1,2026-11-02\nM1,MUG,x,2,2026-11-02\n"
    )
    (inbox / "3.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    counts = load(home, inbox)
    assert {name: (one.received, one.loaded, one.quarantined) for name, one in counts.items()} == {
        "shipments": (7, 1, 6),
        "returns": (0, 0, 0),
        "stock_levels": (0, 0, 0),
        "stock_movements": (2, 1, 1),
    }
    refused = {row["record_key"]: (row["field"], row["origin"]) for row in home.quarantined()}
    assert refused == {
        "S1/1/MUG//1": ("quantity", "1.csv, row 2"),
        "/1/MUG//1": ("shipment_id", "1.csv, row 3"),
        "S2/1/MUG//1": ("quantity", "1.csv, row 4"),
        "S3/1/MUG//1": ("shipped_at", "1.csv, row 5"),
        "1.csv/6": (None, "1.csv, row 6"),
        "3.csv": (None, "3.csv"),
        "M1": ("movement_id", "2.csv, row 3"),
    }
    (inbox / "4.csv").write_text(
        "shipment_id,order_reference,sku,quantity,shipped_at\nS1,1,MUG,1,2026-11-02\n", encoding="utf-8"
    )
    load(home, inbox)
    assert "S1/1/MUG//1" not in {row["record_key"] for row in home.quarantined()}


def test_a_mapping_for_one_kind(home: Home, inbox: Path) -> None:
    """A provider with headers of its own needs a programmer."""
    mapping = {
        "columns": {
            "shipment_id": "Sendung", "order_reference": {"header": "Auftrag", "pattern": r"\d+"}, "sku": "Artikel",
            "quantity": "Menge", "shipped_at": "Versand",
        },
        "decimal_mark": ",", "time_format": "%d.%m.%Y %H:%M", "time_zone": "Europe/Berlin", "encoding": "cp1252",
    }  # fmt: skip
    provider = instance_of("fulfilment", {**BLOCK, "shipments": mapping})
    (inbox / "a.csv").write_bytes(
        "Sendung;Auftrag;Artikel;Menge;Versand;Empfänger\nS1;WC-1001;MUG;1,5;02.11.2026 13:00;Müller\n".encode("cp1252")
    )
    drop(inbox)
    counts = load(home, inbox, provider)
    assert sorted(row["record_key"] for row in home.quarantined()) == [
        "shipments_20261102.csv",
        "shipments_20261103.csv",
    ]
    assert counts["returns"].loaded == 1
    assert home.query("select order_reference, quantity, shipped_at::varchar from raw_fulfilment.shipments") == [
        ("1001", Decimal("1.5"), "2026-11-02 12:00:00+00")
    ]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12) | st.sampled_from(
    ["", "-0", "99999999999999999999", "1e5", "2026-02-30", '"', "S1", "MUG", "\ufeff", "🎁", "x" * 70_000]
)
NAMES = ["shipment_id", "order_reference", "sku", "quantity", "shipped_at", "carrier"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bad=st.lists(CELLS, max_size=8),
    order=st.permutations(NAMES),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_a_row_holds_the_good_one_loads(
    tmp_path: Path, bad: list[str], order: list[str], encoding: str, end: str
) -> None:
    """A file in another encoding, order or with an odd row ends the run, or takes the good rows with it."""
    good = dict(zip(NAMES, ["S9", "1009", "MUG", "1", "2026-11-02T12:00:00Z", "UPS"], strict=True))
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in bad]
    path = tmp_path / "file.csv"
    path.write_bytes(
        (end.join(",".join(row) for row in (order, [good[n] for n in order], quoted)) + end).encode(encoding)
    )

    class Door:
        instance, now = "threepl_us", NOW

    door: Any = Door()
    batches = list(read_feed(open_feed(DroppedFile(path, "sha"), _feeds(PROVIDER)), door))
    assert any("S9/1009/MUG//1" in batch.loaded_keys for batch in batches)
    assert all(batch.received == batch.loaded + len(batch.rejected) for batch in batches)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no CSV end the run."""
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(CsvError):
        open_feed(DroppedFile(path, "sha"), _feeds(PROVIDER))


def test_a_file_without_rows_is_noted(home: Home, inbox: Path) -> None:
    """An export that had failed passed for a day without parcels."""
    for path in drop(inbox):
        path.write_text(path.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
    counts = load(home, inbox)
    noted = [note for one in counts.values() for note in one.notes]
    # The two of shipments have the same content now.
    assert len(noted) == len(WANTED)
    assert all(note.endswith(" has no rows") for note in noted)
