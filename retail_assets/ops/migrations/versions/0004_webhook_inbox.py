"""The inbox of webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from retail_assets.ops.migrations.evidence import keep

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "webhook_inbox",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        sa.Column("delivery_id", sa.String(100)),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(100)),
        sa.Column("received_at", moment, nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("attempted_at", moment),
        sa.Column("run_id", sa.String(80)),
        sa.Column("subject", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("finished_at", moment),
        sa.PrimaryKeyConstraint("event_id", name="pk_webhook_inbox"),
        sa.UniqueConstraint("identity", name="uq_webhook_inbox_identity"),
        sa.CheckConstraint("state IN ('received', 'done', 'dead')", name="ck_webhook_inbox_state"),
    )
    for name, columns, condition in (
        ("ix_webhook_inbox_waiting", ["event_id"], sa.text("state = 'received'")),
        ("ix_webhook_inbox_subject", ["source", "subject"], sa.text("subject IS NOT NULL")),
    ):
        op.create_index(name, "webhook_inbox", columns, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    keep("0004")
    op.drop_table("webhook_inbox")
