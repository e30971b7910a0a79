"""The tables of the operations store.

Columns that the warehouse reads carry the names of the ``raw_ops`` contracts. Amounts appear only inside canonical
JSON, as strings.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from retail_assets.ops.canonical import utc_text


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC: ``timestamptz`` in Postgres, sortable text in SQLite, which has no such type."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        text = utc_text(value)
        return value.astimezone(UTC) if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

QUARANTINE_STATUSES: Final = ("open", "superseded")
DRIFT_KINDS: Final = ("added", "dropped", "retyped")
POSTING_KINDS: Final = ("entry", "reversal")
POSTING_STATES: Final = ("claimed", "sent", "posted", "failed")
APPROVAL_KINDS: Final = ("entry", "write_off", "policy", "link")
DECISIONS: Final = ("approved", "rejected")
EVENT_STATES: Final = ("received", "done", "dead")
ALERT_KINDS: Final = ("technical", "business")
ALERT_STATES: Final = ("open", "recovered")
ALERT_EVENTS: Final = ("raised", "recovered")
ATTESTED_STATES: Final = ("equal", "differs", "missing", "unreadable")
EXCEPTION_ACTIONS: Final = ("assign", "comment", "snooze", "resolve", "reopen", "write_off")
LINK_KINDS: Final = ("payment_order", "payout_bank")
LINK_ACTIONS: Final = ("link", "unlink")
REPLAY_KINDS: Final = ("quarantine", "inbox", "source", "order", "payout")
REPLAY_RESULTS: Final = ("running", "succeeded", "partly", "failed")
CANARY_STATES: Final = ("placing", "placed", "refused", "unanswered", "seen")
STOCK_WRITE_STATES: Final = ("sent", "confirmed", "differs", "refused", "unanswered")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", String(32), primary_key=True),
    Column("system", String(40), nullable=False),
    Column("instance_id", String(40), nullable=False),
    Column("table_name", String(80), nullable=False),
    Column("record_key", Text),
    Column("field", Text),
    Column("value", Text),
    Column("reason", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("status", String(10), nullable=False),
    Column("superseded_at", UtcDateTime),
    _one_of("status", QUARANTINE_STATUSES),
    Index(None, "system", "instance_id", "table_name", "status"),
)

load_log = Table(
    "load_log",
    metadata,
    Column("system", String(40), primary_key=True),
    Column("instance_id", String(40), primary_key=True),
    Column("resource", String(80), primary_key=True),
    Column("loaded_at", UtcDateTime, primary_key=True),
    Column("received", Integer, nullable=False),
    Column("loaded", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("run_id", String(80)),
    # Whether all that there was to read was read: not by a load of certain records, nor by a portion with more to come.
    Column("is_complete", Boolean, nullable=False, server_default=true()),
)

observed_fields = Table(
    "observed_fields",
    metadata,
    Column("system", String(40), primary_key=True),
    Column("instance_id", String(40), primary_key=True),
    Column("table_name", String(80), primary_key=True),
    Column("field", Text, primary_key=True),
    Column("json_types", Text, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("looked_at", BigInteger, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
)

source_drift = Table(
    "source_drift",
    metadata,
    Column("drift_id", String(32), primary_key=True),
    Column("system", String(40), nullable=False),
    Column("instance_id", String(40), nullable=False),
    Column("table_name", String(80), nullable=False),
    Column("field", Text, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    _one_of("kind", DRIFT_KINDS),
)

posting_outbox = Table(
    "posting_outbox",
    metadata,
    Column("posting_key", String(140), primary_key=True),
    Column("entry_id", String(140), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("entity_code", String(10), nullable=False),
    Column("erp_id", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    # content_hash: of the desired entry, what plans compare; payload_hash: of the document, what the ERP must hold.
    Column("content_hash", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("payload_hash", String(64), nullable=False),
    Column("posting_date", Date, nullable=False),
    Column("erp_document", Text),
    Column("posted_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("error_code", Text),
    Column("last_error", Text),
    Column("claimed_by", Text),
    Column("run_id", String(80), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    _one_of("kind", POSTING_KINDS),
    _one_of("state", POSTING_STATES),
    CheckConstraint("revision >= 1", name="revision"),
    CheckConstraint(
        "state <> 'posted' OR (erp_document IS NOT NULL AND posted_at IS NOT NULL)", name="posted_has_document"
    ),
    UniqueConstraint("entry_id", "revision", "kind"),
    Index(None, "entity_code", "state"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    # Text, not a timestamp: evidence is kept exactly as it was hashed.
    Column("at", String(27), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("entry_hash", String(64), nullable=False),
    UniqueConstraint("entry_hash"),
    Index(None, "subject"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("approval_id", String(32), primary_key=True),
    Column("kind", String(10), nullable=False),
    # What waits: an entry id, an exception id, an entity's policy; content_hash says in which version.
    Column("subject", Text, nullable=False),
    Column("entity_code", String(10), nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("summary", Text, nullable=False),
    # Major units as text: no engine's numeric type is trusted with evidence.
    Column("amount", Text),
    Column("currency_code", String(3)),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("decision", String(10)),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    Column("reason", Text),
    UniqueConstraint("kind", "subject", "content_hash"),
    _one_of("kind", APPROVAL_KINDS),
    _one_of("decision", DECISIONS),
    CheckConstraint(
        "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
        name="decided_by_somebody",
    ),
    CheckConstraint("decided_by <> requested_by", name="second_person"),
    Index(None, "entity_code", "decision"),
)

closed_periods = Table(
    "closed_periods",
    metadata,
    Column("entity_code", String(10), primary_key=True),
    # The month, as 2026-10; its days are those of the entity's books.
    Column("period", String(7), primary_key=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("closed_at", UtcDateTime, nullable=False),
    Column("report_sha256", String(64), nullable=False),
    CheckConstraint("first_day <= last_day", name="days"),
)

attestations = Table(
    "attestations",
    metadata,
    Column("posting_key", String(140), primary_key=True),
    Column("entity_code", String(10), nullable=False),
    Column("erp_id", String(40), nullable=False),
    Column("erp_document", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("detail", Text),
    # since: when it was first found in this state; checked_at: when it was last looked at.
    Column("since", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
    _one_of("state", ATTESTED_STATES),
    Index(None, "entity_code", "state"),
)

certificates = Table(
    "certificates",
    metadata,
    # SHA-256 of the body, which is canonical JSON.
    Column("certificate_id", String(64), primary_key=True),
    Column("entity_code", String(10), nullable=False),
    Column("run_id", String(80), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "entity_code", "issued_at"),
)

#: A rowid of SQLite's own is an INTEGER and nothing else.
_SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")

webhook_inbox = Table(
    "webhook_inbox",
    metadata,
    # In the order of arrival.
    Column("event_id", _SERIAL, primary_key=True, autoincrement=True),
    # The store or gateway, as retail.yaml calls it.
    Column("source", String(40), nullable=False),
    # What makes it the same event when it comes again: of a signed id, else of the body. Short, since each event
    # goes into another page of its index, and pages are what a commit costs.
    Column("identity", LargeBinary, nullable=False),
    # The sender's own name of the delivery, where it has one.
    Column("delivery_id", String(100)),
    Column("body_sha256", String(64), nullable=False),
    Column("topic", String(100)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("trace_id", String(32), nullable=False),
    # As received; emptied when the event has been done with for long enough.
    Column("body", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempted_at", UtcDateTime),
    # The load that was made of it, and which record that was about: orders/123.
    Column("run_id", String(80)),
    Column("subject", Text),
    Column("reason", Text),
    Column("finished_at", UtcDateTime),
    _one_of("state", EVENT_STATES),
    UniqueConstraint("identity"),
    Index(
        "ix_webhook_inbox_waiting",
        "event_id",
        sqlite_where=text("state = 'received'"),
        postgresql_where=text("state = 'received'"),
    ),
    # What is counted is found without the rows: the state stands behind the body in them.
    Index(None, "source", "state", "received_at"),
    Index(
        "ix_webhook_inbox_subject",
        "source",
        "subject",
        sqlite_where=text("subject IS NOT NULL"),
        postgresql_where=text("subject IS NOT NULL"),
    ),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    # What is wrong, by name: step:load_…, check:…, stale:…, exception:…; alert_id is its hash.
    Column("cause", Text, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("severity", String(10), nullable=False),
    Column("owner", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("what_to_do", Text, nullable=False),
    Column("entity_code", String(10)),
    Column("run_id", String(80)),
    Column("state", String(10), nullable=False),
    # How many times it came: each time is told of once.
    Column("episode", Integer, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("recovered_at", UtcDateTime),
    _one_of("kind", ALERT_KINDS),
    _one_of("state", ALERT_STATES),
    CheckConstraint("(state = 'recovered') = (recovered_at IS NOT NULL)", name="recovered_once"),
    Index(None, "state"),
)

alert_messages = Table(
    "alert_messages",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    Column("episode", Integer, primary_key=True),
    Column("event", String(10), primary_key=True),
    Column("channel_id", String(40), primary_key=True),
    Column("sent_at", UtcDateTime, nullable=False),
    _one_of("event", ALERT_EVENTS),
)

alert_channels = Table(
    "alert_channels",
    metadata,
    Column("channel_id", String(40), primary_key=True),
    Column("last_sent_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("last_error", Text),
)

alert_runs = Table(
    "alert_runs",
    metadata,
    Column("run_id", String(80), primary_key=True),
    Column("ended_at", UtcDateTime, nullable=False),
    Index(None, "ended_at"),
)

exception_actions = Table(
    "exception_actions",
    metadata,
    # The number of its entry in the audit log, which tells the same: rows are never changed.
    Column("audit_seq", Integer, primary_key=True, autoincrement=False),
    Column("exception_id", Text, nullable=False),
    Column("action", String(10), nullable=False),
    Column("actor", Text, nullable=False),
    Column("acted_at", UtcDateTime, nullable=False),
    Column("assignee", Text),
    Column("snoozed_until", Date),
    Column("reason", Text),
    Column("approval_id", String(32)),
    # The exception as it was when somebody acted on it: canonical JSON.
    Column("seen", Text, nullable=False),
    _one_of("action", EXCEPTION_ACTIONS),
    Index(None, "exception_id"),
)

manual_links = Table(
    "manual_links",
    metadata,
    Column("audit_seq", Integer, primary_key=True, autoincrement=False),
    # The same for the same two records; each link and unlink of it is a version more.
    Column("link_id", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("action", String(10), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("left_key", Text, nullable=False),
    Column("right_key", Text, nullable=False),
    Column("entity_code", String(10), nullable=False),
    Column("exception_id", Text),
    Column("amount", Text, nullable=False),
    Column("currency_code", String(3), nullable=False),
    Column("actor", Text, nullable=False),
    Column("acted_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approval_id", String(32)),
    _one_of("action", LINK_ACTIONS),
    _one_of("kind", LINK_KINDS),
    CheckConstraint("version >= 1", name="version"),
    UniqueConstraint("link_id", "version"),
)

replays = Table(
    "replays",
    metadata,
    Column("replay_id", String(32), primary_key=True),
    Column("kind", String(20), nullable=False),
    # What was replayed: an id, a source instance with its window, an order, a payout.
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("result", String(10), nullable=False),
    Column("received", Integer, nullable=False),
    Column("loaded", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("detail", Text),
    _one_of("kind", REPLAY_KINDS),
    _one_of("result", REPLAY_RESULTS),
    Index(None, "started_at"),
)

stock_writes = Table(
    "stock_writes",
    metadata,
    Column("write_id", String(32), primary_key=True),
    Column("store_id", String(40), nullable=False),
    Column("product_id", BigInteger, nullable=False),
    Column("variation_id", BigInteger),
    Column("sku", Text, nullable=False),
    Column("run_id", String(80), nullable=False),
    Column("actor", Text, nullable=False),
    # Quantities as text, like amounts: no engine's numeric type is trusted with evidence.
    Column("before_quantity", Text, nullable=False),
    Column("target_quantity", Text, nullable=False),
    Column("read_back_quantity", Text),
    Column("state", String(10), nullable=False),
    Column("message", Text),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    _one_of("state", STOCK_WRITE_STATES),
    CheckConstraint("(state = 'sent') = (settled_at IS NULL)", name="settled"),
    Index(None, "store_id", "state"),
)

stock_confirmations = Table(
    "stock_confirmations",
    metadata,
    Column("store_id", String(40), primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", Text, nullable=False),
    Column("confirmed_at", UtcDateTime, nullable=False),
)

canaries = Table(
    "canaries",
    metadata,
    # What the order carries: nobody can guess it, so nobody can pass an order off as one of ours.
    Column("token", String(32), primary_key=True),
    Column("store_id", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("order_id", BigInteger),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("loaded_at", UtcDateTime),
    Column("seen_at", UtcDateTime),
    Column("message", Text),
    Column("removed_at", UtcDateTime),
    _one_of("state", CANARY_STATES),
    Index(None, "store_id", "placed_at"),
)
