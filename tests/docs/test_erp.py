"""The blocks of docs/erp.md are what retail.yaml takes."""

import re
from pathlib import Path

import yaml

from retail_assets.erp.factory import takes_postings
from retail_assets.settings import Erp, instance_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "erp.md"


def test_every_block_on_the_page_is_an_erp_that_takes_postings() -> None:
    """Somebody copies a block, and it is refused, or its books are only read."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    systems = set()
    for block in blocks:
        for erp in yaml.safe_load(block)["erps"]:
            folder = {"folder": f"/exports/{erp['folder']}"} if "folder" in erp else {}
            configured: Erp = instance_of("erps", {**erp, **folder})
            assert takes_postings(configured)
            systems.add(configured.system)
    assert systems == {"erpnext", "odoo", "tryton", "file"}
