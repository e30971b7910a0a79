"""An operations store and a simulated ERPNext for each test, a real Tryton for each module."""

from tests.erp.conftest import erp, tryton_erp, tryton_template
from tests.ops.conftest import sqlite_store, store, store_url

__all__ = ["erp", "sqlite_store", "store", "store_url", "tryton_erp", "tryton_template"]
