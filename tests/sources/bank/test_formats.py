"""MT940, OFX and CSV: read as the same statements that CAMT.053 would give, or refused with a reason."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assets.sandbox import bank as sandbox
from retail_assets.sandbox.minor import major
from retail_assets.sandbox.profiles import BANKS
from retail_assets.settings import Bank, instance_of
from retail_assets.sources.bank import camt, mapped, mt940, ofx
from retail_assets.sources.bank.statements import Header, Note, Statement, StatementError, is_account
from tests.sources.bank.files import IBAN, document, entry, statement

fuzzed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

MT940 = f"""{{1:F01COBADEFFXXXX0000000000}}{{2:I940}}{{4:
:20:STARTUMS
:25:{IBAN[4:12]}/{IBAN[12:]}EUR
:28C:00012/001
:60F:C261101EUR1000,00
:61:2611021102CR250,00NTRFNONREF//BANK-1
/OCMT/EUR250,00
:86:166?00GUTSCHRIFT?109310?20EREF+PO-77?21SVWZ+STRIPE PAYOUT po_?221?30COBADEFF?31DE02?32Stripe?33 Payments
:61:2611021102RC10,00NMSCNONREF
:86:taken back
with a second line
:61:2612310101RD40,5NMSCCUST-9
:62F:C261103EUR1280,50
-}}
"""


def bank_of(system: str, **parts: Any) -> Bank:
    block = {"id": "b", "entity": "DE", "format": system, "folder": "b", "account": IBAN, "currency": "EUR", **parts}
    return instance_of("banks", block)


def test_mt940_signs_texts_and_days() -> None:
    """A credit that was taken back was money in; the second line of a text and the year of a booking day were lost."""
    (found,) = mt940.read_statements(MT940.encode())
    assert isinstance(found, Statement)
    assert (found.statement_id, found.sequence_number) == ("2026-11-03-00012-001", 12)
    assert (found.opening_balance, found.closing_balance) == (Decimal(1000), Decimal("1280.5"))
    assert is_account(found.account_id, IBAN)
    first, second, third = found.entries
    assert [line.amount for line in found.entries] == [Decimal(250), Decimal(-10), Decimal("40.5")]
    assert [line.is_reversal for line in found.entries] == [False, True, True]
    assert (first.end_to_end_id, first.bank_reference, first.counterparty) == ("PO-77", "BANK-1", "Stripe Payments")
    assert "STRIPE PAYOUT po_" in (first.remittance_text or "")
    assert second.remittance_text == "taken back with a second line"
    assert (third.value_date, third.booking_date) == (date(2026, 12, 31), date(2027, 1, 1))
    assert third.end_to_end_id == "CUST-9"
    assert first.payload.decode() in MT940


ASN = """{1:F01ASNBNL21XXXX0000000000}{2:O940ASNBNL21XXXXN}{3:}{4:
:20:0000000000
:25:NL81ASNB9999999999
:28C:1/1
:NS:22JOHN DOE
23John Doe
:60F:C200101EUR444,29
:61:200101    D65,00NOVBNL47INGB9999999999
j doe
:86:NL47INGB9999999999 j doe

Betaling sieraden

:62F:C200101EUR379,29
-}{5:}
{1:F01ASNBNL21XXXX0000000000}{2:O940ASNBNL21XXXXN}{3:}{4:
:20:0000000000
:25:NL81ASNB9999999999
:28C:2/1
:60F:C200102EUR379,29
:62F:C200102EUR379,29
-}{5:}
"""


def test_mt940_of_banks_with_ways_of_their_own() -> None:
    """A trailer on the line of the end mark was read as part of the closing balance; blanks in place of an entry date,
    and an account in place of a reference, refused the statement; a bank's own field became part of the number."""
    first, second = mt940.read_statements(ASN.encode())
    assert isinstance(first, Statement)
    assert isinstance(second, Statement)
    assert (first.statement_id, second.statement_id) == ("2020-01-01-1-1", "2020-01-02-2-1")
    (line,) = first.entries
    assert (line.amount, line.booking_date, line.end_to_end_id) == (
        Decimal(-65),
        date(2020, 1, 1),
        "NL47INGB9999999999",
    )
    assert "Betaling sieraden" in (line.remittance_text or "")


