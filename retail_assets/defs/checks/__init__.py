"""Asset checks that gate an entity's postings."""

from retail_assets.defs.checks.gate import check_definitions

__all__ = ["check_definitions"]
