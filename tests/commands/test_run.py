"""The whole chain, from the stores' orders to the ERP's books, on the simulated retailer.

In team mode: operations and Dagster's storage are in one Postgres. A chain on files is in ``test_killed``.
"""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from retail_assets import keys, money
from retail_assets.commands.exceptions import Chosen, exception_rows, print_exceptions
from retail_assets.commands.ledger import plans, verify_all
from retail_assets.commands.run import ChainResult
from retail_assets.commands.summary import figures, summarise
from retail_assets.commands.trace import trace_of
from retail_assets.sandbox.datafaults import corrupt_bank_file, impossible_order
from retail_assets.sandbox.faults import Fault
from retail_assets.sandbox.score import score
from retail_assets.settings import sandbox_credentials
from tests.support.alerted import news
from tests.support.chain import Retailer, retailer
from tests.support.postgres import running_postgres

ENTITY_CURRENCIES = {"US": "USD", "DE": "EUR", "JP": "JPY"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    home = tmp_path_factory.mktemp("home")
    with running_postgres() as server:
        database = server.render_as_string(hide_password=False)
        with retailer(home, operations_url=database) as found:
            yield found


@dataclass(frozen=True)
class BadDay:
    """A run while one store is down, one bank file is broken and one order has an impossible amount."""

    result: ChainResult
    printed: str
    broken_file: Path
    order_id: int
    refused: Mapping[str, Mapping[str, Any]]
    summary: str
    alerts: list[str]


@pytest.fixture(scope="module")
def bad_day(shop: Retailer) -> BadDay:
    broken_file = corrupt_bank_file(shop.home, "bank_us")
    order_id = impossible_order(shop.home, "aoi_jp", "12,50")
    shop.server.faults.set("linden_de", Fault(down=True))
    result = shop.run()
    shop.server.faults.clear()
    quarantined = shop.rows("select * from raw_ops.quarantine where status = 'open'")
    # The controller's summary and work list must be there on a bad day above all.
    shown = io.StringIO()
    summarise(shop.settings(), Console(file=shown, width=80), result)
    print_exceptions(Console(file=shown), exception_rows(shop.settings(), Chosen()))
    refused = {row["record_key"]: row for row in quarantined}
    return BadDay(result, shop.printed, broken_file, order_id, refused, shown.getvalue(), _alerted(shop))


@pytest.fixture(scope="module")
def first_run(shop: Retailer, bad_day: BadDay) -> ChainResult:
    """The first run with all sources at work; what it finds broken stays broken."""
    return shop.run()


def test_failures_stay_small(bad_day: BadDay) -> None:
    """A store that is down, a corrupt bank file and an impossible amount: each is named, and all else is posted."""
    result, refused = bad_day.result, bad_day.refused
    assert set(result.failures) == {"load_linden_de"}
    assert "/linden_de/" in result.failures["load_linden_de"]
    assert not result.failed_checks, bad_day.printed
    assert set(refused) == {str(bad_day.order_id), bad_day.broken_file.name}
    order, file = refused[str(bad_day.order_id)], refused[bad_day.broken_file.name]
    assert (order["field"], order["value"]) == ("total", "12,50")
    assert "not well-formed" in file["reason"]
    assert bad_day.broken_file.name in file["origin"]
    assert all(result.posted[entity]["posted"] > 0 for entity in ("US", "JP"))
    assert "contract_violation" in bad_day.summary
    assert bad_day.alerts == ["raised step:load_linden_de"]


def test_a_team_has_no_state_of_its_own_in_the_home(shop: Retailer, bad_day: BadDay) -> None:
    """Half of the state in a file of one host is state that the others do not have, and no backup of theirs does."""
    assert not list(shop.home.glob("operations.sqlite*"))
    assert not (shop.home / "dagster" / "history").exists()


def test_the_chain_runs_through(shop: Retailer, bad_day: BadDay, first_run: ChainResult) -> None:
    """Every source loads, every check passes, every entity is posted, also what a store that was down had kept back."""
    assert first_run.ok, shop.printed
    assert not first_run.held, shop.printed
    assert first_run.posted["DE"]["posted"] > 0
    assert set(_posted(bad_day, first_run)) == set(ENTITY_CURRENCIES)
    assert _alerted(shop) == ["recovered step:load_linden_de"]
    assert _alerted(shop) == [], "each is told once"


def test_the_marts_agree_with_the_truth(shop: Retailer, first_run: ChainResult) -> None:
    """A missed or invented exception, a false match or a wrong journal would show here and nowhere else."""
    found = score(shop.home)
    assert found.ok, {name: part.to_dict() for name, part in found.parts().items() if not part.ok}
    assert found.exceptions.expected > 0, "a world without planted cases proves nothing"
    assert found.links.expected > 0


def test_every_settlement_line_has_a_verdict(shop: Retailer, first_run: ChainResult) -> None:
    """A line without a verdict is money that nobody looked at."""
    counts = shop.rows(
        """
        select
            (select count(*) from marts.fct_settlement_lines) as lines,
            (select count(*) from marts.rec_settlement_lines where match_status is not null) as verdicts
        """
    )[0]
    assert counts["lines"] == counts["verdicts"] > 0


def test_posted_lines_sum_to_zero_per_entity(shop: Retailer, first_run: ChainResult) -> None:
    """What is in the ERP must balance, by the ERP's own ledger and not by ours."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    lines = shop.erp("GL Entry", ["company", "debit", "credit", "is_cancelled"])
    for line in lines:
        sums[line["company"]] += Decimal(line["debit"]) - Decimal(line["credit"])
    assert len(sums) == 3
    assert set(sums.values()) == {Decimal(0)}


def test_the_clearing_account_at_the_erp_is_the_balance_at_the_gateway(shop: Retailer, first_run: ChainResult) -> None:
    """Both ends by their own word: if they differ, a movement was lost, doubled or booked elsewhere."""
    clearing: dict[str, Decimal] = defaultdict(Decimal)
    for line in shop.erp("GL Entry", ["company", "account", "debit", "credit"]):
        if line["account"].startswith("1250"):
            clearing[line["company"]] += Decimal(line["debit"]) - Decimal(line["credit"])
    for gateway in (one for one in shop.settings().configuration.gateways if one.system == "stripe"):
        entity = shop.settings().configuration.entity(gateway.entity)
        balance = shop.stripe_balance(gateway.id)
        expected = money.from_minor(balance[entity.base_currency], entity.base_currency, "stripe")
        assert clearing[entity.company] == expected, gateway.id


def test_the_trial_balance_at_the_erp_is_the_desired_ledger(shop: Retailer, first_run: ChainResult) -> None:
    """Entry by entry all may agree, and an account still be another one, or a currency's amount its neighbour's."""
    companies = {entity.company: entity.code for entity in shop.settings().configuration.entities}
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    lines = shop.erp("GL Entry", ["company", "account", "debit", "credit", "voucher_type", "is_cancelled"])
    for line in lines:
        if line["voucher_type"] == "Journal Entry" and not line["is_cancelled"]:
            number = line["account"].partition(" ")[0]
            held[companies[line["company"]], number] += Decimal(line["debit"]) - Decimal(line["credit"])
    desired = {
        (row["entity_code"], row["account_code"]): row["balance"]
        for row in shop.rows(
            """
            select
                lines.entity_code, lines.account_code,
                sum(lines.base_debit_amount - lines.base_credit_amount) as balance
            from marts.acc_journal_lines as lines
            inner join marts.acc_journal_entries as entries on entries.entry_id = lines.entry_id
            where entries.posting_status = 'ready'
            group by lines.entity_code, lines.account_code
            """
        )
    }
    assert len({entity for entity, _ in desired}) == 3
    assert {key: value for key, value in held.items() if value} == {
        key: value for key, value in desired.items() if value
    }


def test_items_with_an_open_exception_are_held_and_all_others_posted(shop: Retailer, first_run: ChainResult) -> None:
    """Posting a disputed amount, or holding everything for one, are the two ways to get this wrong."""
    documents = shop.erp("Journal Entry", ["name", "platform_ref", "docstatus"])
    posted = {document["platform_ref"].split("#")[0] for document in documents}
    entries = shop.rows("select entry_id, posting_status, held_by_exception_id from marts.acc_journal_entries")
    held = {entry["entry_id"] for entry in entries if entry["posting_status"] == "held"}
    assert held
    assert all(entry["held_by_exception_id"] for entry in entries if entry["entry_id"] in held)
    assert posted == {entry["entry_id"] for entry in entries} - held
    keys_posted = [document["platform_ref"] for document in documents]
    assert len(keys_posted) == len(set(keys_posted)), "no key twice"


@pytest.mark.parametrize("kind", ["order", "payment", "payout", "bank", "document"])
def test_any_identifier_leads_to_the_whole_chain(shop: Retailer, first_run: ChainResult, kind: str) -> None:
    """A lookup that works from the order but not from the bank's reference leaves somebody asking where a cent went."""
    example = shop.rows(
        """
        select
            lines.order_key, lines.settlement_line_key, lines.settlement_key, payouts.bank_line_key, facts.payment_key
        from marts.rec_settlement_lines as lines
        inner join marts.rec_settlements as payouts on payouts.settlement_key = lines.settlement_key
        inner join marts.fct_settlement_lines as facts on facts.settlement_line_key = lines.settlement_line_key
        where lines.line_type = 'charge' and lines.match_status = 'matched' and payouts.bank_line_key is not null
        order by lines.settlement_line_key
        limit 1
        """
    )[0]
    documents = shop.erp("Journal Entry", ["name", "platform_ref"])
    own = f"line/{example['settlement_line_key']}#1"
    names = {
        "order": example["order_key"],
        "payment": example["payment_key"].split(":")[1],
        "payout": example["settlement_key"],
        "bank": example["bank_line_key"],
        "document": next(document["name"] for document in documents if document["platform_ref"] == own),
    }
    found = trace_of(shop.settings(), names[kind])
    for section in ("orders", "settlement_lines", "payouts", "bank_lines", "journals"):
        assert found[section], f"{names[kind]} does not lead to {section}"
    assert example["order_key"] in {row["order_key"] for row in found["orders"]}
    assert any(row["erp_documents"] for row in found["journals"])
    assert all(row["payload_sha256"] for row in found["settlement_lines"])


def test_the_trace_ends_at_the_bytes_the_source_sent(shop: Retailer, first_run: ChainResult) -> None:
    """Drill-back must end at the original record, whose hash anybody can recompute."""
    for table in (
        "raw_woocommerce.orders",
        "raw_stripe.balance_transactions",
        "raw_stripe.payouts",
        "raw_bank.entries",
    ):
        for row in shop.rows(f"select _payload, _payload_sha256 from {table}"):
            assert hashlib.sha256(row["_payload"].encode()).hexdigest() == row["_payload_sha256"], table
    undocumented = shop.rows(
        """
        select lines.entry_id
        from marts.acc_journal_lines as lines
        left join marts.acc_journal_line_sources as sources
            on sources.entry_id = lines.entry_id and sources.line_no = lines.line_no
        where sources.payload_sha256 is null
        """
    )
    assert undocumented == []


def test_the_evidence_verifies(shop: Retailer, bad_day: BadDay, first_run: ChainResult) -> None:
    """Posted is only proven if every document is read back from the ERP and equals what was meant."""
    problems, checked = verify_all(shop.settings(), with_erp=True)
    assert problems == []
    assert checked["documents_read_back"] == _posted(bad_day, first_run).total()


def test_what_is_changed_at_the_erp_is_attested_as_drift(
    shop: Retailer, bad_day: BadDay, first_run: ChainResult
) -> None:
    """A document that somebody edits after posting would otherwise stay unseen until the audit."""
    posted = _posted(bad_day, first_run)["JP"]
    assert shop.attest(["JP"]).attested == {"JP": {"documents": posted, "equal": posted, "drifted": 0}}
    document = shop.erp("Journal Entry", ["name", "company"])[-1]
    entity = next(e.code for e in shop.settings().configuration.entities if e.company == document["company"])
    with shop.changed_at_the_erp(document["name"], posting_date="2020-01-01"):
        changed = shop.attest([entity])
        assert changed.attested[entity]["drifted"] == 1
        assert changed.failed_checks == [keys.ATTESTED_CHECK]
        assert document["name"] in shop.printed
    assert shop.attest([entity]).ok


def test_documents_that_were_not_read_back_are_not_counted(shop: Retailer, first_run: ChainResult) -> None:
    """A proof that counts what it did not look at is none."""
    shop.server.faults.set("erp_main", Fault(down=True))
    settings = shop.settings()
    erp = settings.configuration.erps[0].model_copy(update={"retries": 0})
    try:
        problems, checked = verify_all(
            replace(settings, configuration=settings.configuration.model_copy(update={"erps": (erp,)})), with_erp=True
        )
    finally:
        shop.server.faults.clear()
    assert problems
    assert checked["documents_read_back"] == 0


def test_no_secret_is_written_anywhere(shop: Retailer, first_run: ChainResult) -> None:
    """Logs, pipelines' working files, run storage and warehouse are read by many; a key in one of them is a leak."""
    secrets = [
        value.encode()
        for name, value in sandbox_credentials().items()
        if name.endswith(("_SECRET", "_API_KEY", "_PASSWORD", "_LICENSE_KEY")) and len(value) > len("sandbox")
    ]
    assert len(secrets) >= 11
    simulated = shop.home / "sandbox"
    written = [path for path in shop.home.rglob("*") if path.is_file() and simulated not in path.parents]
    leaks = [(path, secret) for path in written for secret in secrets if secret in path.read_bytes()]
    assert leaks == []


def test_the_plan_is_empty_once_posted(shop: Retailer, first_run: ChainResult) -> None:
    """A plan that still lists posted entries would post them again."""
    for code, plan in plans(shop.settings(), list(ENTITY_CURRENCIES)).items():
        assert plan.items == (), code
        assert plan.unchanged


def test_the_summary_adds_up(shop: Retailer, first_run: ChainResult) -> None:
    """The controller's bridge must sum by itself: charged less deductions is net, and net is somewhere."""
    shown = io.StringIO()
    summarise(shop.settings(), Console(file=shown, width=200), first_run)
    assert "From gross sales to cash in bank" in shown.getvalue()
    for row in figures(shop.settings())["bridge"]:
        charged = (
            row["gross_sales_amount"] - row["discount_amount"] + row["shipping_amount"] + row["order_fees_amount"]
            + row["tax_amount"] + row["difference_amount"] + row["conversion_amount"] + row["unexplained_amount"]
        )  # fmt: skip
        deducted = row["refund_amount"] + row["dispute_amount"] + row["fee_amount"]
        net = charged - deducted + row["reserve_amount"] + row["other_amount"]
        assert charged == row["charged_amount"], row
        assert net == row["net_amount"], row
        assert net == row["in_bank_amount"] + row["in_transit_amount"] + row["balance_held_amount"], row


@pytest.mark.parametrize("mart", ["acc_journal_entries", "rec_orders"])
def test_a_mart_tells_how_many_rows_it_has(shop: Retailer, first_run: ChainResult, mart: str) -> None:
    """Tables and views of the marts showed no number of rows in the UI, or that of the build before."""
    told = shop.metadata("marts", mart)["dagster/row_count"].value
    assert told == shop.rows(f"select count(*) as row_count from marts.{mart}")[0]["row_count"] > 0


def test_bi_reads_what_was_built(shop: Retailer, first_run: ChainResult) -> None:
    """Figures that analysts and the books do not share; or an e-mail address in a file that is handed round."""
    published = shop.home / "published" / "marts.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        marts = connection.execute("select mart, status, row_count from published_marts order by mart").fetchall()
        texts = connection.execute(
            "select table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and table_name in "
            "(select mart from published_marts)"
        ).fetchall()
        addresses = [
            (table, column)
            for table, column in texts
            if connection.execute(f"select 1 from {table} where {column} like '%@%.%' limit 1").fetchall()
        ]
    assert marts == [
        (mart, "good", shop.rows(f"select count(*) as row_count from marts.{mart}")[0]["row_count"])
        for (mart, *_) in marts
    ]
    assert len(marts) > 30
    assert addresses == []


def test_running_again_changes_nothing(shop: Retailer, first_run: ChainResult) -> None:
    """A second document for the same entry is the worst thing this software could do."""
    before = shop.erp("Journal Entry", ["name", "platform_ref", "modified"])
    marts = _digest(shop)
    again = shop.run()
    assert again.ok, shop.printed
    assert all(posted["posted"] == 0 for posted in again.posted.values()), again.posted
    assert shop.erp("Journal Entry", ["name", "platform_ref", "modified"]) == before
    assert _digest(shop) == marts, "the same inputs and the same clock must give the same marts"


def _posted(bad_day: BadDay, first_run: ChainResult) -> Counter[str]:
    """Documents posted so far by entity."""
    found: Counter[str] = Counter()
    for result in (bad_day.result, first_run):
        found.update({entity: posted["posted"] for entity, posted in result.posted.items()})
    return found


def _digest(shop: Retailer) -> dict[str, str]:
    """A hash of every mart, row by row; the raw load log and outbox may differ, what they lead to may not."""
    tables = shop.rows(
        "select table_name from information_schema.tables "
        "where table_schema = 'marts' and table_name not like 'mon_%' order by 1"
    )
    ignored = "fct_erp_documents"  # the ERP's own documents grow by what the first run posted
    return {
        table["table_name"]: shop.rows(
            f"select md5(string_agg(line, '|' order by line)) as digest "
            f"from (select cast(t as varchar) as line from marts.{table['table_name']} as t)"
        )[0]["digest"]
        for table in tables
        if table["table_name"] != ignored
    }


def _alerted(shop: Retailer) -> list[str]:
    with shop.instance() as instance:
        return news(shop.settings(), instance)