def test_mt940_statements_of_a_file_stay_apart() -> None:
    """Two statements in a file were merged into one with the balances of both."""
    second = MT940.replace("00012/", "00013/").replace("C261101EUR1000,00", "C261103EUR1280,50")
    second = second.replace("C261103EUR1280,50\n-", "C261104EUR1561,00\n-")
    broken = MT940.replace("1280,50", "1280,51")
    found = list(mt940.read_statements((MT940 + broken + second).encode()))
    assert [isinstance(item, Statement) for item in found] == [True, False, True]
    assert "0.01 EUR is missing" in str(found[1])


@pytest.mark.parametrize(
    ("old", "new", "element"),
    [
        (":60F:", ":60X:", ":60F:"),
        (":62F:C261103EUR", ":62F:C261303EUR", ":62F:"),
        (":62F:C261103EUR", ":62F:C261103USD", ":62F:"),
        ("CR250,00", "XX250,00", ":61:"),
        ("CR250,00", "CR250.0.0", ":61:"),
        ("2611021102CR", "2611311102CR", ":61:"),
        (":25:", ":26:", ":25:"),
    ],
)
def test_mt940_that_cannot_be_trusted_is_refused(old: str, new: str, element: str) -> None:
    """What the package could not read was left out without a word."""
    (found,) = mt940.read_statements(MT940.replace(old, new).encode())
    assert isinstance(found, StatementError)
    assert found.element in (element, ":62F:")


@pytest.mark.parametrize("content", [b"", b"garbage", b"<Document/>", b"\xff\xfe\x00"])
@pytest.mark.parametrize("read", [mt940.read_statements, ofx.read_statements])
def test_a_file_of_another_kind_is_refused(read: Any, content: bytes) -> None:
    """Garbage gave no statements and no error."""
    with pytest.raises(StatementError, match="so it is no"):
        list(read(content))


OFX2 = f"""<?xml version="1.0" encoding="UTF-8"?><?OFX OFXHEADER="200" VERSION="211"?>
<OFX><SIGNONMSGSRSV1><SONRS><DTSERVER>20261105050000.000[-5:EST]</DTSERVER></SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>EUR</CURDEF>
<BANKACCTFROM><BANKID>COBADEFF</BANKID><ACCTID>{IBAN}</ACCTID></BANKACCTFROM>
<BANKTRANLIST><DTSTART>20261101</DTSTART><DTEND>20261104</DTEND>
<STMTTRN><TRNTYPE>CREDIT</TRNTYPE><DTPOSTED>20261102</DTPOSTED><TRNAMT>+250.00</TRNAMT><FITID>1</FITID>
<NAME>Stripe &amp; Co</NAME><MEMO>po_1</MEMO></STMTTRN>
<STMTTRN><TRNTYPE>DEBIT</TRNTYPE><DTPOSTED>20261104</DTPOSTED><TRNAMT>-50,25</TRNAMT><FITID>2</FITID><MEMO/></STMTTRN>
</BANKTRANLIST><LEDGERBAL><BALAMT>1199.75</BALAMT><DTASOF>20261104</DTASOF></LEDGERBAL>
</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>"""


def test_ofx_days_and_balances() -> None:
    """Downloads overlap; a lost transaction between two of them was not noticed."""
    first, second = ofx.read_statements(OFX2.encode())
    assert isinstance(first, Statement)
    assert isinstance(second, Statement)
    assert (first.statement_id, second.statement_id) == ("2026-11-02", "2026-11-04")
    assert (first.opening_balance, first.closing_balance) == (Decimal(1000), Decimal(1250))
    assert (second.opening_balance, second.closing_balance) == (Decimal(1250), Decimal("1199.75"))
    assert first.created_at == datetime(2026, 11, 5, 10, 0, tzinfo=UTC)
    assert (first.covers_from, first.covers_to) == (date(2026, 11, 1), date(2026, 11, 4))
    (line,) = first.entries
    assert (line.amount, line.bank_reference) == (Decimal(250), "1")
    assert (line.remittance_text, line.counterparty) == ("Stripe & Co po_1", "Stripe & Co")
    assert line.payload.startswith(b"<STMTTRN>")
    assert line.payload.endswith(b"</STMTTRN>")


