"""``retail trace``: one order, payment, payout, bank line or ERP document through the whole chain, both ways."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from retail_assets.commands.warehouse import reading_warehouse
from retail_assets.contracts import TABLES, Table
from retail_assets.ops import inbox, links, outbox
from retail_assets.ops.links import Link
from retail_assets.ops.outbox import Posting
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings

Rows = list[dict[str, Any]]

#: Most items of a section that people are shown; scripts get all of them.
_SHOWN: Final = 40

# Everything that has a name: what it is, its key, and one row for each name that people may have of it.
_NAMES: Final = """
create temp table names as
with refunds as (
    select refund_key, unnest([refund_key, store_refund_key, gateway_refund_key]) as name from marts.fct_refunds
),

lines as (
    select
        lines.settlement_line_key, lines.dispute_key,
        unnest([lines.settlement_line_key, lines.line_id, lines.source_id]) as name
    from marts.fct_settlement_lines as lines
    where lines.line_type <> 'payout'
),

everything as (
    select 'order' as kind, order_key as key,
        unnest([order_key, order_number, cast(order_id as varchar), transaction_id]) as name
    from marts.fct_orders
    union all
    select 'order' as kind, store_id || ':' || id as key, order_key as name from raw_woocommerce.orders
    union all
    select 'payment' as kind, payment_key as key,
        unnest([payment_key, substr(payment_key, strpos(payment_key, ':') + 1), intent_id]) as name
    from marts.fct_payment_events
    union all
    select 'refund' as kind, refund_key as key, name from refunds
    union all
    select 'refund' as kind, refund_key as key, substr(name, strpos(name, ':') + 1) as name from refunds
    union all
    select 'settlement line' as kind, settlement_line_key as key, name from lines
    union all
    select 'dispute' as kind, dispute_key as key,
        unnest([dispute_key, substr(dispute_key, strpos(dispute_key, ':') + 1)]) as name
    from lines
    where dispute_key is not null
    union all
    select 'payout' as kind, settlement_key as key, unnest([settlement_key, payout_id, trace_id]) as name
    from marts.fct_settlements
    union all
    select 'bank line' as kind, bank_line_key as key, unnest([bank_line_key, bank_reference, end_to_end_id]) as name
    from marts.fct_bank_lines
    union all
    select 'journal entry' as kind, entry_id as key, entry_id as name from marts.acc_journal_entries
    union all
    select 'journal entry' as kind, entry_id as key, unnest([posting_key, erp_document]) as name from postings
    union all
    select 'ERP document' as kind, erp_document_key as key, unnest([erp_document_key, document_number]) as name
    from marts.fct_erp_documents
    union all
    select 'refused record' as kind, quarantine_id as key,
        unnest([quarantine_id, record_key, instance_id || ':' || record_key]) as name
    from marts.mon_failed_records
)

select distinct kind, key, name from everything where name <> '' and key is not null
"""

_NAMED: Final = """
create temp table named as
select distinct kind, key from names where lower(name) = lower($id) order by kind, key
"""

# What an event of the inbox told of has the names of the event.
_TOLD: Final = """
insert into named
select distinct kind, key from names
where kind = 'order' and key in (select unnest($keys)) and (kind, key) not in (select (kind, key) from named)
"""

_NEAR: Final = """
select name, kind, key
from names
where
    length(name) >= 3
    and (contains(lower(name), lower($id)) or levenshtein(lower(name), lower($id)) <= greatest(1, length($id) // 6))
group by name, kind, key
order by levenshtein(lower(name), lower($id)), name, kind, key
limit 8
"""

# An order leads up to its lines, payouts and bank lines; a payout or bank line leads down to the lines and orders in
# it. Going up and down again would bring in every other order of the same payout.
_FOUND: Final = (
    """
create temp table named_orders as
select key as order_key from named where kind = 'order'
union
select order_key from marts.fct_refunds where refund_key in (select key from named where kind = 'refund')
union
select order_key from marts.fct_payment_events where payment_key in (select key from named where kind = 'payment')
union
-- A charge may be of several orders, and then names none by itself.
select order_key from marts.rec_orders where payment_key in (select key from named where kind = 'payment')
union
select order_key from marts.acc_journal_entries where entry_id in (select key from named where kind = 'journal entry')
union
select coalesce(documents.order_key, entries.order_key) as order_key
from marts.fct_erp_documents as documents
left join postings on documents.posting_key = postings.posting_key
left join marts.acc_journal_entries as entries on postings.entry_id = entries.entry_id
where documents.erp_document_key in (select key from named where kind = 'ERP document')
""",
    """
create temp table named_entries as
select key as entry_id from named where kind = 'journal entry'
union
select postings.entry_id
from marts.fct_erp_documents as documents
inner join postings on documents.posting_key = postings.posting_key
where documents.erp_document_key in (select key from named where kind = 'ERP document')
""",
    """
create temp table named_payouts as
select key as settlement_key from named where kind = 'payout'
union
select settlement_key from marts.fct_bank_lines where bank_line_key in (select key from named where kind = 'bank line')
union
select settlement_key from marts.fct_payout_arrivals
where bank_line_key in (select key from named where kind = 'bank line')
union
select settlement_key from marts.acc_journal_entries
where entry_id in (select entry_id from named_entries) and entry_type in ('payout', 'payout_arrival')
""",
    """
create temp table rivals as
select settlement_line_key, unnest(string_split(rival_order_keys, ', ')) as order_key
from marts.rec_settlement_lines
where rival_order_keys is not null
""",
    """
create temp table found_lines as
select verdicts.settlement_line_key, verdicts.order_key, verdicts.settlement_key, lines.payment_key
from marts.rec_settlement_lines as verdicts
inner join marts.fct_settlement_lines as lines on verdicts.settlement_line_key = lines.settlement_line_key
where
    verdicts.order_key in (select order_key from named_orders)
    or verdicts.settlement_key in (select settlement_key from named_payouts)
    or verdicts.settlement_line_key in (select key from named where kind = 'settlement line')
    or verdicts.settlement_line_key in (select settlement_line_key from rivals natural join named_orders)
    or lines.payment_key in (select key from named where kind = 'payment')
    or lines.payment_key in (select payment_key from marts.rec_orders natural join named_orders)
    or lines.dispute_key in (select key from named where kind = 'dispute')
    or lines.gateway_refund_key in (
        select gateway_refund_key from marts.fct_refunds
        where refund_key in (select key from named where kind = 'refund')
    )
    or verdicts.settlement_line_key in (
        select settlement_line_key from marts.acc_journal_entries
        where entry_id in (select entry_id from named_entries)
    )
""",
    """
create temp table found_orders as
select order_key from named_orders where order_key is not null
union
select order_key from found_lines where order_key is not null
union
select order_key from marts.rec_orders
where payment_key in (select payment_key from found_lines where order_key is null and payment_key is not null)
union
select order_key from rivals where settlement_line_key in (select settlement_line_key from found_lines)
""",
    """
create temp table summaries as
select entry_id, event_id
from marts.acc_events
where
    entry_id like 'summary:%'
    and (
        order_key in (select order_key from found_orders)
        or settlement_line_key in (select settlement_line_key from found_lines)
    )
""",
    """
create temp table found_payouts as
select settlement_key from named_payouts where settlement_key is not null
union
select settlement_key from found_lines where settlement_key is not null
""",
)

# Columns whose names end in payload_sha256 say which raw record stands behind the row.
_SECTIONS: Final = {
    "orders": """
        select
            orders.order_key, orders.order_number, verdicts.order_status, orders.store_status, orders.currency_code,
            orders.total_amount, orders.created_at, orders.paid_at, orders.payload_sha256
        from marts.fct_orders as orders
        left join marts.rec_orders as verdicts on orders.order_key = verdicts.order_key
        where orders.order_key in (select order_key from found_orders)
        order by orders.order_key
    """,
    "payments": """
        select
            payment_key, event_type, match_status, match_rule, order_key, intent_id, currency_code, event_amount,
            occurred_at, payload_sha256
        from marts.fct_payment_events
        where
            order_key in (select order_key from found_orders)
            or payment_key in (select payment_key from found_lines)
            or payment_key in (select key from named where kind = 'payment')
        order by occurred_at, payment_event_key
    """,
    "refunds": """
        select
            refund_key, match_status, match_rule, order_key, store_refund_key, gateway_refund_key, currency_code,
            coalesce(store_refund_amount, gateway_refund_amount) as refund_amount, store_payload_sha256,
            gateway_payload_sha256
        from marts.fct_refunds
        where
            order_key in (select order_key from found_orders)
            or refund_key in (select key from named where kind = 'refund')
        order by refund_key
    """,
    "settlement_lines": """
        select
            verdicts.settlement_line_key, verdicts.line_type, verdicts.match_status, verdicts.match_rule,
            verdicts.order_key, verdicts.rival_order_keys, lines.payment_key, verdicts.settlement_key,
            lines.currency_code, lines.gross_amount, lines.fee_amount, lines.net_amount, lines.booked_at,
            lines.payload_sha256
        from marts.rec_settlement_lines as verdicts
        inner join marts.fct_settlement_lines as lines on lines.settlement_line_key = verdicts.settlement_line_key
        where verdicts.settlement_line_key in (select settlement_line_key from found_lines)
        order by lines.booked_at, verdicts.settlement_line_key
    """,
    "payouts": """
        select
            payouts.settlement_key, payouts.settlement_status, payouts.currency_code, payouts.net_amount,
            payouts.explained_by, payouts.residual_amount, payouts.balance_residual_amount, payouts.bank_match_rule,
            payouts.bank_line_key, payouts.arrival_date, facts.payload_sha256
        from marts.rec_settlements as payouts
        inner join marts.fct_settlements as facts on facts.settlement_key = payouts.settlement_key
        where payouts.settlement_key in (select settlement_key from found_payouts)
        order by payouts.settlement_key
    """,
    "bank_lines": """
        select
            bank_line_key, match_rule, settlement_key, currency_code, bank_amount, value_date, bank_reference,
            end_to_end_id, remittance_text, payload_sha256
        from marts.fct_bank_lines
        where
            settlement_key in (select settlement_key from found_payouts)
            or bank_line_key in (select key from named where kind = 'bank line')
            or bank_line_key in (
                select bank_line_key from marts.fct_payout_arrivals
                where settlement_key in (select settlement_key from found_payouts)
            )
        order by bank_line_key
    """,
    "journals": """
        select
            entries.entry_id, entries.entry_type, entries.posting_date, entries.base_total_amount,
            entries.base_currency_code, entries.posting_status, entries.hold_reason
        from marts.acc_journal_entries as entries
        where
            entries.entry_id in (select entry_id from named_entries)
            or entries.order_key in (select order_key from found_orders)
            or entries.settlement_line_key in (select settlement_line_key from found_lines)
            or entries.entry_id in (select entry_id from summaries)
            or (
                entries.settlement_key in (select settlement_key from found_payouts)
                and entries.entry_type in ('payout', 'payout_arrival')
            )
        order by entries.posting_date, entries.entry_id
    """,
    "postings": """
        select
            posting_key, entry_id, kind, state, erp_document, erp_id, posted_at, run_id, posted_by
        from postings
        where entry_id in (select entry_id from found_entries)
        order by entry_id, posting_key
    """,
    "erp_documents": """
        select
            documents.erp_document_key, documents.document_type, documents.document_number, documents.document_status,
            case when documents.posting_key is not null then 'posting_key' else 'order_number' end as match_rule,
            postings.entry_id, documents.order_key, documents.currency_code, documents.document_amount,
            documents.posting_date, documents.payload_sha256
        from marts.fct_erp_documents as documents
        left join postings on documents.posting_key = postings.posting_key
        where
            documents.erp_document_key in (select key from named where kind = 'ERP document')
            or documents.order_key in (select order_key from found_orders)
            or postings.entry_id in (select entry_id from found_entries)
        order by documents.posting_date, documents.erp_document_key
    """,
    "manual_links": """
        select
            link_id, left_key, right_key, state, linked_by, decided_by, linked_at, reason, version
        from manual_links
        where
            right_key in (select order_key from found_orders)
            or left_key in (select payment_key from found_lines)
            or left_key in (select settlement_key from found_payouts)
            or right_key in (select key from named where kind = 'bank line')
        order by left_key, right_key
    """,
    "suggestions": """
        select
            payment_key, order_key, evidence_class, confidence, calibrated_on_count, currency_code, captured_amount
        from marts.rec_match_suggestions
        where
            order_key in (select order_key from found_orders)
            or payment_key in (select payment_key from found_lines)
            or payment_key in (select key from named where kind = 'payment')
        order by payment_key
    """,
    "exceptions": """
        select
            exception_id, exception_type, work_status, assignee, amount_at_risk, currency_code, owner,
            suggested_action
        from marts.rec_exceptions
        where
            order_key in (select order_key from found_orders)
            or settlement_line_key in (select settlement_line_key from found_lines)
            or bank_line_key in (select key from named where kind = 'bank line')
            or (
                settlement_line_key is null and order_key is null
                and settlement_key in (select settlement_key from found_payouts)
            )
        order by exception_id
    """,
    "refused_records": """
        select
            quarantine_id, system, instance_id, table_name, record_key, field, value, reason, status, origin,
            payload_sha256
        from marts.mon_failed_records
        where quarantine_id in (select key from named where kind = 'refused record')
        order by quarantine_id
    """,
}

_EVENT_SHOWN: Final = (
    "event_id", "source", "topic", "received_at", "state", "reason", "trace_id", "delivery_id", "run_id",
)  # fmt: skip

#: Sections that no raw record stands behind.
_OF_OURS: Final = ("named", "webhooks", "postings", "manual_links", "suggestions", "exceptions")

_ENTRY_SOURCES: Final = """
select distinct entry_id, source_system, source_table, source_key, payload_sha256
from marts.acc_journal_line_sources
where
    entry_id in (select entry_id from found_entries)
    -- Of a summary only what was asked for, unless it was the summary itself.
    and (
        entry_id not in (select entry_id from summaries)
        or entry_id in (select entry_id from named_entries)
        or event_id in (select event_id from summaries)
    )
order by all
"""


def trace_of(settings: Settings, identifier: str, *, with_payload: bool = False) -> dict[str, Rows]:
    """Everything that belongs to ``identifier``, by section.

    ``named`` lists what has that name; when it is empty, so are all sections, and ``near_misses`` lists what is called
    nearly so. Each row of a section has its ``records``: the raw records behind it, with system, table, key and hash,
    and with ``with_payload`` the bytes that the source sent.
    """
    postings, by_hand = _evidence(settings)
    with _warehouse(settings) as connection:
        _prepare(connection, postings, by_hand)
        wanted = {"id": identifier.strip().removeprefix("#")}
        _rows(connection, _NAMED, wanted)
        events = _events_called(settings, wanted["id"])
        for trace_id in dict.fromkeys(event["trace_id"] for event in events):
            connection.execute("insert into named values ('webhook', ?)", [trace_id])
        connection.execute(_TOLD, {"keys": [_record_of(event) for event in events]})
        named = _rows(connection, "select kind, key from named order by all")
        if not named:
            return {"named": [], "near_misses": _rows(connection, _NEAR, wanted)}
        for statement in _FOUND:
            connection.execute(statement)
        found: dict[str, Rows] = {"named": named, "webhooks": []}
        for name, query in _SECTIONS.items():
            found[name] = _rows(connection, query)
            if name == "journals":
                connection.execute("create temp table found_entries (entry_id varchar)")
                _insert(connection, "found_entries", [(entry["entry_id"],) for entry in found["journals"]])
        own: dict[str, list[Posting]] = {}
        for posting in postings:
            own.setdefault(posting.entry_id, []).append(posting)
        for entry in found["journals"]:
            documents = [posting.erp_document for posting in own.get(entry["entry_id"], ()) if posting.erp_document]
            entry["erp_documents"] = ", ".join(documents) or None
        _add_records(connection, found, with_payload=with_payload)
    told = [*events, *_events_of(settings, [order["order_key"] for order in found["orders"]])]
    found["webhooks"] = [
        {name: event[name] for name in _EVENT_SHOWN} for event in {event["event_id"]: event for event in told}.values()
    ]
    return found


def _events_called(settings: Settings, name: str) -> Rows:
    """Events of the inbox by their trace id, as the logs have it, or by their sender's id."""
    operations = open_store(settings.operations_url)
    try:
        return inbox.called(operations, name)
    finally:
        operations.dispose()


def _record_of(event: dict[str, Any]) -> str:
    """The key of the record that an event told of."""
    return f"{event['source']}:{(event['subject'] or '').partition('/')[2]}"


def _events_of(settings: Settings, order_keys: Sequence[str]) -> Rows:
    """The events of the inbox that told of these orders, the newest first, each with the run that loaded it."""
    operations = open_store(settings.operations_url)
    try:
        return [
            event
            for key in order_keys
            for store_id, _, order_id in [key.partition(":")]
            for event in inbox.rows(operations, source=store_id, subject=f"orders/{order_id}")
        ]
    finally:
        operations.dispose()


def _evidence(settings: Settings) -> tuple[list[Posting], list[Link]]:
    operations = open_store(settings.operations_url)
    try:
        return outbox.postings(operations), links.links(operations)
    finally:
        operations.dispose()


@contextmanager
def _warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with reading_warehouse(settings) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def _prepare(connection: duckdb.DuckDBPyConnection, postings: Iterable[Posting], by_hand: Iterable[Link]) -> None:
    connection.execute(
        "create temp table postings (posting_key varchar, entry_id varchar, erp_document varchar, kind varchar, "
        "state varchar, erp_id varchar, posted_at timestamptz, run_id varchar, posted_by varchar)"
    )
    sent = [
        (one.posting_key, one.entry_id, one.erp_document, one.kind, one.state, one.erp_id, one.posted_at, one.run_id,
         one.actor)
        for one in postings
    ]  # fmt: skip
    _insert(connection, "postings", sent)
    connection.execute(
        "create temp table manual_links (link_id varchar, left_key varchar, right_key varchar, state varchar, "
        "linked_by varchar, decided_by varchar, linked_at timestamptz, reason varchar, version integer)"
    )
    made = [
        (each.link_id, each.left_key, each.right_key, each.state, each.actor, each.decided_by, each.acted_at,
         each.reason, each.version)
        for each in by_hand
    ]  # fmt: skip
    _insert(connection, "manual_links", made)
    connection.execute(_NAMES)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """All rows at once, as lists of values: row by row a ledger of a million entries would take minutes."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        marks = ", ".join("unnest(?)" for _ in columns)
        connection.execute(f"insert into {table} select {marks}", columns)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> Rows:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# --- the raw records ---


def _add_records(connection: duckdb.DuckDBPyConnection, found: dict[str, Rows], *, with_payload: bool) -> None:
    """``records`` for each row: where each hash of the row is in the raw tables."""
    sources = _rows(connection, _ENTRY_SOURCES)
    rows = [row for name, section in found.items() if name not in _OF_OURS for row in section]
    hashes = {row[column] for row in rows for column in _hash_columns(row) if row[column]}
    hashes |= {source["payload_sha256"] for source in sources if source["payload_sha256"]}
    places = _places(connection, hashes, with_payload=with_payload)
    for row in rows:
        row["records"] = [
            place for column in _hash_columns(row) for place in _of_row(places.get(row[column], []), list(row.values()))
        ]
    by_entry: dict[str, Rows] = {}
    for source in sources:
        known = _of_row(places.get(source["payload_sha256"], []), [source["source_key"]])
        by_entry.setdefault(source["entry_id"], []).extend(known)
    for entry in found["journals"]:
        entry["records"] = by_entry.get(entry["entry_id"], [])


def _hash_columns(row: dict[str, Any]) -> list[str]:
    return [name for name in row if name.endswith("payload_sha256")]


def _of_row(places: Rows, values: list[Any]) -> Rows:
    """Of a file with many rows those that belong to this row, when that can be told by their keys."""
    known = {part for value in values if isinstance(value, str) for part in (value, value.partition(":")[2])}
    own = [place for place in places if place["key"] in known or known & set(place["key"].split(":")[1:])]
    return own or places[:1]


def _places(connection: duckdb.DuckDBPyConnection, hashes: set[str], *, with_payload: bool) -> dict[str, Rows]:
    """Hash → the raw records that have it; of rows of files, which have no hash of their own, those of the file."""
    present = set(connection.execute("select schema_name, table_name from duckdb_tables()").fetchall())
    connection.execute("create temp table hashes (payload_sha256 varchar)")
    _insert(connection, "hashes", [(one,) for one in sorted(hashes)])
    places: dict[str, Rows] = {}
    for table in TABLES:
        hash_column = _hash_column(table)
        if hash_column is None or (table.schema, table.name) not in present:
            continue
        key = " || ':' || ".join(f"coalesce(cast(\"{name}\" as varchar), '')" for name in table.primary_key)
        payload = '"_payload"' if hash_column == "_payload_sha256" and with_payload else "null"
        for digest, record_key, loaded_at, bytes_ in connection.execute(
            f'select "{hash_column}", {key}, "_loaded_at", {payload} from {table.schema}."{table.name}" '  # noqa: S608
            f'where "{hash_column}" in (select payload_sha256 from hashes) order by 1, 2'
        ).fetchall():
            place = {
                "system": table.system, "table": f"{table.schema}.{table.name}", "key": record_key,
                "loaded_at": loaded_at, "payload_sha256": digest,
            }  # fmt: skip
            places.setdefault(digest, []).append(place | ({"payload": bytes_} if with_payload else {}))
    return places


def _hash_column(table: Table) -> str | None:
    names = [column.name for column in table.all_columns()]
    return next((name for name in ("_payload_sha256", "file_sha256") if name in names), None)


# --- for people ---


def print_trace(console: Console, identifier: str, found: dict[str, Rows]) -> None:
    """What has the name, then one paragraph for each thing found, by section; or what is called nearly so."""
    if not found["named"]:
        _print_near_misses(console, identifier, found["near_misses"])
        return
    hits = ", ".join(f"{item['kind']} [cyan]{escape(item['key'])}[/cyan]" for item in found["named"][:_SHOWN])
    console.print(f"{escape(identifier)} is the name of: {hits}", highlight=False)
    if len({item["key"] for item in found["named"] if item["kind"] == "order"}) > 1:
        console.print("Several orders have that name; their keys (in colour) name one alone.", highlight=False)
    for section, items in found.items():
        if section == "named" or not items:
            continue
        console.print(f"[bold]{section.replace('_', ' ')} ({len(items)})[/bold]", highlight=False)
        for item in items[:_SHOWN]:
            console.print(Padding(_in_words(item), (0, 0, 0, 2)), highlight=False)
            for record in item.get("records", ()):
                console.print(Padding(_record_in_words(record), (0, 0, 0, 6)), highlight=False)
                if record.get("payload"):
                    console.print(Padding(escape(record["payload"]), (0, 0, 0, 8)), highlight=False)
        if len(items) > _SHOWN:
            console.print(f"  … and {len(items) - _SHOWN} more; --json shows them all", highlight=False)


def _print_near_misses(console: Console, identifier: str, near: Rows) -> None:
    console.print(
        f"Nothing is called {escape(repr(identifier))}. Try an order number, id or key, a payment, refund or dispute "
        "reference of the gateway, a payout id, a bank reference, a journal entry or an ERP document.",
        highlight=False,
    )
    if near:
        console.print("Nearly so:", highlight=False)
    for item in near:
        console.print(f"  [cyan]{escape(item['name'])}[/cyan]  {item['kind']} {escape(item['key'])}", highlight=False)


def _in_words(item: dict[str, Any]) -> str:
    """The item's key, then each fact that it has with its name; amounts stand before their currency."""
    (_, key), *facts = (
        (name, value)
        for name, value in item.items()
        if value is not None and name != "records" and not name.endswith("payload_sha256")
    )
    shown = (f"[dim]{_LABELS.get(name, name.replace('_', ' '))}[/dim] {_text(value)}" for name, value in facts)
    return f"[cyan]{escape(str(key))}[/cyan]  " + "  ".join(shown)


def _record_in_words(record: dict[str, Any]) -> str:
    return (
        f"[dim]raw[/dim] {record['table']} {escape(record['key'])}  "
        f"[dim]loaded[/dim] {record['loaded_at']:%Y-%m-%d %H:%M}  [dim]sha256[/dim] {record['payload_sha256'][:16]}…"
    )


_LABELS: Final = {
    "base_total_amount": "total",
    "base_currency_code": "base",
    "match_rule": "matched by",
    "bank_match_rule": "bank line matched by",
    "evidence_class": "by",
    "calibrated_on_count": "measured on",
}


def _text(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) else escape(str(value))
