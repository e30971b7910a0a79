"""``retail close`` on a month written by hand: its marts, its postings, its attestations."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from sqlalchemy import text
from typer.testing import CliRunner

from retail_assets.cli import app
from retail_assets.commands import CommandError
from retail_assets.commands.close import Closing, close_period
from retail_assets.defs.export.planning import plan_for
from retail_assets.erp.payload import to_payload
from retail_assets.ops import attestations, audit, outbox, periods
from retail_assets.ops.outbox import NewPosting
from retail_assets.ops.periods import Period
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings, load_settings

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
NOW = datetime(2026, 10, 6, 12, tzinfo=UTC)
SEPTEMBER = Period(date(2026, 9, 1))
BANK_TEXT = "<script>alert(1)</script>"
#: Which sources the shipped configuration has for each entity, and in which currency it trades.
ENTITIES: dict[str, dict[str, Any]] = {
    "US": {
        "currency": "USD",
        "gateway": "stripe_us",
        "bank": "bank_us",
        "sources": ["cedar_us", "stripe_us", "paypal_us", "woopay_us", "bank_us", "avatax_us", "erp_main"],
    },
    "JP": {
        "currency": "JPY",
        "gateway": "stripe_jp",
        "bank": "bank_jp",
        "sources": ["aoi_jp", "stripe_jp", "kawa_jp", "bank_jp", "erp_main"],
    },
}


@dataclass
class Month:
    """A home whose marts hold September of one entity: a charge of 100 and one of 60, of which 60 was paid out."""

    home: Path
    entity: str = "US"
    as_of: str = "2026-10-06T12:00:00Z"
    connection: duckdb.DuckDBPyConnection | None = None

    def settings(self, **environment: str) -> Settings:
        return load_settings({"RETAIL_HOME": str(self.home), "RETAIL_AS_OF": self.as_of, **environment})

    def close(self, **options: Any) -> Closing:
        return close_period(self.settings(), self.entity, SEPTEMBER, **options)

    def execute(self, statement: str, *values: Any) -> None:
        if self.connection is not None:
            self.connection.execute(statement, values)
            return
        with duckdb.connect(str(self.home / "warehouse.duckdb")) as connection:
            connection.execute(statement, values)

    def add(self, table: str, **values: Any) -> None:
        marks = ", ".join("?" for _ in values)
        self.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", *values.values())

    def entry(self, entry_id: str, day: str, lines: list[tuple[str, str, str]], **header: Any) -> None:
        """An entry of the desired ledger; lines are role, account and amount, credits negative."""
        currency = ENTITIES[self.entity]["currency"]
        same = {"entity_code": self.entity, "base_currency_code": currency}
        debits = sum((max(Decimal(amount), Decimal(0)) for _, _, amount in lines), Decimal(0))
        self.add(
            "marts.acc_journal_entries",
            **{
                **same,
                "entry_id": entry_id,
                "posting_date": day,
                "base_total_amount": debits,
                "line_count": len(lines),
                "description": entry_id,
                "posting_status": "ready",
                **header,
            },
        )
        for number, (role, account, amount) in enumerate(lines, start=1):
            debit, credit = max(Decimal(amount), Decimal(0)), max(-Decimal(amount), Decimal(0))
            self.add(
                "marts.acc_journal_lines",
                **same,
                entry_id=entry_id,
                line_no=number,
                account_code=account,
                account_role=role,
                debit_amount=debit,
                credit_amount=credit,
                currency_code=currency,
                base_debit_amount=debit,
                base_credit_amount=credit,
                exchange_rate=1,
                description=role,
            )

    def post(self, checked_at: datetime = NOW) -> None:
        """Everything that the plan has is at the ERP, and was read back."""
        settings = self.settings()
        operations = open_store(settings.operations_url)
        plan = plan_for(settings, operations, self.entity)
        wanted = [
            NewPosting(
                item.posting_key,
                item.entry_id,
                item.revision,
                item.kind,
                self.entity,
                "erp_main",
                item.content_hash,
                to_payload(item.entry),
                item.entry.posting_date,
            )
            for item in plan.items
        ]
        documents = {item.posting_key: f"JE-{number}" for number, item in enumerate(plan.items)}
        with writing(operations) as connection:
            outbox.claim(connection, wanted, worker="w", run_id="r", actor="ann", now=NOW)
            outbox.mark_posted(connection, documents, worker="w", now=NOW)
            for posting in outbox.histories(connection, [item.entry_id for item in plan.items]).values():
                for row in posting:
                    attestations.record(connection, row, "equal", None, now=checked_at)
        operations.dispose()

    def operations(self, statement: str) -> None:
        engine = open_store(self.settings().operations_url)
        with writing(engine) as connection:
            connection.execute(text(statement))
        engine.dispose()

    def closed(self) -> list[str]:
        engine = open_store(self.settings().operations_url)
        found = [row.period for row in periods.closed(engine, self.entity)]
        assert [entry.subject for entry in audit.entries(engine, action=periods.CLOSED)] == [
            f"{self.entity}:{period}" for period in found
        ]
        engine.dispose()
        return found

    def page(self) -> str:
        return (self.home / "exports" / "close" / f"{self.entity}-2026-09.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """September of the American entity: everything in order."""
    return september(tmp_path_factory.mktemp("september"), "US")


@pytest.fixture
def month(template: Month, tmp_path: Path) -> Month:
    """The same, to be spoiled."""
    shutil.copytree(template.home, tmp_path / "home")
    return Month(tmp_path / "home")


def september(home: Path, entity: str) -> Month:
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        make_tables(connection)
        found = Month(home, entity, connection=connection)
        fill(found)
    found.connection = None
    found.post()
    return found


def fill(found: Month) -> None:
    entity = found.entity
    traits = ENTITIES[entity]
    gateway, currency, bank = traits["gateway"], traits["currency"], traits["bank"]
    of_gateway = {"entity_code": entity, "gateway_id": gateway, "currency_code": currency}
    found.add("staging.stg_ops__clock", as_of="2026-10-06 12:00:00")
    for source in traits["sources"]:
        found.add("marts.mon_ingestion_latency", instance_id=source, resource="all", loaded_at="2026-10-06 12:00:00")
    found.add(
        "marts.mon_completeness",
        check_name="statement_chain",
        instance_id=bank,
        resource="entries",
        completeness_status="proved",
        window_start_at="2026-09-30",
        window_end_at="2026-10-01",
        evidence="{}",
    )
    for line, amount, day, payout in (("one", 60, "2026-09-20", f"{gateway}:p"), ("two", 100, "2026-09-28", None)):
        found.add(
            "marts.fct_settlement_lines",
            **of_gateway,
            settlement_line_key=line,
            settlement_key=payout,
            line_type="charge",
            is_clearing=True,
            net_amount=amount,
            accounting_date=day,
        )
        found.entry(
            f"line/{line}",
            day,
            [("gateway_clearing", "1250", str(amount)), ("receivables", "1100", str(-amount))],
        )
    none = dict.fromkeys(("fee", "refund", "dispute", "reserve", "other", "residual", "unlisted"), 0)
    found.add(
        "marts.rec_settlements",
        **of_gateway,
        settlement_key=f"{gateway}:p",
        settlement_status="in_transit",
        explained_by="lines",
        is_itemised=True,
        accounting_date="2026-09-29",
        gross_amount=60,
        net_amount=60,
        **{f"{name}_amount": amount for name, amount in none.items()},
    )
    found.entry("payout/p", "2026-09-29", [("cash_in_transit", "1210", "60"), ("gateway_clearing", "1250", "-60")])
    found.add(
        "marts.fct_bank_lines",
        entity_code=entity,
        bank_line_key="bank:1",
        bank_id=bank,
        match_status="needs_review",
        currency_code=currency,
        bank_amount=-5,
        value_date="2026-09-30",
        remittance_text=BANK_TEXT,
    )
    found.add(
        "marts.rec_clearing",
        **of_gateway,
        clearing_amount=100,
        gateway_balance_amount=100,
        difference_amount=0,
        has_balance=True,
    )
    found.add(
        "marts.rec_gross_to_net",
        **of_gateway,
        activity_date="2026-09-20",
        store_id="s",
        **{f"{name}_amount": amount for name, amount in BRIDGE.items()},
    )
    found.add(
        "marts.rec_tax",
        entity_code=entity,
        tax_jurisdiction="US-NY",
        period_month="2026-09-01",
        currency_code=currency,
        store_tax_amount=9,
        engine_tax_amount=9,
        ledger_tax_amount=9,
        store_difference_amount=0,
        ledger_difference_amount=0,
        not_booked_amount=0,
        tax_status="matched",
    )
    found.add("marts.dim_entities", entity_code=entity, base_currency_code=currency)
    found.add(
        "marts.dim_accounts",
        entity_code=entity,
        account_code="1250",
        account_name='Clearing "A&B" <Ltd>',
        account_key="k",
    )


BRIDGE = dict.fromkeys(
    ("discount", "shipping", "order_fees", "difference", "conversion", "unexplained", "refund", "dispute", "fee",
     "reserve", "other", "in_bank"), 0
) | {"gross_sales": 151, "tax": 9, "charged": 160, "net": 160, "in_transit": 60, "balance_held": 100}  # fmt: skip


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """The marts, empty, with the columns and types of their contracts; and the seeds."""
    connection.execute("create schema staging; create schema marts")
    connection.execute("create table staging.stg_ops__clock (as_of timestamp)")
    for file in sorted((PROJECT / "models" / "marts").rglob("*.yml")):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", []):
            columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
            connection.execute(f"create table marts.{model['name']} ({columns})")
    for seed in ("exception_types", "account_mapping"):
        connection.execute(
            f"create table staging.{seed} as select * from read_csv(?, all_varchar = true)",
            [str(PROJECT / "seeds" / f"{seed}.csv")],
        )
    connection.execute("alter table staging.exception_types alter blocks_close type boolean")


def exception(month: Month, name: str, **values: Any) -> None:
    month.add(
        "marts.rec_exceptions",
        **{
            "exception_id": f"{name}:1",
            "exception_type": name,
            "severity": "high",
            "owner": "team:finance",
            "entity_code": month.entity,
            "amount_at_risk": 12,
            "currency_code": ENTITIES[month.entity]["currency"],
            "opened_at": "2026-09-25 10:00:00",
            "status": "open",
            **values,
        },
    )


def test_a_month_in_order_is_closed_once(month: Month) -> None:
    """A month was closed without a trace, on a report that was not kept, or twice on two different ones."""
    closing = month.close()
    assert closing.is_new
    assert closing.ok
    assert {check.code for check in closing.report.checks if check.status == "warning"} == {"bank_explained"}
    page = closing.path.read_bytes()
    assert closing.closed is not None
    assert closing.closed.report_sha256 == hashlib.sha256(page).hexdigest()
    assert month.closed() == ["2026-09"]

    month.as_of = "2026-10-09T08:00:00Z"
    again = month.close()
    assert (again.is_new, again.ok, again.changed_since) == (False, True, False)
    closing.path.unlink()
    month.close()
    assert closing.path.read_bytes() == page
    assert month.closed() == ["2026-09"]
    assert month.close(check_only=True).ok


def test_checking_closes_nothing(month: Month) -> None:
    """A look at the checklist locked the month."""
    assert month.close(check_only=True).ok
    assert month.closed() == []
    assert "Nothing blocks the close" in month.page()


def test_the_balances_of_the_month_are_explained(month: Month) -> None:
    """A balance was reported without what it consists of, or with the items of another day."""
    figures = month.close().report.figures
    (clearing,), (transit,) = figures["clearing_ageing"], figures["transit_ageing"]
    assert (clearing["account_code"], clearing["ledger_amount"], clearing["0–7 days"]) == ("1250", 100, 100)
    assert (transit["account_code"], transit["ledger_amount"], transit["0–7 days"]) == ("1210", 60, 60)
    assert [row["difference_amount"] for row in (clearing, transit)] == [0, 0]
    balance = {row["account_code"]: row for row in figures["trial_balance"]}
    assert {account: (row["debit_amount"], row["credit_amount"]) for account, row in balance.items()} == {
        "1100": (0, 160),
        "1210": (60, 0),
        "1250": (160, 60),
    }


def _unposted(month: Month) -> None:
    month.entry("line/new", "2026-09-30", [("rounding", "6910", "1"), ("receivables", "1100", "-1")])


def _from_august(month: Month) -> None:
    month.entry("line/old", "2026-08-30", [("rounding", "6910", "1"), ("receivables", "1100", "-1")])
    month.post()


def _running(month: Month) -> None:
    month.as_of = "2026-10-01T03:59:59Z"


def _invalid(month: Month) -> None:
    month.entry("line/odd", "2026-09-30", [("rounding", "6910", "1"), ("receivables", "1100", "-2")])


def _without_anchor(month: Month) -> None:
    engine = open_store(month.settings().operations_url)
    with writing(engine) as connection:
        audit.append(connection, at=NOW, actor="ann", action="test", subject="s", details={})
    engine.dispose()


def _reopened(month: Month) -> None:
    engine = open_store(month.settings().operations_url)
    with writing(engine) as connection:
        periods.close(connection, "US", Period.parse("2026-08"), closed_by="ann", closed_at=NOW, report_sha256="a" * 64)
        connection.execute(text("DELETE FROM closed_periods"))
    audit.write_anchor(engine, month.settings().audit_anchor_path, now=NOW)
    engine.dispose()


BLOCKERS: dict[str, tuple[str, Callable[[Month], Any]]] = {
    "the month is going on": ("period_ended", _running),
    "an earlier month is open": ("in_order", _from_august),
    "a source is behind": (
        "sources_loaded",
        lambda month: month.execute("update marts.mon_ingestion_latency set loaded_at = '2026-10-01 03:59:59' "
                                    "where instance_id = 'paypal_us'"),
    ),
    "a source was never loaded": (
        "sources_loaded",
        lambda month: month.execute("delete from marts.mon_ingestion_latency where instance_id = 'avatax_us'"),
    ),
    "a window has a gap": (
        "windows_complete",
        lambda month: month.execute("update marts.mon_completeness set completeness_status = 'gap'"),
    ),
    "no statement reaches the end": (
        "windows_complete",
        lambda month: month.execute("update marts.mon_completeness set window_end_at = '2026-09-29'"),
    ),
    "an order is there twice": (
        "invariants",
        lambda month: [month.add("marts.fct_orders", entity_code="US", order_key="s:1") for _ in range(2)],
    ),
    "a payout does not foot": (
        "payouts_footed",
        lambda month: month.execute("update marts.rec_settlements set residual_amount = 0.01, net_amount = 60.01"),
    ),
    "nothing explains a payout": (
        "payouts_footed",
        lambda month: month.execute("update marts.rec_settlements set explained_by = 'nothing', unlisted_amount = 60"),
    ),
    "the gateway holds another amount": (
        "clearing_balance",
        lambda month: month.execute("update marts.rec_clearing set difference_amount = -0.01"),
    ),
    "the ledger has another tax": (
        "tax",
        lambda month: month.execute("update marts.rec_tax set tax_status = 'engine_vs_ledger'"),
    ),
    "gift cards are owed that the books do not owe": (
        "gift_cards",
        lambda month: month.add("marts.rec_gift_cards", entity_code="US", period_month="2026-08-01",
                                currency_code="USD", closing_amount=5, ledger_amount=0, is_opening_known=True,
                                gift_card_status="ledger_difference"),
    ),
    "an exception of a type that blocks": ("exceptions", lambda month: exception(month, "unknown_line_type")),
    "one of nobody's": ("exceptions", lambda month: exception(month, "contract_violation", entity_code=None)),
    "an entry is not posted": ("plan_empty", _unposted),
    "an entry is invalid": ("held_entries", _invalid),
    "the books have another amount": (
        "books",
        lambda month: month.operations("UPDATE posting_outbox SET payload = replace(payload, '\"1210\"', '\"1219\"')"),
    ),
    "the ERP holds something else": (
        "attested",
        lambda month: month.operations("UPDATE attestations SET state = 'differs', detail = 'amount'"),
    ),
    "nobody has looked since": (
        "attested",
        lambda month: month.operations("UPDATE attestations SET checked_at = '2026-09-30T12:00:00.000000Z'"),
    ),
    "the audit chain has lost its anchor": ("evidence", _without_anchor),
    "a month was opened by hand": ("evidence", _reopened),
}  # fmt: skip


@pytest.mark.parametrize(("code", "spoil"), BLOCKERS.values(), ids=BLOCKERS.keys())
def test_what_blocks_keeps_the_month_open(month: Month, code: str, spoil: Callable[[Month], Any]) -> None:
    """A month was closed although its figures were not final, not proved or not what the ERP holds."""
    spoil(month)
    closing = month.close()
    assert code in [check.code for check in closing.report.blocking]
    assert not closing.ok
    assert closing.closed is None
    if code != "evidence":
        assert month.closed() == []
    assert "Cannot be closed" in month.page()


def test_what_warns_is_told_and_closed(month: Month) -> None:
    """A month could never be closed because of a single order that is in doubt, or was closed without saying so."""
    exception(month, "duplicate_payment")
    exception(month, "payout_not_in_bank", opened_at="2026-10-02 10:00:00", exception_id="later")
    exception(month, "unknown_line_type", status="closed", exception_id="settled")
    month.entry(
        "sale/doubtful",
        "2026-09-25",
        [("receivables", "1100", "12"), ("revenue", "4000", "-12")],
        posting_status="held",
        hold_reason="Open exception duplicate_payment:1",
        held_by_exception_id="duplicate_payment:1",
    )
    unserved = {"store_id": "shop", "entity_code": month.entity, "payment_method": "cod", "currency_code": "USD"}
    month.add("marts.mon_unserved_payments", period_month="2026-09-01", order_count=2, order_amount=30, **unserved)
    month.add("marts.mon_unserved_payments", period_month="2026-10-01", order_count=1, order_amount=5, **unserved)
    month.execute("update marts.rec_settlements set settlement_status = 'not_in_bank'")
    month.execute("update marts.fct_settlement_lines set net_amount = 99 where settlement_line_key = 'two'")
    closing = month.close()
    checks = {check.code: check for check in closing.report.checks if check.status == "warning"}
    assert list(checks) == [
        "payouts_footed", "methods_served", "bank_explained", "clearing_aged", "exceptions", "held_entries",
    ]  # fmt: skip
    assert checks["methods_served"].details == ("shop: 2 orders by cod, 30.00 USD",)
    assert checks["exceptions"].details == ("1 × duplicate_payment, 12.00 USD at risk, oldest 5 days (team:finance)",)
    assert checks["held_entries"].details == ("sale/doubtful: Open exception duplicate_payment:1 (12.00 USD)",)
    assert "unexplained 1.00 USD" in checks["clearing_aged"].details[0]
    assert closing.is_new


def test_later_facts_leave_the_report_alone(month: Month, tmp_path: Path) -> None:
    """A late sale was dated in the closed month, or the report it was closed on was written over."""
    page = month.close().path.read_bytes()
    month.entry("line/late", "2026-09-30", [("rounding", "6910", "1"), ("receivables", "1100", "-1")])
    settings = month.settings()
    operations = open_store(settings.operations_url)
    (item,) = plan_for(settings, operations, "US").items
    operations.dispose()
    assert (item.entry.posting_date, item.entry.memo) == (date(2026, 10, 1), "line/late (of 2026-09-30)")
    month.execute("update marts.rec_tax set store_tax_amount = 10")
    now = tmp_path / "now.html"
    again = month.close(output=now)
    assert again.changed_since
    assert again.path.read_bytes() == page
    assert now.read_bytes() != page
    assert month.closed() == ["2026-09"]


def test_the_page_needs_nothing_and_trusts_nobody(month: Month) -> None:
    """Text from a bank or the ERP ran as a script, or the report was empty without a network."""
    page = month.close().path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Clearing &#34;A&amp;B&#34; &lt;Ltd&gt;" in page
    assert not [word for word in ("http", "src=", "href=", "url(", "@import", "NaN", ">None<") if word in page]
    assert page.count("<svg") == 6
    assert "Cedar &amp; Pine LLC (US), 2026-09" in page
    assert "America/New_York" in page
    assert ">160.00<" in page


def test_a_currency_without_decimals(tmp_path: Path) -> None:
    """Yen were shown with cents; or a load between midnight in Tokyo and in New York did not count for Tokyo."""
    month = september(tmp_path, "JP")
    month.execute("update marts.mon_ingestion_latency set loaded_at = '2026-09-30 15:00:00'")
    closing = month.close()
    assert closing.is_new
    page = month.page()
    assert "220 JPY on 3 accounts" in page
    assert "60.00" not in page
    assert "2026-09-30 15:00 UTC (Asia/Tokyo)" in page


def test_the_command_says_what_blocks(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script took a month that stayed open for closed, or one that was closed for failed."""
    monkeypatch.setenv("RETAIL_HOME", str(month.home))
    monkeypatch.setenv("RETAIL_AS_OF", month.as_of)
    run = CliRunner().invoke
    exception(month, "unknown_line_type")
    blocked = run(app, ["close", "US", "2026-09", "--json"])
    assert blocked.exit_code == 1
    assert json.loads(blocked.stdout)["blocking"] == ["exceptions"]
    told = run(app, ["close", "US", "2026-09"])
    assert "Not closed: exceptions must be settled first." in told.stdout
    month.execute("delete from marts.rec_exceptions")
    closed = run(app, ["close", "US", "2026-09", "--json"])
    assert (closed.exit_code, json.loads(closed.stdout)["closed_now"]) == (0, True)
    assert "nothing has changed since" in run(app, ["close", "US", "2026-09"]).stdout
    assert run(app, ["close", "US", "2026-9"]).exit_code == 2
    assert run(app, ["close", "XX", "2026-09"]).exit_code == 2


def test_somebody_is_answerable(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month was closed by an account that several people share."""
    settings = month.settings()
    shared = settings.configuration.operations.model_copy(update={"shared_accounts": (settings.actor,)})
    configuration = settings.configuration.model_copy(update={"operations": shared})
    monkeypatch.setattr(Month, "settings", lambda _: _with(settings, configuration))
    with pytest.raises(CommandError, match="say who you are with RETAIL_ACTOR"):
        month.close()
    assert month.close(check_only=True).ok


def _with(settings: Settings, configuration: Any) -> Settings:
    return replace(settings, configuration=configuration)


def test_finance_says_what_blocks() -> None:
    """An exception type without a word on whether a month can be closed over it."""
    with (PROJECT / "seeds" / "exception_types.csv").open(encoding="utf-8") as file:
        types = {row["exception_type"]: row["blocks_close"] for row in csv.DictReader(file)}
    assert set(types.values()) == {"true", "false"}
    assert types["payout_residual"] == types["posted_drift"] == "true"
    assert types["late_fact_in_closed_period"] == "false"