def test_ofx_without_end_tags_is_the_same() -> None:
    """Version 1 leaves the end tags of elements out."""
    old = "OFXHEADER:100\nENCODING:USASCII\nCHARSET:1252\n\n" + OFX2[OFX2.index("<OFX>") :]
    for name in ("DTSERVER", "CURDEF", "BANKID", "ACCTID", "DTSTART", "DTEND", "TRNTYPE", "DTPOSTED", "TRNAMT"):
        old = old.replace(f"</{name}>", "")
    for name in ("FITID", "NAME", "MEMO", "BALAMT", "DTASOF"):
        old = old.replace(f"</{name}>", "\n").replace(f"<{name}/>", "")

    def facts(content: str) -> list[Any]:
        return [
            (found.statement_id, found.closing_balance, [(line.amount, line.remittance_text) for line in found.entries])
            for found in ofx.read_statements(content.encode())
            if isinstance(found, Statement)
        ]

    assert facts(old) == facts(OFX2)


@pytest.mark.parametrize(
    ("old", "new", "element"),
    [
        ("+250.00", "250.00.1", "TRNAMT"),
        ("<DTPOSTED>20261102<", "<DTPOSTED>20261332<", "DTPOSTED"),
        ("<CURDEF>EUR<", "<CURDEF>euros<", "CURDEF"),
        (f"<ACCTID>{IBAN}</ACCTID>", "", "ACCTID"),
        ("<MEMO>po_1</MEMO>", "<CORRECTFITID>9</CORRECTFITID>", "CORRECTFITID"),
    ],
)
def test_ofx_that_cannot_be_trusted_is_refused(old: str, new: str, element: str) -> None:
    """An amount or day was guessed, a transaction counted twice."""
    (found,) = ofx.read_statements(OFX2.replace(old, new).encode())
    assert isinstance(found, StatementError)
    assert found.element == element


def test_a_cut_off_ofx_is_refused() -> None:
    """The first half of a download was taken for the whole."""
    with pytest.raises(StatementError, match="cut off"):
        list(ofx.read_statements(OFX2[: OFX2.index("</BANKTRANLIST>")].encode()))


def test_batches_keep_their_payments() -> None:
    """A batch of three customers was one line with the text of the first."""
    details = "".join(
        f"<TxDtls><Refs><EndToEndId>{name}</EndToEndId></Refs><Amt Ccy='EUR'>{amount}</Amt>"
        f"<RltdPties><Dbtr><Nm>{name}</Nm></Dbtr></RltdPties>"
        f"<RmtInf><Strd><CdtrRefInf><Ref>RF{name}</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>"
        for name, amount in (("A", "10.00"), ("B", "20.00"))
    )
    batch = entry("30.00")
    start, end = batch.index("<TxDtls>"), batch.index("</NtryDtls>")
    batch = batch[:start] + details + batch[end:]
    (found,) = camt.read_statements(document(statement(batch, closing="130.00")))
    assert isinstance(found, Statement)
    (line,) = found.entries
    assert (line.amount, line.end_to_end_id, line.remittance_text) == (Decimal(30), None, "RFA RFB")
    assert [(part.amount, part.end_to_end_id, part.counterparty) for part in line.details] == [
        (Decimal(10), "A", "A"),
        (Decimal(20), "B", "B"),
    ]
    assert line.payload.decode() == batch


@pytest.mark.parametrize(
    ("found", "configured", "same"),
    [
        (IBAN, IBAN, True),
        ("DE89 3704 0044 0532 0130 00", IBAN, True),
        ("37040044/532013000EUR", IBAN, True),
        ("0532013000", IBAN, True),
        ("3000", IBAN, False),
        ("37040044/532013001", IBAN, False),
        ("DE02120300000000202051", IBAN, False),
        ("021000021/123456789", "123456789", True),
        ("123456788", "123456789", False),
    ],
)
def test_an_account_has_many_names(found: str, configured: str, same: bool) -> None:
    """Statements of our own account were refused since the bank writes it without IBAN; or a neighbour's were taken."""
    assert is_account(found, configured) is same


