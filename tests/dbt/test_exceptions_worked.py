"""Exceptions as work, from the command to the journal: resolved, written off by two people, linked by hand and back.

One small retailer; people act on what a first build found, and a second build shows what came of it. Journal lines read
``account amount``, debit positive: 1250 is the gateway's clearing account, 1290 suspense, 6920 what is written off.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest

from retail_assets.commands import CommandError
from retail_assets.commands.approve import decide
from retail_assets.commands.exceptions import Chosen, act, exception_details, exception_rows, link, unlink
from retail_assets.commands.proposals import proposals
from retail_assets.commands.trace import trace_of
from retail_assets.defs.checks import work_definitions
from retail_assets.ops import exception_actions, links
from retail_assets.ops.exception_actions import seen_from
from retail_assets.ops.store import open_store, writing
from retail_assets.settings import Settings, load_settings
from tests.dbt.compiled import Compiled
from tests.dbt.world import AS_OF, World, at

pytestmark = pytest.mark.slow

SOLD: Final = at("2026-10-20 15:00")
STRAY: Final = "order_missing:stripe_us:txn_ch_stray"
LOST: Final = "order_missing:stripe_us:txn_ch_lost"
LARGE: Final = "order_missing:stripe_us:txn_ch_large"
DEAR: Final = "order_missing:stripe_us:txn_ch_dear"
UNPAID: Final = "payment_missing:cedar_us:15"


class Shop:
    """The retailer's home, its people, and a build that reads what they did."""

    def __init__(self, project: Compiled, home: Path) -> None:
        self._project = project
        self.warehouse = project.empty(home)
        self.ann = load_settings({"RETAIL_HOME": str(home), "RETAIL_AS_OF": AS_OF.isoformat()})
        policies = self.ann.configuration.policies
        limited = policies.model_copy(
            update={"default": policies.default.model_copy(update={"manual_link_limit": Decimal(500)})}
        )
        configuration = self.ann.configuration.model_copy(update={"policies": limited})
        self.ann = replace(self.ann, actor="ann", configuration=configuration)
        self.bob = replace(self.ann, actor="bob")

    def build(self) -> None:
        operations = open_store(self.ann.operations_url)
        for table, rows in (
            ("exception_work", list(exception_actions.rows(operations))),
            ("manual_links", list(links.rows(operations))),
        ):
            self.warehouse.execute(f"delete from raw_ops.{table}")
            self.warehouse.insert(f"ops.{table}", rows)
        operations.dispose()
        self._project.make(self.warehouse)

    def status(self, exception_id: str) -> tuple[str, str]:
        ((status, work),) = self.warehouse.query(
            f"select status, work_status from marts.rec_exceptions where exception_id = '{exception_id}'"
        )
        return status, work

    def journal(self, entry_id: str) -> list[str]:
        return [
            f"{account} {amount:f}"
            for account, amount in self.warehouse.query(
                "select account_code, cast(debit_amount - credit_amount as decimal(18, 2)) "
                f"from marts.acc_journal_lines where entry_id = '{entry_id}' order by line_no"
            )
        ]


def _link(settings: Settings, exception_id: str, **sides: str) -> dict[str, Any]:
    named: dict[str, Any] = {"order": None, "payment": None, "bank_line": None, "payout": None, **sides}
    return link(settings, exception_id, reason="the customer wrote to us", **named)


