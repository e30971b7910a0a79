"""Alerts: what is wrong now, who was told of it, and which runs were looked at."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(32), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("what_to_do", sa.Text, nullable=False),
        sa.Column("entity_code", sa.String(10)),
        sa.Column("run_id", sa.String(80)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("recovered_at", moment),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
        sa.CheckConstraint("kind IN ('technical', 'business')", name="ck_alerts_kind"),
        sa.CheckConstraint("state IN ('open', 'recovered')", name="ck_alerts_state"),
        sa.CheckConstraint("(state = 'recovered') = (recovered_at IS NOT NULL)", name="ck_alerts_recovered_once"),
    )
    op.create_index("ix_alerts_state", "alerts", ["state"])
    op.create_table(
        "alert_messages",
        sa.Column("alert_id", sa.String(32), nullable=False),
        sa.Column("episode", sa.Integer, nullable=False),
        sa.Column("event", sa.String(10), nullable=False),
        sa.Column("channel_id", sa.String(40), nullable=False),
        sa.Column("sent_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "episode", "event", "channel_id", name="pk_alert_messages"),
        sa.CheckConstraint("event IN ('raised', 'recovered')", name="ck_alert_messages_event"),
    )
    op.create_table(
        "alert_channels",
        sa.Column("channel_id", sa.String(40), nullable=False),
        sa.Column("last_sent_at", moment),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", moment),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("channel_id", name="pk_alert_channels"),
    )
    op.create_table(
        "alert_runs",
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("ended_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_alert_runs"),
    )
    op.create_index("ix_alert_runs_ended_at", "alert_runs", ["ended_at"])


def downgrade() -> None:
    for table in ("alert_runs", "alert_channels", "alert_messages", "alerts"):
        op.drop_table(table)