def csv_days(path: Path, content: str, **mapping: Any) -> list[Any]:
    (path / "x.csv").write_bytes(content.encode())
    columns = {"booking_date": "Day", "amount": "Amount", "balance": "Balance", "remittance_text": "Text"}
    found = mapped.read_file(bank_of("csv", mapping={"columns": columns, **mapping}), path / "x.csv")
    return [item for item in found if not isinstance(item, Header)]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_csv_is_a_statement_a_day(tmp_path: Path, newest_first: bool) -> None:
    """Exports with the newest line first had their balances upside down."""
    rows = ["2026-11-02,10.00,110.00,a", "2026-11-02,-4.00,106.00,b", "2026-11-04,1.00,107.00,c"]
    body = rows[::-1] if newest_first else rows
    found = csv_days(tmp_path, "\n".join(["Day,Amount,Balance,Text", *body]))
    assert [(day.statement_id, day.opening_balance, day.closing_balance) for day in found] == [
        ("2026-11-02", Decimal(100), Decimal(106)),
        ("2026-11-04", Decimal(106), Decimal(107)),
    ]
    assert [line.remittance_text for line in found[0].entries] == ["a", "b"]


def test_a_day_that_lacks_a_row_is_refused(tmp_path: Path) -> None:
    """A row that could not be read was missing from the cash, and only the bank knew."""
    rows = [
        "2026-11-02,10.00,110.00,a",
        "2026-11-02,x,106.00,b",
        "2026-11-02,1.00,107.00,c",
        "2026-11-04,1.00,108.00,d",
    ]
    row, day, good = csv_days(tmp_path, "\n".join(["Day,Amount,Balance,Text", *rows]))
    assert row.origin == "x.csv, row 3"
    assert isinstance(day, StatementError)
    assert "-4.00" in day.reason.replace("-4.0000", "-4.00")
    assert good.statement_id == "2026-11-04"


minor = st.integers(-99_999_999, 99_999_999).filter(bool)
words = st.text("abcXYZ 0123456789/-.,äöü", min_size=1, max_size=60).map(str.strip).filter(bool)


@st.composite
def histories(draw: st.DrawFn) -> list[sandbox.Statement]:
    bank = BANKS[draw(st.sampled_from(["bank_de", "bank_us", "bank_jp"]))]
    opening, day, found = draw(minor), date(2026, 11, 2), []
    for sequence in range(draw(st.integers(1, 4))):
        entries = tuple(
            sandbox.BankEntry(
                draw(minor), day, day, draw(st.sampled_from(["NOTPROVIDED", "PO-1"])), draw(words), draw(words)
            )
            for _ in range(draw(st.integers(0, 3)))
        )
        found.append(sandbox.Statement(bank, f"S-{sequence}", sequence + 1, day, opening, entries))
        opening, day = found[-1].closing, day + timedelta(days=1)
    return found


def _amounts(items: Iterator[Any] | list[Any]) -> list[Decimal]:
    found = [item for item in items if not isinstance(item, Note | Header)]
    assert all(isinstance(item, Statement) for item in found), found
    return [line.amount for item in found for line in item.entries]


@fuzzed
@given(history=histories())
def test_every_format_says_the_same(tmp_path: Path, history: list[sandbox.Statement]) -> None:
    """The same account in another format had other lines, or none."""
    bank = history[0].bank
    wanted = [major(entry.amount, bank.currency) for item in history for entry in item.entries]
    for item in history:
        (found,) = mt940.read_statements(sandbox.statement_mt940(item))
        assert isinstance(found, Statement)
        assert is_account(found.account_id, bank.account)
        assert [line.amount for line in found.entries] == [major(entry.amount, bank.currency) for entry in item.entries]
    assert sorted(_amounts(ofx.read_statements(sandbox.statements_ofx(history)))) == sorted(wanted)
    configured = bank_of("csv", account=bank.account, currency=bank.currency, mapping=sandbox.CSV_MAPPING)
    path = sandbox.write_csv(history, tmp_path)
    assert sorted(_amounts(mapped.read_file(configured, path))) == sorted(wanted)


