"""What people do about exceptions, links they make by hand, and replays."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from retail_assets.ops.migrations.evidence import keep

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KINDS = ("entry", "write_off", "policy")


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "exception_actions",
        sa.Column("audit_seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("exception_id", sa.Text, nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("acted_at", moment, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("snoozed_until", sa.Date),
        sa.Column("reason", sa.Text),
        sa.Column("approval_id", sa.String(32)),
        sa.Column("seen", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("audit_seq", name="pk_exception_actions"),
        sa.CheckConstraint(
            "action IN ('assign', 'comment', 'snooze', 'resolve', 'reopen', 'write_off')",
            name="ck_exception_actions_action",
        ),
    )
    op.create_index("ix_exception_actions_exception_id", "exception_actions", ["exception_id"])
    op.create_table(
        "manual_links",
        sa.Column("audit_seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("link_id", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("left_key", sa.Text, nullable=False),
        sa.Column("right_key", sa.Text, nullable=False),
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("exception_id", sa.Text),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("currency_code", sa.String(3), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("acted_at", moment, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("approval_id", sa.String(32)),
        sa.PrimaryKeyConstraint("audit_seq", name="pk_manual_links"),
        sa.UniqueConstraint("link_id", "version", name="uq_manual_links_link_id_version"),
        sa.CheckConstraint("action IN ('link', 'unlink')", name="ck_manual_links_action"),
        sa.CheckConstraint("kind IN ('payment_order', 'payout_bank')", name="ck_manual_links_kind"),
        sa.CheckConstraint("version >= 1", name="ck_manual_links_version"),
    )
    op.create_table(
        "replays",
        sa.Column("replay_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("result", sa.String(10), nullable=False),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("loaded", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("replay_id", name="pk_replays"),
        sa.CheckConstraint("kind IN ('quarantine', 'inbox', 'source', 'order', 'payout')", name="ck_replays_kind"),
        sa.CheckConstraint("result IN ('running', 'succeeded', 'failed')", name="ck_replays_result"),
    )
    op.create_index("ix_replays_started_at", "replays", ["started_at"])
    _approve_only(*_KINDS, "link")


def downgrade() -> None:
    keep("0006")
    _approve_only(*_KINDS)
    op.drop_table("replays")
    op.drop_table("manual_links")
    op.drop_table("exception_actions")


def _approve_only(*kinds: str) -> None:
    # SQLite changes a constraint by making the table anew; the batch does that, and on Postgres just alters it.
    with op.batch_alter_table("approvals") as batch:
        batch.drop_constraint("ck_approvals_kind", type_="check")
        batch.create_check_constraint("ck_approvals_kind", f"kind IN ({', '.join(repr(kind) for kind in kinds)})")
