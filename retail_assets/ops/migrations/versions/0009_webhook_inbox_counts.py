"""An index to count the inbox by: without it each count reads every body."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NAME = "ix_webhook_inbox_source_state_received_at"


def upgrade() -> None:
    op.create_index(_NAME, "webhook_inbox", ["source", "state", "received_at"])


def downgrade() -> None:
    op.drop_index(_NAME, "webhook_inbox")
