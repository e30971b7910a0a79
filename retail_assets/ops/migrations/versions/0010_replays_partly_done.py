"""A replay may load some of its records and have others refused again."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_RESULTS = ("running", "succeeded", "failed")


def upgrade() -> None:
    _allow(*_RESULTS, "partly")


def downgrade() -> None:
    # What the older release called it; the audit chain goes on telling how it was.
    op.execute("UPDATE replays SET result = 'succeeded' WHERE result = 'partly'")
    _allow(*_RESULTS)


def _allow(*results: str) -> None:
    # SQLite changes a constraint by making the table anew; the batch does that, and on Postgres just alters it.
    with op.batch_alter_table("replays") as batch:
        batch.drop_constraint("ck_replays_result", type_="check")
        batch.create_check_constraint("ck_replays_result", f"result IN ({', '.join(map(repr, results))})")
