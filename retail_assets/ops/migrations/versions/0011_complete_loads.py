"""Which loads read all that there was: a load of certain records says nothing of the others."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("load_log", sa.Column("is_complete", sa.Boolean, nullable=False, server_default=sa.true()))


def downgrade() -> None:
    # The older release would take them for loads of everything.
    op.execute("DELETE FROM load_log WHERE NOT is_complete")
    op.drop_column("load_log", "is_complete")
