"""Canaries whose answer was lost: the store may have them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATES = ("placing", "placed", "refused", "seen")


def upgrade() -> None:
    _allow_only(*_STATES, "unanswered")


def downgrade() -> None:
    # What the older release calls one of which it knows no answer.
    op.execute("UPDATE canaries SET state = 'placing' WHERE state = 'unanswered'")
    _allow_only(*_STATES)


def _allow_only(*states: str) -> None:
    with op.batch_alter_table("canaries") as batch:
        batch.drop_constraint("ck_canaries_state", type_="check")
        batch.create_check_constraint("ck_canaries_state", f"state IN ({', '.join(repr(state) for state in states)})")
