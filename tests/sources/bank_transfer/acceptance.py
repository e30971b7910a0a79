"""The bank transfers' part in the acceptance suite: what finance allocated by hand."""

from pathlib import Path

from tests.sources.acceptance import FileCase

_ROWS = {
    "allocations_1.csv": ("bank_de:DE261102-181:1,1001,ann", "bank_de:DE261102-181:2,,ann"),
    # A decision that was changed: the later file holds.
    "allocations_2.csv": ("bank_de:DE261102-181:1,1002,ben", "bank_de:DE261103-182:1,1003,ben"),
}


def _drop(folder: Path) -> None:
    for name, rows in _ROWS.items():
        text = "\n".join(("bank_line_key,order_reference,by", *rows, ""))
        (folder / name).write_text(text, encoding="utf-8")


CASES = [
    FileCase(
        variant="bank_transfer",
        section="gateways",
        drop=_drop,
        block={
            "id": "bacs_de",
            "system": "bank_transfer",
            "entity": "DE",
            "bank": "bank_de",
            "folder": "bacs_de",
            "reference_pattern": "LH-([0-9]{4,})",
            "stores": [{"store": "linden_de", "payment_method": "bacs"}],
        },
        expected=lambda: {"rules": 1, "allocations": 3},
    )
]
