"""An operations store and a simulated ERPNext for each test."""

from tests.erp.conftest import erp
from tests.ops.conftest import postgres, sqlite_store, store, store_url

__all__ = ["erp", "postgres", "sqlite_store", "store", "store_url"]
