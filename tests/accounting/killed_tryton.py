"""A worker that posts to Tryton, in its two calls, and dies by SIGKILL at a chosen step."""

from pathlib import Path
from typing import Any

from retail_assets.accounting import posting
from retail_assets.erp.tryton import TrytonPoster
from retail_assets.erp.tryton_client import TrytonClient
from retail_assets.ops import audit, outbox
from retail_assets.ops.store import open_store
from tests.accounting.killed import deadly
from tests.accounting.ledgers import EURO_BOOKS, NOW, euros, plan_for
from tests.erp.tryton import settings

#: As in ``killed``.
STEPS: dict[str, tuple[Any, str, bool]] = {
    "after the look-up": (TrytonPoster, "look_up", True),
    "sent written, not committed": (outbox, "mark_sent", True),
    "between draft and posting": (TrytonPoster, "_post", False),
    "after the ERP committed": (TrytonPoster, "post", True),
    "audit written, not committed": (audit, "append_all", True),
}


def work(store_url: str, erp_url: str, anchor: str, wanted: dict[str, str], step: str, nth: int) -> None:
    """Post ``wanted`` and die the ``nth`` time that ``step`` is reached."""
    owner, name, after = STEPS[step]
    setattr(owner, name, deadly(getattr(owner, name), nth, after))
    engine, poster = open_store(store_url), TrytonPoster(TrytonClient(settings(erp_url)), web_address="")
    plan = plan_for(engine, euros(wanted), EURO_BOOKS)
    posting.apply(plan, engine, poster, now=NOW, actor="ann", run_id="killed", anchor_path=Path(anchor))
