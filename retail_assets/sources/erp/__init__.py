"""The ERPs' own books, documents and stock: ERPNext, Odoo and Tryton in the tables they have in common.

An ERP that imports files tells us nothing, so nothing is read of it.
"""

from pathlib import Path
from types import ModuleType
from typing import Final

from dlt.sources import DltSource

from retail_assets.settings import Erp
from retail_assets.sources.erp import erpnext, file, odoo, tryton
from retail_assets.sources.intake import Intake

__all__ = ["build", "erp_source", "examine"]

_MODULES: Final[dict[str, ModuleType]] = {"erpnext": erpnext, "file": file, "odoo": odoo, "tryton": tryton}
_SOURCES: Final = {
    "erpnext": erpnext.erpnext_source,
    "file": file.file_source,
    "odoo": odoo.odoo_source,
    "tryton": tryton.tryton_source,
}


def erp_source(erp: Erp, intake: Intake) -> DltSource:
    """The dlt source of a configured ERP; nothing is read before it is iterated."""
    return _SOURCES[erp.system](erp, intake)


def build(configured: Erp, intake: Intake, inbox: Path) -> DltSource:
    """The dlt source of a configured ERP; nothing is read before it is iterated."""
    return erp_source(configured, intake)


def examine(configured: Erp, inbox: Path) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    return _MODULES[configured.system].examine(configured)
