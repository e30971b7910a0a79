"""Quarantine, load log, posting outbox and audit log.

A migration is frozen: it spells its tables out instead of importing the models, which will move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MESSAGE = "audit_log is append-only: entries are never changed or removed"


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.String(32), nullable=False),
        sa.Column("system", sa.String(40), nullable=False),
        sa.Column("instance_id", sa.String(40), nullable=False),
        sa.Column("table_name", sa.String(80), nullable=False),
        sa.Column("record_key", sa.Text),
        sa.Column("field", sa.Text),
        sa.Column("value", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("payload_sha256", sa.String(64), nullable=False),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("superseded_at", moment),
        sa.PrimaryKeyConstraint("quarantine_id", name="pk_quarantine"),
        sa.CheckConstraint("status IN ('open', 'superseded')", name="ck_quarantine_status"),
    )
    op.create_index(
        "ix_quarantine_system_instance_id_table_name_status",
        "quarantine",
        ["system", "instance_id", "table_name", "status"],
    )
    op.create_table(
        "load_log",
        sa.Column("system", sa.String(40), nullable=False),
        sa.Column("instance_id", sa.String(40), nullable=False),
        sa.Column("resource", sa.String(80), nullable=False),
        sa.Column("loaded_at", moment, nullable=False),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("loaded", sa.Integer, nullable=False),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(80)),
        sa.PrimaryKeyConstraint("system", "instance_id", "resource", "loaded_at", name="pk_load_log"),
    )
    op.create_table(
        "posting_outbox",
        sa.Column("posting_key", sa.String(140), nullable=False),
        sa.Column("entry_id", sa.String(140), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("erp_id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("payload_hash", sa.String(64), nullable=False),
        sa.Column("posting_date", sa.Date, nullable=False),
        sa.Column("erp_document", sa.Text),
        sa.Column("posted_at", moment),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error_code", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.Column("claimed_by", sa.Text),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("posting_key", name="pk_posting_outbox"),
        sa.UniqueConstraint("entry_id", "revision", "kind", name="uq_posting_outbox_entry_id_revision_kind"),
        sa.CheckConstraint("kind IN ('entry', 'reversal')", name="ck_posting_outbox_kind"),
        sa.CheckConstraint("state IN ('claimed', 'sent', 'posted', 'failed')", name="ck_posting_outbox_state"),
        sa.CheckConstraint("revision >= 1", name="ck_posting_outbox_revision"),
        sa.CheckConstraint(
            "state <> 'posted' OR (erp_document IS NOT NULL AND posted_at IS NOT NULL)",
            name="ck_posting_outbox_posted_has_document",
        ),
    )
    op.create_index("ix_posting_outbox_entity_code_state", "posting_outbox", ["entity_code", "state"])
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("entry_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_log"),
        sa.UniqueConstraint("entry_hash", name="uq_audit_log_entry_hash"),
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_postgres()
    else:
        _refuse_changes_sqlite()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_log_append_only ON audit_log")
        op.execute("DROP TRIGGER audit_log_no_truncate ON audit_log")
        op.execute("DROP FUNCTION audit_log_refuse()")
    for table in ("audit_log", "posting_outbox", "load_log", "quarantine"):
        op.drop_table(table)


def _refuse_changes_sqlite() -> None:
    op.execute(
        f"CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
    )
    op.execute(
        f"CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
    )


def _refuse_changes_postgres() -> None:
    op.execute(
        "CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_MESSAGE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"
    )