@fuzzed
@given(
    read=st.sampled_from([mt940.read_statements, ofx.read_statements, camt.read_statements]),
    sample=st.sampled_from([MT940.encode(), OFX2.encode(), document(statement(entry("10.00"), closing="110.00"))]),
    at=st.floats(0, 1),
    junk=st.binary(max_size=6),
    cut=st.booleans(),
)
def test_damage_is_refused_not_fatal(read: Any, sample: bytes, at: float, junk: bytes, cut: bool) -> None:
    """A damaged file ended the run with an error of some library."""
    place = int(at * len(sample))
    try:
        for found in read(sample[:place] + junk + (b"" if cut else sample[place:])):
            assert isinstance(found, Statement | StatementError | Note)
    except StatementError:
        pass


def ofx_facts(content: str, **options: Any) -> tuple[list[Any], list[str]]:
    """Statements and notes of a download; nothing of it is refused."""
    found = list(ofx.read_statements(content.encode(), **options))
    assert not [one for one in found if isinstance(one, StatementError)]
    statements = [
        (one.statement_id, one.opening_balance, one.closing_balance, [line.bank_reference for line in one.entries])
        for one in found
        if isinstance(one, Statement)
    ]
    return statements, [one for one in found if isinstance(one, Note)]


def test_a_download_without_transactions_holds_its_balance() -> None:
    """A quiet week left no trace, or an empty day replaced one that the download does not speak for."""
    first, last = OFX2.index("<STMTTRN>"), OFX2.index("</BANKTRANLIST>")
    quiet = OFX2[:first] + OFX2[last:]
    balance = Decimal("1199.75")
    assert ofx_facts(quiet) == ([("2026-11-04", balance, balance, [])], [])
    for old, new in (
        ("<DTASOF>20261104", "<DTASOF>20261031"),
        ("<DTASOF>20261104", "<DTASOF>20261105"),
        ("<DTSTART>20261101</DTSTART>", ""),
    ):
        statements, (note,) = ofx_facts(quiet.replace(old, new))
        assert statements == []
        assert "has no transactions" in note


@pytest.mark.parametrize("spoiled", ["<BALAMT></BALAMT>", "<BALAMT>1.199,75</BALAMT>", ""])
def test_a_balance_that_cannot_be_read_takes_no_transaction_with_it(spoiled: str) -> None:
    """Banks leave the balance out or empty: the whole download was refused for it."""
    statements, (note,) = ofx_facts(OFX2.replace("<BALAMT>1199.75</BALAMT>", spoiled))
    assert statements == [("2026-11-02", None, None, ["1"]), ("2026-11-04", None, None, ["2"])]
    assert "LEDGERBAL" in note
    without = re.sub("<LEDGERBAL>.*</LEDGERBAL>", "", OFX2)
    assert ofx_facts(without) == (statements, [])


def test_a_currency_that_is_left_out_is_that_of_the_account() -> None:
    """A download with an empty CURDEF was refused, though retail.yaml names the account's currency."""
    for content in (
        OFX2.replace("<CURDEF>EUR</CURDEF>", "<CURDEF></CURDEF>"),
        OFX2.replace("<CURDEF>EUR</CURDEF>", ""),
    ):
        statements, (note,) = ofx_facts(content, currency="EUR")
        assert len(statements) == 2
        assert "taken as EUR" in note
        (refused,) = ofx.read_statements(content.encode())
        assert isinstance(refused, StatementError)
        assert refused.element == "CURDEF"


def test_a_fitid_that_is_there_twice() -> None:
    """A transaction that a bank listed twice counted twice, or two under one id refused the whole download."""
    line = OFX2[OFX2.index("<STMTTRN>") : OFX2.index("</STMTTRN>") + len("</STMTTRN>")]
    statements, (note,) = ofx_facts(OFX2.replace(line, line + "\n" + line))
    assert statements[0][3] == ["1"]
    assert "counted once" in note
    statements, (note,) = ofx_facts(OFX2.replace(line, line + line.replace("+250.00", "+20.00")))
    assert statements[0] == ("2026-11-02", Decimal(980), Decimal(1250), ["1", "1#2"])
    assert "both are kept, one as 1#2" in note
