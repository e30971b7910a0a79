"""Asset checks: those that gate an entity's postings, and those that show the work on exceptions."""

from retail_assets.defs.checks.gate import check_definitions
from retail_assets.defs.checks.work import work_definitions

__all__ = ["check_definitions", "work_definitions"]
