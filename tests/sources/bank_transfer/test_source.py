"""How customers' transfers are told from other bank lines, and what finance decided by hand."""

from pathlib import Path

import pytest

from retail_assets.settings import Gateway, instance_of
from retail_assets.sources.bank_transfer import build, examine
from retail_assets.sources.intake import Counts
from tests.sources.loading import Home


def gateway(pattern: str = "LH-([0-9]{4,})") -> Gateway:
    block = {"id": "bacs_de", "entity": "DE", "bank": "bank_de", "stores": [{"store": "s", "payment_method": "bacs"}]}
    parts = {"system": "bank_transfer", "folder": "bacs_de", "reference_pattern": pattern}
    return instance_of("gateways", {**block, **parts})


def load(home: Home, folder: Path, pattern: str = "LH-([0-9]{4,})") -> Counts:
    configured = gateway(pattern)
    return home.load("bank_transfer", "bacs_de", lambda intake: build(configured, intake, folder))["allocations"]


def test_the_rule_and_the_allocations_are_loaded(home: Home, tmp_path: Path) -> None:
    """A pattern that was changed held only for new lines; a decision of finance had no place."""
    load(home, tmp_path / "nowhere")
    assert home.query("select * exclude (_loaded_at) from raw_bank_transfer.rules") == [("bacs_de", "LH-([0-9]{4,})")]
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a.csv").write_text(
        "bank_line_key,order_reference,by\nbank_de:S:1,1001,ann\nbank_de:S:2,,ann\n,1003,ann\nx\n"
    )
    counts = load(home, folder, "AB-([0-9]+)")
    assert (counts.received, counts.loaded, counts.quarantined) == (4, 2, 2)
    assert home.one("select reference_pattern from raw_bank_transfer.rules") == "AB-([0-9]+)"
    found = home.query(
        "select bank_line_key, order_reference, row_number from raw_bank_transfer.allocations order by all"
    )
    assert found == [("bank_de:S:1", "1001", 2), ("bank_de:S:2", None, 3)]
    (folder / "b.csv").write_text("something,else\n1,2\n")
    assert load(home, folder).quarantined == 1
    assert load(home, folder).received == 0
    (folder / "c.csv").write_text("bank_line_key,order_reference\n")
    assert load(home, folder).notes == ["c.csv has no rows"]


@pytest.mark.parametrize("pattern", ["LH-[0-9]+", "(", "(a)(b)", "(?<=LH-)([0-9]+)"])
def test_a_pattern_must_find_one_thing(tmp_path: Path, pattern: str) -> None:
    """A pattern without a group took the whole text for the order number; one that SQL cannot read broke all builds."""
    with pytest.raises(ValueError, match=r"gateways\.bacs_de\.reference_pattern"):
        examine(gateway(pattern), tmp_path)
    assert "LH-" in examine(gateway(), tmp_path / "nowhere")
