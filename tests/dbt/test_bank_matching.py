"""Payouts on the bank, through all models: deposits, splits, rivals and customers' transfers, to the entry."""

from decimal import Decimal

import pytest

from tests.dbt.compiled import Compiled
from tests.dbt.warehouse import Warehouse
from tests.dbt.world import World, at

pytestmark = pytest.mark.slow

#: Payout, status, rule, bank lines, difference.
PAYOUTS = """
bacs:S1:5 reconciled bank_line_key 1 0
stripe_us:po_a reconciled composition 1 0
stripe_us:po_b reconciled composition 1 0
stripe_us:po_c reconciled composition 2 0
stripe_us:po_d reconciled payout_reference 1 0
stripe_us:po_debit reconciled amount_and_date 1 0
stripe_us:po_e reconciled payout_reference 1 0
stripe_us:po_f bank_ambiguous - 0 -
stripe_us:po_g bank_ambiguous - 0 -
stripe_us:po_h bank_ambiguous - 0 -
stripe_us:po_i bank_ambiguous - 0 -
stripe_us:po_lost not_in_bank - 0 -
"""

#: Bank line, verdict, the one payout, payouts.
BANK_LINES = """
bank_us:S1:1 matched - 2
bank_us:S1:2 matched stripe_us:po_c 1
bank_us:S1:3 matched stripe_us:po_c 1
bank_us:S1:4 matched - 2
bank_us:S1:5 matched bacs:S1:5 1
bank_us:S1:6 unexplained - 0
bank_us:S1:7 matched stripe_us:po_debit 1
bank_us:S2:1 ambiguous - 0
"""

#: Entry, what it puts on the bank account.
ARRIVALS = """
bank/bacs:S1:5 70
bank/stripe_us:po_a 100.1
bank/stripe_us:po_b 200.2
bank/stripe_us:po_c/bank_us:S1:2 312.34
bank/stripe_us:po_c/bank_us:S1:3 187.66
bank/stripe_us:po_d 11.11
bank/stripe_us:po_debit -9
bank/stripe_us:po_e 22.22
"""


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = project.empty(tmp_path_factory.mktemp("retail_home"))
    world = World()
    world.add(
        "ops.gateways", gateway_id="bacs", gateway_system="bank_transfer", entity_code="US", bank_id="bank_us",
        order_reference="number", reference_prefix="",
    )  # fmt: skip
    world.add("bank_transfer.rules", gateway_id="bacs", reference_pattern="LH-([0-9]{4,})")
    for payout, amount in (
        ("a", "100.10"), ("b", "200.20"), ("c", "500.00"), ("d", "11.11"), ("e", "22.22"), ("debit", "-9.00"),
        ("lost", "77.77"),
    ):  # fmt: skip
        world.payout(
            "stripe_us", f"po_{payout}", [], amount=amount, when=at("2026-10-24 20:10"), arrival="2026-10-26",
            automatic=False,
        )  # fmt: skip
    for payout, amount in (("f", "40.00"), ("g", "60.00"), ("h", "45.00"), ("i", "55.00")):
        world.payout(
            "stripe_us", f"po_{payout}", [], amount=amount, when=at("2026-10-29 20:10"), arrival="2026-10-31",
            automatic=False,
        )  # fmt: skip
    first = [
        ("300.30", "STRIPE"), ("312.34", "STRIPE 1/2"), ("187.66", "STRIPE 2/2"), ("33.33", "STRIPE po_d, PO_E"),
        ("70.00", "LH-77001 with thanks"), ("-4200.00", "Rent"), ("-9.00", "STRIPE"),
    ]  # fmt: skip
    closing = world.statement("bank_us", 1, "2026-10-27", first, opening="10000.00")
    world.statement("bank_us", 2, "2026-11-01", [("100.00", "STRIPE")], opening=closing)
    world.write(warehouse)
    project.make(warehouse)
    return warehouse


def test_payouts_are_on_their_bank_lines(built: Warehouse) -> None:
    """A deposit that is not taken apart, a payout in two lines that counts as lost, or one of two rivals applied."""
    assert (
        _text(
            built,
            "select settlement_key, settlement_status, bank_match_rule, bank_line_count, bank_difference_amount "
            "from marts.rec_settlements order by 1",
        )
        == PAYOUTS
    )


def test_every_bank_line_says_what_it_is(built: Warehouse) -> None:
    """A line that is passed over in silence, or one that names a single payout though it holds two."""
    assert (
        _text(
            built,
            "select bank_line_key, match_status, settlement_key, payout_count from marts.fct_bank_lines order by 1",
        )
        == BANK_LINES
    )
    ((rivals,),) = built.query("select rivals from marts.fct_bank_lines where match_status = 'ambiguous'")
    assert rivals == ("bank_us:S2:1 = stripe_us:po_f + stripe_us:po_g, bank_us:S2:1 = stripe_us:po_h + stripe_us:po_i")


def test_rivals_are_an_exception_and_are_not_posted(built: Warehouse) -> None:
    """A sum that was guessed, or one that nobody hears of."""
    found = built.query(
        "select exception_type, settlement_key from marts.rec_exceptions "
        "where settlement_key like 'stripe_us:po_%' order by 2"
    )
    assert found == [("ambiguous_match", f"stripe_us:po_{payout}") for payout in "fghi"] + [
        ("payout_not_in_bank", "stripe_us:po_lost")
    ]


def test_each_arrival_is_booked_with_its_share(built: Warehouse) -> None:
    """The whole deposit booked for each of its payouts, or one part of a split for all."""
    assert (
        _text(
            built,
            "select entry_id, sum(base_debit_amount - base_credit_amount) "
            "from marts.acc_journal_lines as lines inner join marts.acc_journal_entries as entries using (entry_id) "
            "where entries.entry_type = 'payout_arrival' and lines.line_no = 1 group by 1 order by 1",
        )
        == ARRIVALS
    )


def _text(built: Warehouse, query: str) -> str:
    return "\n" + "".join(" ".join(map(_word, row)) + "\n" for row in built.query(query))


def _word(value: object) -> str:
    if value is None:
        return "-"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