@pytest.fixture(scope="module")
def shop(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(project, tmp_path_factory.mktemp("retail_home"))
    world = World()
    # The store lost the references of these payments; the orders wait for their money.
    for name, amount in (("stray", "40.00"), ("large", "900.00"), ("lost", "25.00"), ("dear", "41.00")):
        world.charge("stripe_us", f"ch_{name}", amount, when=SOLD, fee="1.00")
    world.order("cedar_us:1", "40.00", created=SOLD)
    world.order("cedar_us:2", "900.00", created=SOLD)
    world.order("cedar_us:3", "40.00", created=SOLD, transaction_id="ch_3")
    world.charge("stripe_us", "ch_3", "40.00", when=SOLD, fee="1.00")
    world.order("cedar_us:4", "40.00", created=SOLD, currency="EUR")
    # The same plugin writes its own prefix before the order's number; one of these says something wrong.
    for order_id, amount, reference, tied in (
        (11, "55.00", "SHOP-11", ""), (12, "57.00", "SHOP-12", ""), (13, "58.00", "SHOP-13", "ch_p3"),
        (14, "59.00", "SHOP-15", "ch_p4"), (15, "61.00", "", ""),
    ):  # fmt: skip
        world.order(f"cedar_us:{order_id}", amount, created=SOLD, transaction_id=tied)
        if reference:
            charge = f"ch_p{order_id - 10}"
            world.charge("stripe_us", charge, amount, when=SOLD, fee="1.00", metadata_merchant_reference=reference)
    # Two sales cost 3 percent and 30 cents, where the contract says 2.9; one still did cost that.
    world.add(
        "ops.gateway_fees", gateway_id="stripe_us", fee_rule_id="klarna", percent="2.9", fixed="0.30",
        currency_code="USD", payment_method="klarna", specificity=2, adds_interchange=False,
    )  # fmt: skip
    for order_id, amount, fee, day in (
        (21, "100.00", "3.20", "2026-10-18 15:00"), (22, "200.00", "6.30", "2026-10-19 15:00"),
        (23, "500.00", "15.30", "2026-10-20 15:00"),
    ):  # fmt: skip
        world.order(f"cedar_us:{order_id}", amount, created=at(day), transaction_id=f"ch_{order_id}")
        world.charge("stripe_us", f"ch_{order_id}", amount, when=at(day), fee=fee, payment_method_type="klarna")
    world.order("cedar_us:6", "20.00", created=SOLD, transaction_id="ch_6")
    world.charge("stripe_us", "ch_6", "20.05", when=SOLD, fee="1.00")
    # A payout that the bank booked without a word, too late for its amount to tell.
    world.payout("stripe_us", "po_1", [], amount="70.00", when=SOLD, arrival="2026-10-22", automatic=False)
    world.statement("bank_us", 1, "2026-11-02", [("70.00", "CREDIT"), ("71.00", "CREDIT")], opening="0.00")
    world.write(shop.warehouse)
    shop.build()
    return shop


IMPOSSIBLE: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "the order's own payment says otherwise": ("cedar_us:3 is the order of stripe_us:ch_3 by", {"order": "cedar_us:3"}),
    "another currency": ("is in USD and cedar_us:4 in EUR", {"order": "cedar_us:4"}),
    "another amount": ("does not make 860.00 USD go away", {"order": "cedar_us:2"}),
    "no such order": ("there is no order 'cedar_us:99'", {"order": "cedar_us:99"}),
    "matched already": (
        "belongs to cedar_us:3 by gateway_id",
        {"order": "cedar_us:1", "payment": "stripe_us:ch_3"},
    ),
    "another amount on the bank": ("is 70.00 USD and", {"bank_line": "bank_us:S1:2", "payout": "stripe_us:po_1"}),
    "two things at once": ("say what it belongs to", {"order": "cedar_us:1", "bank_line": "bank_us:S1:1"}),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_belong_together_is_not_linked(shop: Shop, case: str) -> None:
    """A link by hand that overrules what is certain, or ties sums that differ, would post a wrong match."""
    message, sides = IMPOSSIBLE[case]
    with pytest.raises(CommandError, match=message):
        _link(shop.ann, STRAY, **sides)


def _settled_when_it_was_another(shop: Shop) -> None:
    """A write-off approved for 5.00 of what are 41.00 by now, and a resolution of a cause of March."""
    by_id = {each.exception_id: each for each in seen_from(exception_rows(shop.ann, Chosen(everything=True)))}
    of_less = replace(by_id[DEAR], amount_at_risk=Decimal(5), write_off_amount=Decimal(5))
    of_march = replace(by_id[UNPAID], opened_at=at("2026-03-02 09:00"))
    operations = open_store(shop.ann.operations_url)
    with writing(operations) as connection:
        now = shop.ann.now()
        exception_actions.act(connection, "write_off", [of_less], actor="ann", now=now, reason="too small to ask")
        exception_actions.act(connection, "resolve", [of_march], actor="ann", now=now, reason="paid in cash")
    asked = exception_actions.work(operations)[DEAR].history[-1].approval_id
    operations.dispose()
    decide(shop.bob, asked or "", "approved", "agreed")


def test_work_shows_before_and_after_the_next_build(shop: Shop) -> None:
    """From the command line to the mart, and to the journal: links, a write-off, and what is resolved by hand."""
    waiting = {row["exception_id"]: row for row in exception_rows(shop.ann, Chosen())}
    assert {STRAY, LOST, LARGE, "payment_missing:cedar_us:1", "payout_not_in_bank:stripe_us:po_1"} <= waiting.keys()
    assert shop.journal("line/stripe_us:txn_ch_lost") == ["1250 24.00", "6100 1.00", "1290 -25.00"]
    with pytest.raises(CommandError, match="say --yes to assign them all"):
        act(shop.ann, "assign", Chosen(exception_type="order_missing"), assignee="eve")
    act(shop.ann, "assign", Chosen(exception_type="order_missing"), assignee="eve", sure=True)
    act(shop.ann, "snooze", Chosen(ids=(LARGE,)), snoozed_until=date(2026, 11, 9))
    act(shop.ann, "resolve", Chosen(ids=("payment_missing:cedar_us:4",)), reason="paid in cash")
    shown = {row["exception_id"] for row in exception_rows(shop.ann, Chosen())}
    assert {STRAY, LOST} <= shown
    assert not {LARGE, "payment_missing:cedar_us:4"} & shown
    with pytest.raises(CommandError, match="nothing of payment_missing:cedar_us:2 is in suspense"):
        act(shop.ann, "write_off", Chosen(ids=("payment_missing:cedar_us:2",)), reason="too old")

    act(shop.ann, "write_off", Chosen(ids=(LOST,)), reason="nobody claims it")
    (asked,) = exception_details(shop.ann, LOST)["history"][-1:]
    with pytest.raises(CommandError, match="ann asked for it, so somebody else must decide"):
        decide(shop.ann, asked["approval_id"], "approved", "fine")
    linked = _link(shop.ann, STRAY, order="cedar_us:1")
    assert linked["state"] == "effective"
    large = _link(shop.ann, LARGE, order="cedar_us:2")
    assert large["state"] == "waiting"
    with pytest.raises(CommandError, match="is linked by hand already"):
        _link(shop.ann, STRAY, order="cedar_us:1")
    _link(shop.ann, "payout_not_in_bank:stripe_us:po_1", bank_line="bank_us:S1:1")
    shop.build()

    # What waits for a second person changes nothing.
    assert shop.status(LOST) == ("open", "write_off_asked")
    assert shop.journal("write_off/stripe_us:txn_ch_lost") == []
    assert shop.status(LARGE) == ("open", "snoozed")
    assert shop.status("payment_missing:cedar_us:4") == ("open", "resolved")
    # What is linked is matched, and its exceptions close by themselves.
    assert shop.status(STRAY) == ("closed", "closed")
    assert shop.journal("line/stripe_us:txn_ch_stray") == ["1250 39.00", "6100 1.00", "1100 -40.00"]
    assert shop.journal("sale/cedar_us:1") == ["1100 40.00", "4000 -40.00"]
    assert shop.journal("bank/stripe_us:po_1") == ["1200 70.00", "1210 -70.00"]
    traced = trace_of(shop.bob, "cedar_us:1")
    assert [(line["match_rule"], line["order_key"]) for line in traced["settlement_lines"]] == [
        ("manual", "cedar_us:1")
    ]
    assert [(each["linked_by"], each["reason"]) for each in traced["manual_links"]] == [
        ("ann", "the customer wrote to us")
    ]

    decide(shop.bob, asked["approval_id"], "approved", "agreed")
    decide(shop.bob, large["approval_id"], "approved", "I asked the customer too")
    unlink(shop.ann, STRAY, "it was another customer")
    _settled_when_it_was_another(shop)
    before = {row["exception_id"]: row["work_status"] for row in exception_rows(shop.ann, Chosen(everything=True))}
    shop.build()
    after = {row["exception_id"]: row["work_status"] for row in exception_rows(shop.ann, Chosen(everything=True))}
    assert (before[LOST], after[LOST]) == ("written_off", "written_off")
    assert (before[DEAR], shop.status(DEAR)) == ("assigned", ("open", "assigned"))
    assert (before[UNPAID], shop.status(UNPAID)) == ("open", ("open", "open"))
    with pytest.raises(CommandError, match="is written off: that is taken back first, with: retail exceptions reopen"):
        act(shop.ann, "resolve", Chosen(ids=(LOST,)), reason="it is fine")
    assert shop.status(LOST) == ("closed", "written_off")
    assert shop.journal("write_off/stripe_us:txn_ch_lost") == ["1290 25.00", "6920 -25.00"]
    assert shop.warehouse.query(
        "select posting_status, posting_date from marts.acc_journal_entries where entry_type = 'write_off'"
    ) == [("ready", AS_OF.date())]
    ((justified,),) = shop.warehouse.query(
        "select justified_by from marts.acc_events where event_type = 'exception_written_off'"
    )
    assert LOST in justified
    assert shop.journal("sale/cedar_us:2") == ["1100 900.00", "4000 -900.00"]
    # What was linked and is not any more: as it was before.
    assert shop.status(STRAY) == ("open", "assigned")
    assert shop.journal("sale/cedar_us:1") == []
    assert shop.journal("line/stripe_us:txn_ch_stray") == ["1250 39.00", "6100 1.00", "1290 -40.00"]


def test_dagster_shows_each_queue(shop: Shop) -> None:
    """What is overdue would be seen by whoever asks for it only, and not where everything else is watched."""
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions.merge(
        work_definitions(shop.ann), dg.Definitions(jobs=[job], executor=dg.in_process_executor)
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    found = {one.check_name: one for one in done.get_asset_check_evaluations()}
    business = found["business_exceptions_in_time"]
    listed = exception_rows(shop.ann, Chosen(queue="business"))
    assert business.metadata["open"].value == len(listed) > 0
    assert business.metadata["overdue"].value == len([row for row in listed if row["is_overdue"]]) > 0
    assert (business.passed, business.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found["technical_exceptions_in_time"].passed


def test_the_list_and_the_mart_agree_about_what_is_done(shop: Shop) -> None:
    """The command reckons the state anew before a build has; were the two to differ, work would come back overnight."""
    listed = {row["exception_id"]: row["work_status"] for row in exception_rows(shop.ann, Chosen(everything=True))}
    built = dict(shop.warehouse.query("select exception_id, work_status from marts.rec_exceptions"))
    assert listed == built
    assert {"open", "assigned", "resolved", "written_off", "closed"} <= set(built.values())


def test_a_write_off_is_taken_back_by_two_and_reversed(shop: Shop) -> None:
    """Booked by mistake, it stayed booked: closed to every act, though the money turned up."""
    (row,) = act(shop.ann, "reopen", Chosen(ids=(LOST,)), reason="the customer paid")
    assert row["work_status"] == "written_off"
    (asked,) = exception_details(shop.ann, LOST)["history"][-1:]
    with pytest.raises(CommandError, match="ann asked for it, so somebody else must decide"):
        decide(shop.ann, asked["approval_id"], "approved", "fine")
    decide(shop.bob, asked["approval_id"], "approved", "I saw the letter")
    (row,) = exception_rows(shop.ann, Chosen(ids=(LOST,)))
    assert (row["status"], row["work_status"], row["is_overdue"]) == ("open", "assigned", True)
    shop.build()
    assert shop.status(LOST) == ("open", "assigned")
    assert shop.journal("write_off/stripe_us:txn_ch_lost") == []
    assert shop.journal("line/stripe_us:txn_ch_lost") == ["1250 24.00", "6100 1.00", "1290 -25.00"]


def test_what_was_decided_by_hand_is_proposed_as_a_rule_with_its_effect(shop: Shop) -> None:
    """A prefix that would decide others wrongly, proposed as if nothing spoke against it; or no proposal at all."""
    act(shop.ann, "resolve", Chosen(ids=("amount_mismatch:cedar_us:6",)), reason="five cents")
    _link(shop.ann, "order_missing:stripe_us:txn_ch_p1", order="cedar_us:11")
    found = {each.where.partition(" ")[0]: each for each in proposals(shop.ann)}
    prefix = found["gateways.stripe_us.reference_prefix"]
    assert (prefix.value, prefix.because) == ("SHOP-", ("stripe_us:ch_p1",))
    # What is linked itself and one more; one that a gateway's id ties alike, one that it ties to another order.
    assert (prefix.decides, prefix.agrees, prefix.contradicts, prefix.ambiguous) == (2, 1, 1, 0)
    assert prefix.amounts == {"USD": Decimal("112.0000")}
    assert not prefix.is_safe
    tolerance = found["policies.entities.US.tolerance_minor_units"]
    assert (tolerance.value, tolerance.now, tolerance.decides) == ("5", "1", 1)
    assert tolerance.is_safe
    act(shop.ann, "resolve", Chosen(exception_type="fee_variance"), reason="they told us in a letter", sure=True)
    (contract,) = [each for each in proposals(shop.ann) if ".fees." in each.where]
    assert (contract.value, contract.now) == ("percent 3 from 2026-10-19", "percent 2.9")
    assert (contract.decides, contract.contradicts, contract.amounts) == (2, 0, {"USD": Decimal("0.7000")})
    assert contract.is_safe
    assert [each.where for each in proposals(shop.ann, "amount_mismatch:cedar_us:6")] == [tolerance.where]
