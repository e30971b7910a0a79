"""The whole chain, from the stores' orders to the ERP's books, on the simulated retailer."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import pytest

from retail_assets import money
from retail_assets.commands.run import ChainResult
from retail_assets.sandbox.datafaults import corrupt_bank_file, impossible_order
from retail_assets.sandbox.faults import Fault
from retail_assets.sandbox.score import score
from tests.support.chain import Retailer, retailer

ENTITY_CURRENCIES = {"US": "USD", "DE": "EUR", "JP": "JPY"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    with retailer(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="module")
def first_run(shop: Retailer) -> ChainResult:
    return shop.run()


def test_the_chain_runs_through(shop: Retailer, first_run: ChainResult) -> None:
    """Every source loads, every check passes, every entity is posted: nothing less is a first full chain."""
    assert first_run.ok, shop.printed
    assert not first_run.held, shop.printed
    assert set(first_run.posted) == set(ENTITY_CURRENCIES)
    assert all(posted["posted"] > 0 for posted in first_run.posted.values())


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
    for gateway in shop.settings().configuration.gateways:
        entity = shop.settings().configuration.entity(gateway.entity)
        balance = shop.stripe_balance(gateway.id)
        expected = money.from_minor(balance[entity.base_currency], entity.base_currency, "stripe")
        assert clearing[entity.company] == expected, gateway.id


def test_items_with_an_open_exception_are_held_and_all_others_posted(shop: Retailer, first_run: ChainResult) -> None:
    """Posting a disputed amount, or holding everything for one, are the two ways to get this wrong."""
    documents = shop.erp("Journal Entry", ["name", "platform_ref", "docstatus"])
    posted = {document["platform_ref"].split("#")[0] for document in documents}
    entries = shop.rows("select entry_id, posting_status, held_by_exception_id from marts.acc_journal_entries")
    held = {entry["entry_id"] for entry in entries if entry["posting_status"] == "held"}
    assert held
    assert all(entry["held_by_exception_id"] for entry in entries if entry["entry_id"] in held)
    assert posted == {entry["entry_id"] for entry in entries} - held
    assert len(documents) == len(posted), "no key twice"


def test_running_again_changes_nothing(shop: Retailer, first_run: ChainResult) -> None:
    """A second document for the same entry is the worst thing this software could do."""
    before = shop.erp("Journal Entry", ["name", "platform_ref", "modified"])
    marts = _digest(shop)
    again = shop.run()
    assert again.ok, shop.printed
    assert all(posted["posted"] == 0 for posted in again.posted.values()), again.posted
    assert shop.erp("Journal Entry", ["name", "platform_ref", "modified"]) == before
    assert _digest(shop) == marts, "the same inputs and the same clock must give the same marts"


def test_failures_stay_small(tmp_path: pytest.TempPathFactory, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A store that is down, a corrupt bank file and an impossible amount: each is named, and all else is posted."""
    with retailer(tmp_path_factory.mktemp("faulty"), orders=60, seed=5) as shop:
        broken_file = corrupt_bank_file(shop.home, "bank_us")
        order_id = impossible_order(shop.home, "aoi_jp", "12,50")
        shop.server.faults.set("linden_de", Fault("down"))
        result = shop.run()

        assert set(result.failures) == {"load_linden_de"}
        assert "/linden_de/" in result.failures["load_linden_de"]
        assert not result.failed_checks, shop.printed
        refused = {row["record_key"]: row for row in shop.rows("select * from raw_ops.quarantine where status = 'open'")}
        assert refused[str(order_id)]["field"] == "total"
        assert refused[str(order_id)]["value"] == "12,50"
        assert "not well-formed" in refused[broken_file.name]["reason"]
        assert broken_file.name in refused[broken_file.name]["origin"]
        assert len(refused) == 2
        assert {"US", "JP"} <= set(result.posted)
        assert all(result.posted[entity]["posted"] > 0 for entity in ("US", "JP"))

        # The store comes back: what it lacked is loaded, matched and posted, and nothing is doubled.
        shop.server.faults.clear()
        healed = shop.run()
        assert healed.ok, shop.printed
        documents = [document["platform_ref"] for document in shop.erp("Journal Entry", ["platform_ref"])]
        assert len(documents) == len(set(documents))
        found = score(shop.home)
        assert found.links.ok
        assert found.balances.ok


def _digest(shop: Retailer) -> dict[str, str]:
    """A hash of every mart, row by row; the raw load log and outbox may differ, what they lead to may not."""
    tables = shop.rows(
        "select table_name from duckdb_tables() where schema_name = 'marts' and table_name not like 'mon_%' order by 1"
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
