"""Bank statements: balances that chain, sequence numbers without gaps, payouts that can be found."""

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from retail_assets.sandbox.bank import NAMESPACE
from retail_assets.sandbox.calendars import is_business_day
from retail_assets.sandbox.profiles import BANKS, CHANNELS, GATEWAYS
from tests.sandbox.conftest import State

every_bank = pytest.mark.parametrize("bank_id", list(BANKS))
NS = {"c": NAMESPACE}


def statements(home: Path, bank_id: str) -> list[etree._Element]:
    """The statements of a bank in the order of their files."""
    paths = sorted((home / "inbox" / bank_id).iterdir())
    assert all(path.suffix == ".xml" for path in paths), "a temporary file was left behind"
    return [etree.parse(path).find(".//c:Stmt", NS) for path in paths]


def signed(element: etree._Element) -> Decimal:
    amount = Decimal(element.findtext("c:Amt", namespaces=NS))
    return amount if element.findtext("c:CdtDbtInd", namespaces=NS) == "CRDT" else -amount


def balance(statement: etree._Element, code: str) -> Decimal:
    (found,) = [
        bal for bal in statement.findall("c:Bal", NS) if bal.findtext("c:Tp/c:CdOrPrtry/c:Cd", namespaces=NS) == code
    ]
    return signed(found)


@every_bank
def test_balances_and_sequence_numbers_chain(world: State, bank_id: str) -> None:
    """A gap in the chain is how a lost statement is noticed; the world must have none."""
    found = statements(world.home, bank_id)
    closing, number = None, None
    for statement in found:
        entries = statement.findall("c:Ntry", NS)
        assert balance(statement, "OPBD") + sum(map(signed, entries)) == balance(statement, "CLBD")
        assert closing in (None, balance(statement, "OPBD"))
        closing = balance(statement, "CLBD")
        sequence = int(statement.findtext("c:ElctrncSeqNb", namespaces=NS))
        assert number in (None, sequence - 1)
        number = sequence
        assert int(statement.findtext("c:TxsSummry/c:TtlNtries/c:NbOfNtries", namespaces=NS)) == len(entries)
    assert len({statement.findtext("c:Id", namespaces=NS) for statement in found}) == len(found) > 25
    assert any(not statement.findall("c:Ntry", NS) for statement in found)


@every_bank
def test_entries_hold_what_a_matcher_needs(world: State, bank_id: str) -> None:
    """References, texts, counterparties and both dates; yen without decimals."""
    bank = BANKS[bank_id]
    references = Counter()
    for statement in statements(world.home, bank_id):
        day = date.fromisoformat(statement.findtext("c:Bal/c:Dt/c:Dt", namespaces=NS))
        assert is_business_day(day, bank.country)
        for entry in statement.findall("c:Ntry", NS):
            references[entry.findtext("c:AcctSvcrRef", namespaces=NS)] += 1
            details = entry.find("c:NtryDtls/c:TxDtls", NS)
            assert details.findtext("c:Refs/c:EndToEndId", namespaces=NS)
            assert details.findtext("c:RmtInf/c:Ustrd", namespaces=NS)
            party = "Cdtr" if signed(entry) < 0 else "Dbtr"
            assert details.findtext(f"c:RltdPties/c:{party}/c:Pty/c:Nm", namespaces=NS)
            assert entry.findtext("c:BookgDt/c:Dt", namespaces=NS) == day.isoformat()
            assert entry.findtext("c:ValDt/c:Dt", namespaces=NS)
            text, currency = entry.findtext("c:Amt", namespaces=NS), entry.find("c:Amt", NS).get("Ccy")
            assert currency == bank.currency
            assert ("." in text) == (currency != "JPY")
    assert max(references.values()) == 1


def test_payouts_are_on_the_bank_on_a_business_day(world: State) -> None:
    """The true bank line of a payout must hold its amount, on or shortly after its arrival date."""
    lines = {}
    for bank_id in BANKS:
        for statement in statements(world.home, bank_id):
            for number, entry in enumerate(statement.findall("c:Ntry", NS), start=1):
                lines[bank_id, statement.findtext("c:Id", namespaces=NS), number] = entry
    came_back = {one["subject"] for one in world.truth["exceptions"] if one["exception_type"] == "payout_failed"}
    kinds = ("several_payouts_in_one_deposit", "payout_in_several_deposits")
    composed = {one["settlement_key"] for one in world.truth["cases"] if one["case"] in kinds}
    for payout in world.truth["payouts"]:
        line = payout["bank_line"]
        if line is None:
            if payout["settlement_key"] in came_back:
                continue
            assert payout["arrival_date"] >= "2026-11-04"
            continue
        entry = lines[line["bank_id"], line["statement_id"], line["entry_number"]]
        gateway_id = payout["settlement_key"].partition(":")[0]
        assert line["bank_id"] == (GATEWAYS | CHANNELS)[gateway_id].bank_id
        if payout["settlement_key"] not in composed:
            assert signed(entry) == Decimal(payout["amount"])
        late = date.fromisoformat(line["value_date"]) - date.fromisoformat(payout["arrival_date"])
        assert 0 <= late.days <= (3 if payout["settlement_key"] in composed else 1)


def test_banks_name_payouts_in_every_way(world: State) -> None:
    """By id, by trace id, or not at all: each pass from bank line to payout must be needed."""
    ways = set()
    for bank_id in BANKS:
        for statement in statements(world.home, bank_id):
            for entry in statement.findall("c:Ntry", NS):
                details = entry.find("c:NtryDtls/c:TxDtls", NS)
                text = details.findtext("c:RmtInf/c:Ustrd", namespaces=NS)
                if details.findtext("c:Refs/c:EndToEndId", namespaces=NS).startswith("po_"):
                    ways.add("end to end id")
                elif "po_" in text:
                    ways.add("text")
                elif "TRACE" in text:
                    ways.add("trace")
                elif text == "STRIPE TRANSFER":
                    ways.add("amount and date only")
                else:
                    ways.add("other")
                if entry.findtext("c:RvslInd", namespaces=NS) == "true":
                    ways.add("reversal")
    assert ways == {"end to end id", "text", "trace", "amount and date only", "other", "reversal"}
