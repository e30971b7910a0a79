"""Approvals, closed periods, read-back attestations and certificates of posted batches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from retail_assets.ops.migrations.evidence import keep

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("amount", sa.Text),
        sa.Column("currency_code", sa.String(3)),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("decision", sa.String(10)),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", moment),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("approval_id", name="pk_approvals"),
        sa.UniqueConstraint("kind", "subject", "content_hash", name="uq_approvals_kind_subject_content_hash"),
        sa.CheckConstraint("kind IN ('entry', 'write_off', 'policy')", name="ck_approvals_kind"),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name="ck_approvals_decision"),
        sa.CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name="ck_approvals_decided_by_somebody",
        ),
        sa.CheckConstraint("decided_by <> requested_by", name="ck_approvals_second_person"),
    )
    op.create_index("ix_approvals_entity_code_decision", "approvals", ["entity_code", "decision"])
    op.create_table(
        "closed_periods",
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("closed_at", moment, nullable=False),
        sa.Column("report_sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("entity_code", "period", name="pk_closed_periods"),
        sa.CheckConstraint("first_day <= last_day", name="ck_closed_periods_days"),
    )
    op.create_table(
        "attestations",
        sa.Column("posting_key", sa.String(140), nullable=False),
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("erp_id", sa.String(40), nullable=False),
        sa.Column("erp_document", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("since", moment, nullable=False),
        sa.Column("checked_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("posting_key", name="pk_attestations"),
        sa.CheckConstraint("state IN ('equal', 'differs', 'missing', 'unreadable')", name="ck_attestations_state"),
    )
    op.create_index("ix_attestations_entity_code_state", "attestations", ["entity_code", "state"])
    op.create_table(
        "certificates",
        sa.Column("certificate_id", sa.String(64), nullable=False),
        sa.Column("entity_code", sa.String(10), nullable=False),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("issued_at", moment, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", name="pk_certificates"),
    )
    op.create_index("ix_certificates_entity_code_issued_at", "certificates", ["entity_code", "issued_at"])


def downgrade() -> None:
    keep("0003")
    op.drop_table("certificates")
    op.drop_table("attestations")
    op.drop_table("closed_periods")
    op.drop_table("approvals")
