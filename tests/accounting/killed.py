"""A worker that dies by SIGKILL at a chosen step; started as a process of its own."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retail_assets.accounting import posting
from retail_assets.erp.erpnext import ErpNextPoster
from retail_assets.ops import audit, outbox
from retail_assets.ops.store import open_store
from tests.accounting.ledgers import NOW, amounts, plan_for
from tests.erp.books import client

#: Step -> (object, name of the function there, whether death comes after it).
STEPS: dict[str, tuple[Any, str, bool]] = {
    "before the claim": (posting._Worker, "_batch", False),
    "claim written, not committed": (outbox, "claim", True),
    "after the claim": (posting._Worker, "_settle", False),
    "after the look-up": (ErpNextPoster, "look_up", True),
    "sent written, not committed": (outbox, "mark_sent", True),
    "before the request leaves": (ErpNextPoster, "post", False),
    "after the ERP committed": (ErpNextPoster, "post", True),
    "before the read-back": (ErpNextPoster, "read_back", False),
    "after the read-back": (ErpNextPoster, "read_back", True),
    "posted written, not committed": (outbox, "mark_posted", True),
    "audit written, not committed": (audit, "append_all", True),
    "after the commit": (posting._Worker, "note_run", False),
    "before the anchor": (audit, "write_anchor", False),
    "in the middle of the anchor": (Path, "replace", False),
}


def work(store_url: str, erp_url: str, anchor: str, wanted: dict[str, str], step: str, nth: int) -> None:
    """Post ``wanted`` and die the ``nth`` time that ``step`` is reached."""
    owner, name, after = STEPS[step]
    setattr(owner, name, deadly(getattr(owner, name), nth, after))
    engine, poster = open_store(store_url), ErpNextPoster(client(erp_url), base_url=erp_url)
    plan = plan_for(engine, amounts(wanted))
    posting.apply(plan, engine, poster, now=NOW, actor="ann", run_id="killed", anchor_path=Path(anchor))


def deadly(function: Callable[..., Any], nth: int, after: bool) -> Callable[..., Any]:
    calls = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == nth and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper
