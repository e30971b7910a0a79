"""What goes into the evidence of a month: its files by name, each made of the marts, the operations store or the code.

Nothing here knows a clock but that of the marts, and every list has an order: the same state gives the same bytes. Left
out is what may name a person other than those who worked here: texts of banks and gateways, the evidence of exceptions,
values of refused records, comments.
"""

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import duckdb
from pydantic import SecretStr
from sqlalchemy import Engine

from retail_assets.accounting.control import models_hash, policy_hash, rules_hash, seed_hashes
from retail_assets.commands import evidence_code
from retail_assets.contracts import TABLES
from retail_assets.ops import approvals, attestations, audit, certificates, exception_actions, load_log, outbox, periods
from retail_assets.ops.canonical import canonical_json, decimal_text, sha256_hex, utc_text
from retail_assets.ops.outbox import Posting
from retail_assets.ops.periods import Period
from retail_assets.settings import Entity, Instance, Settings
from retail_assets.sources.files import complete_files, sha256_of

Row = dict[str, Any]

FORMAT: Final = 1
_ZERO: Final = Decimal(0)
_MAIL: Final = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+")
#: A spreadsheet would take such a text for a formula.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_FETCHED: Final = 50_000


@dataclass(frozen=True, slots=True)
class Step:
    """How records become journal entries, and what must be equal on both sides.

    Attributes:
        records: their key, instance, currency, amount and day, as SQL over the marts; of one entity, ``$entity``.
        event_key: the column of ``acc_events`` that holds their key.
        account_role: whose movement is their amount: debits less credits, times ``sign``.
    """

    name: str
    records: str
    event_type: str
    event_key: str
    instance: str
    account_role: str
    sign: int


STEPS: Final = (
    Step(
        "orders to sales",
        """
        select rec.order_key as record_key, rec.store_id as instance_id, rec.currency_code,
            rec.expected_amount as amount, orders.accounting_date as day
        from marts.rec_orders as rec
        inner join marts.fct_orders as orders on rec.order_key = orders.order_key
        where rec.entity_code = $entity
        """,
        "sale_captured",
        "order_key",
        "store_id",
        "receivables",
        1,
    ),
    Step(
        "refunds to credit entries",
        """
        select refund_key as record_key, store_id as instance_id, currency_code,
            coalesce(store_refund_amount, gateway_refund_amount) as amount, accounting_date as day
        from marts.fct_refunds
        where entity_code = $entity
        """,
        "refund_approved",
        "refund_key",
        "store_id",
        "receivables",
        -1,
    ),
    Step(
        "settlement lines to entries",
        """
        select settlement_line_key as record_key, gateway_id as instance_id, currency_code,
            case when is_clearing then net_amount else 0 end as amount, accounting_date as day
        from marts.fct_settlement_lines
        where entity_code = $entity and line_type <> 'payout'
        """,
        "settlement_line_booked",
        "settlement_line_key",
        "gateway_id",
        "gateway_clearing",
        1,
    ),
    Step(
        "payouts to entries",
        """
        select settlement_line_key as record_key, gateway_id as instance_id, currency_code,
            case when is_clearing then -net_amount else 0 end as amount, accounting_date as day
        from marts.fct_settlement_lines
        where entity_code = $entity and line_type = 'payout'
        """,
        "payout_sent",
        "settlement_line_key",
        "gateway_id",
        "gateway_clearing",
        -1,
    ),
    Step(
        "arrivals on the bank to entries",
        """
        select arrivals.settlement_key || ' ' || arrivals.bank_line_key as record_key,
            payouts.gateway_id as instance_id, arrivals.currency_code, arrivals.matched_amount as amount,
            arrivals.value_date as day
        from marts.fct_payout_arrivals as arrivals
        inner join marts.rec_settlements as payouts on arrivals.settlement_key = payouts.settlement_key
        where payouts.entity_code = $entity
        """,
        "payout_arrived",
        "settlement_key || ' ' || bank_line_key",
        "gateway_id",
        "bank",
        1,
    ),
)

_FLOW: Final = """
    with booked as (
        select {event_key} as record_key, min(entry_id) as entry_id, min(accounting_date) as day
        from marts.acc_events
        where entity_code = $entity and event_type = '{event_type}'
        group by {event_key}
    ),

    records as (
        select
            found.instance_id, found.currency_code, found.amount, booked.entry_id,
            coalesce(entries.posting_status, 'not booked') as posting_status
        from ({records}) as found
        left join booked on found.record_key = booked.record_key
        left join marts.acc_journal_entries as entries on booked.entry_id = entries.entry_id
        -- What is booked belongs to the month of its entry.
        where coalesce(booked.day, found.day) between $first and $last
    ),

    recorded as (
        select
            instance_id, currency_code,
            count(*) as record_count,
            sum(amount) as record_amount,
            count(*) filter (where posting_status = 'ready') as ready_count,
            count(*) filter (where posting_status = 'held') as held_count,
            count(*) filter (where posting_status = 'not booked') as not_booked_count,
            coalesce(sum(amount) filter (where posting_status = 'not booked'), 0) as not_booked_amount
        from records
        group by instance_id, currency_code
    ),

    journal as (
        select
            coalesce(lines.{instance}, '') as instance_id, lines.currency_code,
            count(distinct lines.entry_id) as entry_count,
            sum({sign} * (lines.debit_amount - lines.credit_amount)) as journal_amount
        from marts.acc_journal_lines as lines
        where
            lines.account_role = '{account_role}'
            and lines.entry_id in (select entry_id from records where entry_id is not null)
        group by all
    )

    select
        coalesce(recorded.instance_id, journal.instance_id) as instance_id,
        coalesce(recorded.currency_code, journal.currency_code) as currency_code,
        coalesce(recorded.record_count, 0) as record_count,
        coalesce(recorded.record_amount, 0) as record_amount,
        coalesce(recorded.ready_count, 0) as ready_count,
        coalesce(recorded.held_count, 0) as held_count,
        coalesce(recorded.not_booked_count, 0) as not_booked_count,
        coalesce(recorded.not_booked_amount, 0) as not_booked_amount,
        coalesce(journal.entry_count, 0) as entry_count,
        coalesce(journal.journal_amount, 0) as journal_amount,
        coalesce(recorded.record_amount, 0) - coalesce(recorded.not_booked_amount, 0)
        - coalesce(journal.journal_amount, 0) as difference_amount
    from recorded
    full join journal
        on coalesce(recorded.instance_id, '') = journal.instance_id
        and recorded.currency_code = journal.currency_code
    order by instance_id, currency_code
"""

#: Of each kind: what it is about, the rule that decided, what it decided, and which keys it went by.
_EXAMPLES: Final = {
    "order and payment": """
        select coalesce(rec.match_rule, 'none') as rule, coalesce(rec.match_status, 'no money') as outcome,
            rec.order_key as example_key, rec.expected_amount as amount, rec.currency_code,
            {'order': rec.order_key, 'payment': rec.payment_key} as input_keys
        from marts.rec_orders as rec
        inner join marts.fct_orders as orders on rec.order_key = orders.order_key
        where rec.entity_code = $entity and orders.accounting_date between $first and $last
    """,
    "line of a gateway's ledger": """
        select coalesce(match_rule, 'none') as rule, line_type || ': ' || match_status as outcome,
            settlement_line_key as example_key, net_amount as amount, currency_code,
            {'line': settlement_line_key, 'payment': payment_key, 'order': order_key, 'refund': refund_key}
            as input_keys
        from marts.rec_settlement_lines
        where entity_code = $entity and accounting_date between $first and $last
    """,
    "refund": """
        select coalesce(match_rule, 'none') as rule, match_status as outcome, refund_key as example_key,
            coalesce(store_refund_amount, gateway_refund_amount) as amount, currency_code,
            {'store': store_refund_key, 'gateway': gateway_refund_key, 'order': order_key} as input_keys
        from marts.fct_refunds
        where entity_code = $entity and accounting_date between $first and $last
    """,
    "payout and bank": """
        select coalesce(bank_match_rule, 'none') as rule, settlement_status as outcome, settlement_key as example_key,
            net_amount as amount, currency_code,
            {'payout': settlement_key, 'bank line': bank_line_key} as input_keys
        from marts.rec_settlements
        where entity_code = $entity and accounting_date between $first and $last
    """,
    "fee": """
        select coalesce(fee_rule_id, 'none') as rule, fee_status as outcome, settlement_line_key as example_key,
            difference_amount as amount, currency_code,
            {'line': settlement_line_key, 'payment': payment_key} as input_keys
        from marts.rec_fees
        where entity_code = $entity and accounting_date between $first and $last
    """,
    "exception": """
        select exception_type as rule, status || ': ' || work_status as outcome, exception_id as example_key,
            amount_at_risk as amount, currency_code,
            {'order': order_key, 'payout': settlement_key, 'line': settlement_line_key, 'bank line': bank_line_key}
            as input_keys
        from marts.rec_exceptions
        where
            (entity_code = $entity or entity_code is null)
            and opened_at >= $starts_at and opened_at < $ends_at
    """,
    "journal entry": """
        select entry_type as rule, posting_status as outcome, entry_id as example_key,
            base_total_amount as amount, base_currency_code as currency_code,
            {'order': order_key, 'refund': refund_key, 'line': settlement_line_key, 'payout': settlement_key,
            'bank line': bank_line_key} as input_keys
        from marts.acc_journal_entries
        where entity_code = $entity and posting_date between $first and $last
    """,
}


class Evidence:
    """The files of one entity's month. Amounts are in major units of the currency beside them, times UTC.

    Args:
        warehouse: the marts of the last build, opened for reading only.
    """

    def __init__(
        self,
        settings: Settings,
        operations: Engine,
        warehouse: duckdb.DuckDBPyConnection,
        entity: Entity,
        period: Period,
    ) -> None:
        self.settings, self.operations, self.warehouse = settings, operations, warehouse
        self.entity, self.period = entity, period
        before = Period.of(period.first_day - timedelta(days=1))
        self.starts_at, self.ends_at = before.ends_at(entity.time_zone), period.ends_at(entity.time_zone)
        (clock,) = self._rows("select as_of from staging.stg_ops__clock")
        self.as_of: datetime = clock["as_of"].replace(tzinfo=UTC)
        self.sources = settings.configuration.sources_of(entity.code)
        #: What the cover tells of, by name; filled as the files are made.
        self.figures: dict[str, Any] = {}
        self._all_postings = outbox.postings(operations, entity_code=entity.code)
        self.postings = [one for one in self._all_postings if self._is_of_month(one.posting_date)]

    def files(self) -> dict[str, bytes]:
        """Every file but the cover and the manifest, by its name in the pack."""
        return {
            "parameters.json": _json(self.parameters()),
            "rules/policy.json": _json(self.settings.configuration.policy(self.entity.code).model_dump(mode="json")),
            "rules/configuration.json": _json(self.configuration()),
            "rules/hashes.json": _json(self.rules()),
            **dict(self.code()),
            "sources/loads.csv": self._csv("loads", self.loads()),
            "sources/completeness.csv": self._csv("completeness", self.completeness()),
            "sources/records.csv": self._csv("records", self.records()),
            "sources/files.csv": self._csv("files", self.source_files()),
            "sources/quarantine.csv": self._csv("quarantine", self.quarantine()),
            "totals/control_totals.csv": self._csv("control_totals", self.control_totals()),
            "totals/journal_totals.csv": self._csv("journal_totals", self.journal_totals()),
            "totals/trial_balance.csv": self._csv("trial_balance", self.trial_balance()),
            "journal/entries.csv": self._csv("entries", self.entries()),
            "journal/lines.csv": _csv(*self._stream(_LINES)),
            "journal/sources.csv": self._csv("journal_sources", self.journal_sources()),
            "postings/postings.csv": self._csv("postings", self.posted()),
            "postings/approvals.csv": self._csv("approvals", self.approved()),
            "postings/certificates.csv": self._csv("certificates", self.issued()),
            **dict(self.certified()),
            "exceptions/exceptions.csv": self._csv("exceptions", self.exceptions()),
            "exceptions/actions.csv": self._csv("actions", self.actions()),
            "exceptions/links.csv": self._csv("links", self.links()),
            "test_of_one.csv": self._csv("test_of_one", self.test_of_one()),
        }

    def parameters(self) -> Row:
        """What was asked for: the same for every pack of this entity and month but for the as-of and the close."""
        entity, period = self.entity, self.period
        closed = next((row for row in periods.closed(self.operations, entity.code) if row.period == str(period)), None)
        found = {
            "format": FORMAT,
            "entity_code": entity.code,
            "entity_name": entity.name,
            "period": str(period),
            "first_day": period.first_day,
            "last_day": period.last_day,
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "as_of": self.as_of,
            "time_zone": entity.time_zone,
            "base_currency_code": entity.base_currency,
            "erp_id": entity.erp,
            "company": entity.company,
            "closed": None
            if closed is None
            else {
                "closed_by": closed.closed_by,
                "closed_at": closed.closed_at,
                "report_sha256": closed.report_sha256,
            },
        }
        self.figures["parameters"] = found
        return found

    def configuration(self) -> Row:
        """The entity and its sources as they are configured; no setting that is a secret, by its type."""
        sources = [
            {"section": type(item).section(), "source": item.source, **_without_secrets(item)} for item in self.sources
        ]
        return {"entity": self.entity.model_dump(mode="json"), "sources": sources}

    def rules(self) -> Row:
        """The hashes by which postings and certificates name their rules."""
        found = {
            "policy_sha256": policy_hash(self.settings, self.entity.code),
            "rules_sha256": rules_hash(self.settings, self.entity.code),
            "configuration_sha256": sha256_hex(canonical_json(_canonical(self.configuration()))),
            "seeds_sha256": seed_hashes(self.settings),
            "models_sha256": models_hash(self.settings),
        }
        self.figures["rules"] = found
        return found

    def code(self) -> Iterator[tuple[str, bytes]]:
        """The models from the raw tables to the journals, as dbt compiled them for the last build; and versions."""
        manifest = evidence_code.manifest(self.settings)
        nodes = evidence_code.ancestors(manifest["nodes"])
        listed, digest = [], hashlib.sha256()
        for place, node in enumerate(nodes, start=1):
            is_model = node["resource_type"] == "model"
            content = evidence_code.compiled(self.settings, node)
            name = f"code/sql/{place:03d}_{node['name']}.{'sql' if is_model else 'csv'}"
            # Of the manifest itself every build has another hash: it holds when it was made.
            line = [node["unique_id"], node["checksum"]["checksum"], hashlib.sha256(content).hexdigest()]
            digest.update(canonical_json(line).encode() + b"\n")
            listed.append(
                {
                    "place": place,
                    "name": node["name"],
                    "kind": node["resource_type"],
                    "relation": node["relation_name"],
                    "path": node["original_file_path"],
                    "source_checksum": node["checksum"]["checksum"],
                    "compiled_sha256": line[2],
                    "depends_on": " ".join(sorted(key.split(".", 2)[2] for key in node["depends_on"].get("nodes", []))),
                    "description": " ".join((node.get("description") or "").split()),
                }
            )
            yield name, content
        yield "code/models.csv", self._csv("models", listed)
        versions = evidence_code.versions(self.settings, manifest["metadata"])
        versions["dbt_manifest_sha256"] = digest.hexdigest()
        self.figures["versions"] = versions
        yield "code/versions.json", _json(versions)

    def loads(self) -> list[Row]:
        """What the sources sent from the first day of the month until the as-of, and what became of it."""
        names = [item.id for item in self.sources]
        return load_log.totals(self.operations, names, since=self.starts_at, until=max(self.as_of, self.starts_at))

    def completeness(self) -> list[Row]:
        """What was counted at the source, and here, for each stretch of time that touches the month."""
        return self._rows(
            """
            select
                check_name, source_system, instance_id, resource, window_start_at, window_end_at, expected_count,
                actual_count, currency_code, expected_amount, actual_amount, difference_amount, completeness_status,
                exception_id
            from marts.mon_completeness
            where
                instance_id in (select unnest($instances))
                and window_end_at >= $first
                and (window_start_at is null or window_start_at <= $last)
            order by all
            """,
            instances=[item.id for item in self.sources],
        )

    def records(self) -> list[Row]:
        """Raw records of each source: how many there are, in the marts, and behind the journal of the month."""
        self.warehouse.execute("create or replace temp table in_marts as " + " union ".join(_HASHES))
        behind = {
            (row["source_system"], row["source_table"], row["instance_id"]): row["journal_count"]
            for row in self._rows(
                """
                select source_system, source_table, split_part(source_key, ':', 1) as instance_id,
                    count(distinct source_key) as journal_count
                from marts.acc_journal_line_sources
                where entry_id in (
                    select entry_id from marts.acc_journal_entries
                    where entity_code = $entity and posting_date between $first and $last
                )
                group by all
                """
            )
        }
        found = []
        for table in TABLES:
            ids = {item.id for item in self.sources if item.source == table.system}
            if not ids or not table.instance_column:
                continue
            has_payload = any(column.name == "_payload_sha256" for column in table.all_columns())
            in_marts = "count(in_marts.payload_sha256)" if has_payload else "null"
            join = "left join in_marts on raw._payload_sha256 = in_marts.payload_sha256" if has_payload else ""
            for row in self._rows(
                f"""
                select raw.{table.instance_column} as instance_id, count(*) as raw_count, {in_marts} as mart_count,
                    max(raw._loaded_at) as last_loaded_at
                from {table.schema}."{table.name}" as raw
                {join}
                where raw.{table.instance_column} in (select unnest($instances))
                group by 1
                order by 1
                """,  # noqa: S608 -- names from our own contracts
                instances=sorted(ids),
            ):
                key = (table.system, table.name, row["instance_id"])
                found.append(
                    {"source_system": table.system, "raw_table": table.name, **row, "journal_count": behind.get(key, 0)}
                )
        return found

    def source_files(self) -> list[Row]:
        """Files that were read, as the raw tables name them, and those that lie in the folders of the sources now."""
        found: dict[tuple[str, str, str], Row] = {}

        def noted(instance: str, name: str, digest: str) -> Row:
            row = {"instance_id": instance, "file": name, "sha256": digest, "record_count": 0, "in_folder": False}
            return found.setdefault((instance, name, digest), row)

        for table in TABLES:
            if {"file_name", "file_sha256"} <= {column.name for column in table.columns}:
                for row in self._rows(
                    f"""
                    select {table.instance_column} as instance_id, file_name, file_sha256, count(*) as record_count
                    from {table.schema}."{table.name}"
                    where {table.instance_column} in (select unnest($instances)) and file_sha256 is not null
                    group by all
                    """,  # noqa: S608 -- names from our own contracts
                    instances=[item.id for item in self.sources],
                ):
                    file = noted(row["instance_id"], row["file_name"], row["file_sha256"])
                    file["record_count"] += row["record_count"]
        for item in self.sources:
            if item.declared.access == "files":
                for path in complete_files(self.settings.inbox_path(item)):
                    noted(item.id, path.name, sha256_of(path))["in_folder"] = True
        return [found[key] for key in sorted(found)]

    def quarantine(self) -> list[Row]:
        """Records that were refused and are not in the figures; without their values."""
        return self._rows(
            """
            select
                quarantine_id, system, instance_id, table_name, record_key, field, origin, status, first_seen_at,
                last_seen_at, payload_sha256
            from marts.mon_failed_records
            where instance_id in (select unnest($instances)) and first_seen_at <= $as_of
            order by instance_id, table_name, quarantine_id
            """,
            instances=[item.id for item in self.sources],
            as_of=self.as_of.replace(tzinfo=None),
        )

    def control_totals(self) -> list[Row]:
        """Records of the month against the entries they became: none lost on the way, and the amount the same."""
        return [
            {"step": step.name, **row}
            for step in STEPS
            for row in self._rows(
                _FLOW.format(**{name: getattr(step, name) for name in Step.__slots__ if name != "name"})
            )
        ]

    def journal_totals(self) -> list[Row]:
        """Entries and lines of the month by what they are about."""
        return self._rows(
            """
            select
                entries.entry_type, entries.posting_status, lines.currency_code,
                count(distinct entries.entry_id) as entry_count, count(*) as line_count,
                sum(lines.debit_amount) as debit_amount, sum(lines.credit_amount) as credit_amount,
                lines.base_currency_code, sum(lines.base_debit_amount) as base_debit_amount,
                sum(lines.base_credit_amount) as base_credit_amount
            from marts.acc_journal_lines as lines
            inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
            where entries.entity_code = $entity and entries.posting_date between $first and $last
            group by
                entries.entry_type, entries.posting_status, lines.currency_code, lines.base_currency_code
            order by entries.entry_type, entries.posting_status, lines.currency_code
            """
        )

    def trial_balance(self) -> list[Row]:
        """Account by account in the currency of the books: the journal lines that are ready, and what was posted."""
        posted = self._posted_balances()
        desired = {
            row["account_code"]: row
            for row in self._rows(
                """
                select
                    coalesce(lines.account_code, '') as account_code,
                    coalesce(sum(lines.base_debit_amount - lines.base_credit_amount)
                        filter (where entries.posting_date < $first), 0) as opening_amount,
                    coalesce(sum(lines.base_debit_amount)
                        filter (where entries.posting_date >= $first), 0) as debit_amount,
                    coalesce(sum(lines.base_credit_amount)
                        filter (where entries.posting_date >= $first), 0) as credit_amount
                from marts.acc_journal_lines as lines
                inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
                where
                    entries.entity_code = $entity
                    and entries.posting_status = 'ready'
                    and entries.posting_date <= $last
                group by all
                """
            )
        }
        names = {
            row["account_code"]: row["account_name"]
            for row in self._rows(
                "select account_code, account_name from marts.dim_accounts where entity_code = $entity"
            )
        }
        found = []
        for account in sorted(desired.keys() | posted.keys()):
            row: Row = {"account_code": account, "account_name": names.get(account, "")}
            sides = {"": desired.get(account, {}), "posted_": posted.get(account, {})}
            for prefix, side in sides.items():
                opening, debit, credit = (
                    side.get(name, _ZERO) for name in ("opening_amount", "debit_amount", "credit_amount")
                )
                row |= {
                    f"{prefix}opening_amount": opening,
                    f"{prefix}debit_amount": debit,
                    f"{prefix}credit_amount": credit,
                    f"{prefix}closing_amount": opening + debit - credit,
                }
            row["not_posted_amount"] = row["closing_amount"] - row["posted_closing_amount"]
            row["currency_code"] = self.entity.base_currency
            found.append(row)
        return found

    def _posted_balances(self) -> dict[str, dict[str, Decimal]]:
        found: dict[str, dict[str, Decimal]] = defaultdict(
            lambda: dict.fromkeys(("opening_amount", "debit_amount", "credit_amount"), _ZERO)
        )
        for posting in self._all_postings:
            if posting.state != outbox.POSTED or posting.posting_date > self.period.last_day:
                continue
            for line in _payload_lines(posting):
                row, debit, credit = found[line["account_code"]], Decimal(line["base_debit"]), line["base_credit"]
                if posting.posting_date < self.period.first_day:
                    row["opening_amount"] += debit - Decimal(credit)
                else:
                    row["debit_amount"] += debit
                    row["credit_amount"] += Decimal(credit)
        return found

    def entries(self) -> list[Row]:
        """The entries of the month with the raw records behind each, by number and hash, and its documents."""
        documents: dict[str, list[str]] = defaultdict(list)
        for posting in self._all_postings:
            if posting.state == outbox.POSTED and posting.erp_document is not None:
                documents[posting.entry_id].append(posting.erp_document)
        found = self._rows(
            """
            with records as (
                select distinct entry_id, source_system, source_table, source_key, payload_sha256
                from marts.acc_journal_line_sources
            ),

            behind as (
                select
                    entry_id,
                    count(*) as record_count,
                    sha256(
                        string_agg(
                            concat_ws(' ', source_system, source_table, source_key, payload_sha256), chr(10)
                            order by source_system, source_table, source_key, payload_sha256
                        )
                    ) as records_sha256
                from records
                group by entry_id
            )

            select
                entries.entry_id, entries.entry_type, entries.posting_date, entries.posting_status,
                entries.hold_reason, entries.held_by_exception_id, entries.base_total_amount,
                entries.base_currency_code, entries.line_count, entries.order_key, entries.refund_key,
                entries.settlement_line_key, entries.settlement_key, entries.bank_line_key,
                behind.record_count, behind.records_sha256
            from marts.acc_journal_entries as entries
            left join behind on entries.entry_id = behind.entry_id
            where entries.entity_code = $entity and entries.posting_date between $first and $last
            order by entries.posting_date, entries.entry_id
            """
        )
        return [row | {"erp_documents": " ".join(documents.get(row["entry_id"], ()))} for row in found]

    def journal_sources(self) -> list[Row]:
        """The raw records behind the journal of the month, table by table, and one hash over each table's."""
        names, rows = self._stream(
            """
            select distinct
                sources.source_system, sources.source_table, sources.source_key, sources.payload_sha256
            from marts.acc_journal_line_sources as sources
            inner join marts.acc_journal_entries as entries on sources.entry_id = entries.entry_id
            where entries.entity_code = $entity and entries.posting_date between $first and $last
            order by all
            """
        )
        found: dict[tuple[str, str], tuple[int, Any]] = {}
        for system, table, *row in rows:
            count, digest = found.get((system, table)) or (0, hashlib.sha256())
            digest.update(" ".join(value or "" for value in row).encode() + b"\n")
            found[system, table] = count + 1, digest
        return [
            {
                **dict(zip(names[:2], key, strict=True)),
                "record_count": count,
                "records_sha256": digest.hexdigest(),
            }
            for key, (count, digest) in sorted(found.items())
        ]

    def posted(self) -> list[Row]:
        """Every document that was to be posted in the month, where it is at the ERP, and what proves it."""
        attested = {
            row.posting_key: row for row in attestations.attested(self.operations, entity_code=self.entity.code)
        }
        wanted = {posting.posting_key for posting in self.postings}
        noted = {
            entry.subject: entry
            for entry in audit.entries(self.operations, action="posting.posted")
            if entry.subject in wanted
        }
        proofs = {
            posting["posting_key"]: made.certificate_id
            for made in self._certificates
            for posting in json.loads(made.body)["postings"]
        }
        found = []
        for posting in self.postings:
            key = posting.posting_key
            seen, entry = attested.get(key), noted.get(key)
            found.append(
                {
                    "posting_key": key,
                    "entry_id": posting.entry_id,
                    "revision": posting.revision,
                    "kind": posting.kind,
                    "state": posting.state,
                    "posting_date": posting.posting_date,
                    "erp_id": posting.erp_id,
                    "erp_document": posting.erp_document,
                    "base_debit_amount": sum(
                        (Decimal(line["base_debit"]) for line in _payload_lines(posting)), start=_ZERO
                    ),
                    "base_currency_code": self.entity.base_currency,
                    "content_sha256": posting.content_hash,
                    "payload_sha256": posting.payload_hash,
                    "posted_at": posting.posted_at,
                    "actor": posting.actor,
                    "run_id": posting.run_id,
                    "audit_seq": entry.seq if entry else None,
                    "audit_entry_hash": entry.entry_hash if entry else None,
                    "certificate_id": proofs.get(key),
                    # Not when it was last looked at: a look that finds the same changes nothing.
                    "attested_state": seen.state if seen else None,
                    "attested_since": seen.since if seen else None,
                    "attested_after_period": seen.checked_at >= self.ends_at if seen else False,
                }
            )
        return found

    def approved(self) -> list[Row]:
        """What a second person was asked about: for the month's entries, in the month, and the rules that hold."""
        entry_ids = {posting.entry_id for posting in self.postings}
        return [
            {
                "approval_id": row.approval_id,
                "kind": row.kind,
                "subject": row.subject,
                "content_sha256": row.content_hash,
                "summary": _masked(row.summary),
                "amount": row.amount,
                "currency_code": row.currency_code,
                "requested_by": row.requested_by,
                "requested_at": row.requested_at,
                "decision": row.decision,
                "decided_by": row.decided_by,
                "decided_at": row.decided_at,
                "reason": _masked(row.reason),
            }
            for row in approvals.rows(self.operations, entity_code=self.entity.code)
            if (
                row.subject in entry_ids
                or row.kind == "policy"
                or row.decided_at is None
                or row.decided_at >= self.starts_at
            )
        ]

    def certified(self) -> Iterator[tuple[str, bytes]]:
        """The certificates that hold a posting of the month, as issued: each is the text that its name is a hash of."""
        for made in self._certificates:
            yield f"certificates/{made.certificate_id}.json", made.body.encode()

    def issued(self) -> list[Row]:
        """The entries of the audit log that name them: at their hashes the proofs of single postings end."""
        found = []
        for made in self._certificates:
            entry = certificates.issued_entry(self.operations, made.certificate_id)
            found.append(
                {
                    "certificate_id": made.certificate_id,
                    "run_id": made.run_id,
                    "issued_at": made.issued_at,
                    "audit_seq": entry.seq,
                    "audit_entry_hash": entry.entry_hash,
                }
            )
        return found

    @cached_property
    def _certificates(self) -> list[certificates.Certificate]:
        wanted = {posting.posting_key for posting in self.postings}
        return [
            made
            for made in certificates.rows(self.operations)
            if made.entity_code == self.entity.code
            and any(posting["posting_key"] in wanted for posting in json.loads(made.body)["postings"])
        ]

    def exceptions(self) -> list[Row]:
        """Exceptions that arose in the month, and older ones that are open or were worked on since it began."""
        return self._rows(
            """
            select
                exception_id, exception_type, exception_class, severity, owner, store_id, gateway_id, order_key,
                settlement_key, settlement_line_key, bank_line_key, amount_at_risk, currency_code, opened_at, due_at,
                status, work_status, assignee, snoozed_until, last_actor, last_action_at,
                sha256(evidence) as evidence_sha256
            from marts.rec_exceptions
            where
                (entity_code = $entity or entity_code is null)
                and opened_at < $ends_at
                and (opened_at >= $starts_at or status = 'open' or last_action_at >= $starts_at)
            order by exception_type, exception_id
            """
        )

    def actions(self) -> list[Row]:
        """What people did about these exceptions; the text of a comment by its hash only."""
        ids = [row["exception_id"] for row in self.exceptions()]
        return [
            {
                "audit_seq": done.audit_seq,
                "exception_id": done.exception_id,
                "action": done.action,
                "actor": done.actor,
                "acted_at": done.acted_at,
                "assignee": done.assignee,
                "snoozed_until": done.snoozed_until,
                "reason": None if done.action == "comment" else _masked(done.reason),
                "reason_sha256": None if done.reason is None else sha256_hex(done.reason),
                "approval_id": done.approval_id,
            }
            for _, work in sorted(exception_actions.work(self.operations, ids).items())
            for done in work.history
        ]

    def links(self) -> list[Row]:
        """What people said belongs together, until the as-of."""
        found = self._rows(
            """
            select
                link_id, version, kind, left_key, right_key, exception_id, state, amount, currency_code, linked_by,
                linked_at, reason, approved_by
            from staging.stg_ops__manual_links
            where entity_code = $entity
            order by link_id, version
            """
        )
        return [row | {"reason": _masked(row["reason"])} for row in found]

    def test_of_one(self) -> list[Row]:
        """Of each rule and outcome of the month: how many there are, and one of them with the keys it went by."""
        found = []
        for kind, query in _EXAMPLES.items():
            for row in self._rows(
                f"""
                with found as ({query})
                select
                    rule, outcome, count(*) over (partition by rule, outcome) as times, example_key,
                    input_keys, amount, currency_code
                from found
                qualify row_number() over (partition by rule, outcome order by example_key) = 1
                order by rule, outcome
                """  # noqa: S608 -- from a constant
            ):
                keys = {name: value for name, value in row["input_keys"].items() if value}
                found.append({"kind": kind, **row, "input_keys": canonical_json(keys)})
        return found

    def _is_of_month(self, day: date) -> bool:
        return self.period.first_day <= day <= self.period.last_day

    def _csv(self, name: str, rows: Sequence[Row]) -> bytes:
        self.figures[name] = rows
        return _csv(list(rows[0]) if rows else [], (list(row.values()) for row in rows))

    def _rows(self, query: str, **parameters: Any) -> list[Row]:
        names, rows = self._stream(query, **parameters)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _stream(self, query: str, **parameters: Any) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        known = {
            "entity": self.entity.code,
            "first": self.period.first_day,
            "last": self.period.last_day,
            "starts_at": self.starts_at.replace(tzinfo=None),
            "ends_at": self.ends_at.replace(tzinfo=None),
            **parameters,
        }
        used = {name: value for name, value in known.items() if re.search(rf"\${name}\b", query)}
        result = self.warehouse.execute(query, used)
        return [column[0] for column in result.description or ()], _fetched(result)


_LINES: Final = """
    select
        lines.entry_id, lines.line_no, entries.posting_date, entries.posting_status, lines.account_code,
        lines.account_role, lines.debit_amount, lines.credit_amount, lines.currency_code, lines.base_debit_amount,
        lines.base_credit_amount, lines.base_currency_code, lines.exchange_rate, lines.store_id, lines.gateway_id
    from marts.acc_journal_lines as lines
    inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
    where entries.entity_code = $entity and entries.posting_date between $first and $last
    order by entries.posting_date, lines.entry_id, lines.line_no
"""

#: The marts whose rows name the raw record that they are made of.
_HASHES: Final = tuple(
    f"select {column} as payload_sha256 from marts.{mart} where {column} is not null"  # noqa: S608 -- names of ours
    for mart, column in (
        ("fct_orders", "payload_sha256"),
        ("fct_refunds", "store_payload_sha256"),
        ("fct_refunds", "gateway_payload_sha256"),
        ("fct_payment_events", "payload_sha256"),
        ("fct_settlement_lines", "payload_sha256"),
        ("fct_settlements", "payload_sha256"),
        ("fct_bank_lines", "payload_sha256"),
        ("fct_tax_documents", "payload_sha256"),
        ("fct_erp_documents", "payload_sha256"),
        ("fct_inventory_movements", "payload_sha256"),
    )
)


def _fetched(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while some := result.fetchmany(_FETCHED):
        yield from some


def _payload_lines(posting: Posting) -> list[dict[str, str]]:
    return json.loads(posting.payload)["lines"]


def _without_secrets(item: Instance) -> Row:
    """The settings of a source; one that holds a secret is left out, not masked."""
    secret = {name for name in type(item).model_fields if _is_secret(getattr(item, name))}
    return item.model_dump(mode="json", exclude=secret)


def _is_secret(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_secret(one) for one in value)
    return isinstance(value, SecretStr)


def _masked(text: str | None) -> str | None:
    """What somebody wrote, without the addresses that may be in it; the audit log has it whole."""
    return None if text is None else _MAIL.sub("[e-mail]", text)


def _canonical(value: Any) -> Any:
    """The same without floats, which have no canonical form."""
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def _json(value: Any) -> bytes:
    """Canonical JSON, one setting a line for those who read it."""
    plain = json.loads(canonical_json(_canonical(value)))
    return (json.dumps(plain, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _csv(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if names:
        writer.writerow(names)
    writer.writerows([_text(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return utc_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return "'" + text if text.startswith(_FORMULAS) else text
