"""What a migration must not take away: rows that the audit chain, which stays, goes on telling of."""

from typing import Final

from alembic import op
from sqlalchemy import text

from retail_assets.ops.store import StoreError

#: By revision whose way down would drop them: what they are, and how they are counted.
_EVIDENCE: Final = {
    "0003": {
        "approvals": "SELECT count(*) FROM approvals",
        "closed months": "SELECT count(*) FROM closed_periods",
        "attestations": "SELECT count(*) FROM attestations",
        "certificates": "SELECT count(*) FROM certificates",
    },
    "0004": {
        # Nobody sends again what was acknowledged.
        "webhook events that are not loaded": "SELECT count(*) FROM webhook_inbox WHERE state <> 'done'",
        "webhook events queued again by hand": "SELECT count(*) FROM audit_log WHERE action = 'event_requeued'",
    },
    "0006": {
        "actions on exceptions": "SELECT count(*) FROM exception_actions",
        "links made by hand": "SELECT count(*) FROM manual_links",
        "approvals of links": "SELECT count(*) FROM approvals WHERE kind = 'link'",
        "replays": "SELECT count(*) FROM replays",
    },
    "0007": {"writes into stores' stock": "SELECT count(*) FROM stock_writes"},
}


class EvidenceWouldBeLostError(StoreError):
    """An older revision has no place for rows that the audit chain tells of."""


def keep(revision: str) -> None:
    """For the way down from ``revision``, first of all.

    Raises:
        EvidenceWouldBeLostError: it would take evidence away; nothing was changed.
    """
    connection = op.get_bind()
    counts = {name: connection.execute(text(query)).scalar_one() for name, query in _EVIDENCE[revision].items()}
    lost = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if lost:
        raise EvidenceWouldBeLostError(
            f"the operations store cannot go back behind revision {revision}: {lost} would be lost, and what the audit "
            f"chain tells of them would contradict the store for ever. Go back to {revision} or later (nothing was "
            "changed), or put the backup back that was made before the upgrade: docs/running.md, Restore"
        )
