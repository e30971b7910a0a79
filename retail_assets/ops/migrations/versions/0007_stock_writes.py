"""What was written into stores' stock, and when each article was last seen to be right."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from retail_assets.ops.migrations.evidence import keep

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "stock_writes",
        sa.Column("write_id", sa.String(32), nullable=False),
        sa.Column("store_id", sa.String(40), nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("variation_id", sa.BigInteger),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("before_quantity", sa.Text, nullable=False),
        sa.Column("target_quantity", sa.Text, nullable=False),
        sa.Column("read_back_quantity", sa.Text),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("sent_at", moment, nullable=False),
        sa.Column("settled_at", moment),
        sa.PrimaryKeyConstraint("write_id", name="pk_stock_writes"),
        sa.CheckConstraint(
            "state IN ('sent', 'confirmed', 'differs', 'refused', 'unanswered')", name="ck_stock_writes_state"
        ),
        sa.CheckConstraint("(state = 'sent') = (settled_at IS NULL)", name="ck_stock_writes_settled"),
    )
    op.create_index("ix_stock_writes_store_id_state", "stock_writes", ["store_id", "state"])
    op.create_table(
        "stock_confirmations",
        sa.Column("store_id", sa.String(40), nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("confirmed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("store_id", "sku", name="pk_stock_confirmations"),
    )


def downgrade() -> None:
    keep("0007")
    op.drop_table("stock_confirmations")
    op.drop_table("stock_writes")
