"""A worker that dies by SIGKILL at the nth call of something; started as a process of its own."""

from pathlib import Path
from typing import Any, Final

from retail_assets.accounting import posting
from retail_assets.erp.factory import poster_for
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.ops.store import open_store
from retail_assets.settings import instance_of
from tests.accounting.killed import deadly
from tests.accounting.ledgers import NOW, amounts, plan_for

#: What changes something: every call that Odoo gets, every file that appears.
CHANGES: Final[dict[str, tuple[Any, str]]] = {"odoo": (OdooClient, "change"), "file": (Path, "rename")}


def work(store_url: str, block: dict[str, Any], wanted: dict[str, str], nth: int, after: bool) -> None:
    """Post ``wanted`` to the ERP of that block and die before or after its nth change."""
    owner, name = CHANGES[block["system"]]
    setattr(owner, name, deadly(getattr(owner, name), nth, after))
    engine, poster = open_store(store_url), poster_for(instance_of("erps", block))
    posting.apply(plan_for(engine, amounts(wanted)), engine, poster, now=NOW, actor="ann", run_id="killed")
