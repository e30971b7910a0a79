"""The logistics provider's part in the acceptance suite."""

from tests.sources.acceptance import FileCase
from tests.sources.fulfilment.lines import BLOCK, drop

CASES = [
    FileCase(
        variant="threepl_csv",
        section="fulfilment",
        drop=drop,
        block=BLOCK,
        expected=lambda: {"shipments": 3, "returns": 1, "stock_levels": 2, "stock_movements": 2},
    )
]
