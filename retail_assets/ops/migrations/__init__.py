"""Alembic migrations of the operations store, run by ``retail_assets.ops.store``."""

from typing import Final

#: The revision this code works with; a test holds it against the newest file in ``versions``.
HEAD: Final = "0012"
