"""Synthetic orders that were placed to see whether the chain works."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "canaries",
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("store_id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("order_id", sa.BigInteger),
        sa.Column("placed_at", moment, nullable=False),
        sa.Column("answered_at", moment),
        sa.Column("loaded_at", moment),
        sa.Column("seen_at", moment),
        sa.Column("message", sa.Text),
        sa.Column("removed_at", moment),
        sa.PrimaryKeyConstraint("token", name="pk_canaries"),
        sa.CheckConstraint("state IN ('placing', 'placed', 'refused', 'seen')", name="ck_canaries_state"),
    )
    op.create_index("ix_canaries_store_id_placed_at", "canaries", ["store_id", "placed_at"])


def downgrade() -> None:
    op.drop_table("canaries")
