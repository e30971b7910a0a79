"""CAMT.053 element by element: what is read, and what is refused rather than guessed."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from retail_assets.sources.bank.camt import Statement, StatementError, read_statements
from tests.sources.bank.files import IBAN, balance, document, entry, page, statement

BOOKED = {"02": "<Sts>BOOK</Sts>", "08": "<Sts><Cd>BOOK</Cd></Sts>"}


def read(content: bytes) -> Statement:
    (found,) = read_statements(content)
    if isinstance(found, StatementError):
        raise found
    return found


def fault(content: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        read(content)
    return caught.value


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_statement_is_read_in_every_version(version: str) -> None:
    """A bank that changed its version sent statements that were read without their amounts or dates."""
    found = read(
        document(
            statement(
                entry("250.10", status=BOOKED[version], reference="A"),
                entry("-50.05", status=BOOKED[version], reference="B"),
                closing="300.05",
            ),
            version=version,
        )
    )
    assert (found.statement_id, found.account_id, found.currency, found.sequence_number) == ("STMT-1", IBAN, "EUR", 7)
    assert (found.opening_balance, found.closing_balance) == (Decimal("100.00"), Decimal("300.05"))
    assert found.opening_date == found.closing_date == date(2026, 11, 4)
    assert found.created_at == datetime(2026, 11, 5, 0, 0, tzinfo=UTC)
    assert [line.amount for line in found.entries] == [Decimal("250.10"), Decimal("-50.05")]
    first = found.entries[0]
    assert (first.value_date, first.booking_date) == (date(2026, 11, 4), date(2026, 11, 4))
    assert (first.bank_reference, first.end_to_end_id) == ("A", "E2E-A")
    assert (first.remittance_text, first.counterparty) == ("STRIPE PAYOUT", "Stripe")
    assert b"250.10" in first.payload


def test_pending_entries_are_no_money() -> None:
    """An entry that the bank had only announced was matched to a payout, and then came a second time."""
    for status in ("<Sts>PDNG</Sts>", "<Sts><Cd>PDNG</Cd></Sts>", "<Sts><Cd>INFO</Cd></Sts>"):
        assert not read(document(statement(entry("10.00", status=status)))).entries


def test_a_reversal_is_marked_and_signed_by_its_own_indicator() -> None:
    """A payout that the bank took back counted as money that arrived."""
    taken_back = entry("-25.00", extra="<RvslInd>true</RvslInd>")
    (found,) = read(document(statement(taken_back, closing="75.00"))).entries
    assert (found.amount, found.is_reversal) == (Decimal("-25.00"), True)


def test_a_batch_entry_is_one_line() -> None:
    """A deposit with several details was counted once for each of them, or lost all but one text."""
    batch = entry("30.00").replace(
        "</TxDtls></NtryDtls>",
        "</TxDtls><TxDtls><Amt Ccy='EUR'>12.00</Amt><RmtInf><Ustrd>po_2</Ustrd></RmtInf></TxDtls></NtryDtls>",
    )
    (found,) = read(document(statement(batch, closing="130.00"))).entries
    assert found.amount == Decimal("30.00")
    assert found.remittance_text == "STRIPE PAYOUT po_2"


def test_a_statement_without_entries_is_read() -> None:
    """A quiet day was refused, and the next day's opening balance had no predecessor."""
    assert read(document(statement())).entries == []


def test_yen_and_an_account_without_iban() -> None:
    """Japanese accounts have no IBAN and yen no decimals: such statements were refused, or read as hundredths."""
    found = read(
        document(
            statement(
                entry("12345", currency="JPY"),
                opening="0",
                closing="12345",
                currency="JPY",
                account="<Othr><Id>JP0001100010001234567</Id></Othr>",
            )
        )
    )
    assert (found.account_id, found.currency) == ("JP0001100010001234567", "JPY")
    assert found.entries[0].amount == Decimal(12345)


def test_an_overdraft_is_negative() -> None:
    """A debit balance was read as money in hand."""
    found = read(document(statement(entry("-150.00"), closing="-50.00")))
    assert found.closing_balance == Decimal("-50.00")


def test_the_previous_closing_balance_opens_a_statement() -> None:
    """Banks that send PRCD in place of OPBD were refused."""
    assert read(document(statement().replace("OPBD", "PRCD"))).opening_balance == Decimal("100.00")


def test_a_statement_that_does_not_sum_is_refused() -> None:
    """A file that had lost an entry on its way was booked as it was."""
    error = fault(document(statement(entry("10.00"), closing="115.00")))
    assert "5.00 EUR is missing" in error.reason
    assert (error.element, error.value, error.key) == ("Bal", "115.00", "STMT-1")


def test_one_bad_statement_of_a_file_stops_no_other() -> None:
    """Several accounts in one file: a fault in one of them held back all."""
    found = list(read_statements(document(statement(closing="1.00", identifier="BAD"), statement(identifier="GOOD"))))
    assert isinstance(found[0], StatementError)
    assert found[0].key == "BAD"
    assert isinstance(found[1], Statement)


@pytest.mark.parametrize(
    ("old", "new", "element"),
    [
        (">250.00<", ">250,00<", "Amt"),
        (">250.00<", ">NaN<", "Amt"),
        (">250.00<", ">1e3<", "Amt"),
        (">250.00<", ">1_000<", "Amt"),
        (">250.00<", ">-250.00<", "Amt"),
        (">250.00<", ">250.00001<", "Amt"),
        (">250.00<", ">999999999999999<", "Amt"),
        (">250.00<", ">1e999999999<", "Amt"),
        (">250.00<", "><", "Amt"),
        ('<Ntry><Amt Ccy="EUR">', "<Ntry><Amt>", "Amt/@Ccy"),
        ('<Ntry><Amt Ccy="EUR">', '<Ntry><Amt Ccy="USD">', "Ntry/Amt/@Ccy"),
        ("</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>", "</Amt><CdtDbtInd>CREDIT</CdtDbtInd><Sts>", "CdtDbtInd"),
        ("</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>", "</Amt><Sts>", "CdtDbtInd"),
        ("<ValDt><Dt>2026-11-04</Dt></ValDt>", "<ValDt><Dt>04.11.2026</Dt></ValDt>", "ValDt"),
        ("CLBD", "ITBD", "Bal"),
        ("<Id>STMT-1</Id>", "", "Id"),
        ("<ElctrncSeqNb>7<", "<ElctrncSeqNb>seven<", "ElctrncSeqNb"),
    ],
)
def test_what_cannot_be_trusted_is_refused(old: str, new: str, element: str | None) -> None:
    """A malformed amount, sign, currency or date was guessed."""
    content = document(statement(entry("250.00"), closing="350.00")).decode()
    assert content.count(old) == 1 or old in ("CLBD",)
    error = fault(content.replace(old, new).encode())
    assert element is None or error.element == element


def test_an_entry_in_another_currency_is_refused() -> None:
    """Dollars were added to euros, and the statement even footed."""
    error = fault(document(statement(entry("10.00", currency="USD"), closing="110.00")))
    assert (error.element, error.value) == ("Ntry/Amt/@Ccy", "USD")
    mixed = statement().replace(balance("CLBD", "100.00"), balance("CLBD", "100.00", currency="USD"))
    assert "USD" in str(fault(document(mixed)).value)


def test_broken_xml_says_where() -> None:
    """A truncated file was read up to its end, or reported without a place."""
    content = document(statement(entry("10.00"), closing="110.00")).replace(b"<Acct>", b"\n<Acct>")
    error = fault(content[: len(content) // 2])
    assert "not well-formed XML at line 2" in error.reason
    assert "well-formed" in fault(b"").reason
    assert "well-formed" in fault(b"PK\x03\x04").reason


def test_another_document_says_what_it_is() -> None:
    """A payment order in the inbox gave no statement and no word about it."""
    error = fault(b"<Document><CstmrCdtTrfInitn/></Document>")
    assert "no CAMT.053 statement" in error.reason
    assert error.element == "Document"


def test_a_document_type_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Entities read local files into the ledger's texts, blew up the memory, or cut an amount in two."""
    secret = tmp_path_factory.mktemp("secret") / "secret.txt"
    secret.write_text("canary")
    external = f'<!DOCTYPE Document [<!ENTITY x SYSTEM "file://{secret}">]>'
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE Document [<!ENTITY l0 "lol">{levels}]>'
    split = '<!DOCTYPE Document [<!ENTITY e "9">]>'
    for prolog, text in ((external, "&x;"), (bomb, "&l11;"), (split, "&e;")):
        error = fault(document(statement(entry("10.00", text=text), closing="110.00"), prolog=prolog))
        assert "document type" in error.reason or "well-formed" in error.reason
    amount = statement(entry("10.00"), closing="110.00").replace(">10.00<", ">10&e;.00<")
    assert "document type" in fault(document(amount, prolog=split)).reason


def test_a_comment_does_not_cut_an_amount() -> None:
    """A comment inside an amount ended it: 10<!-- -->0.00 was read as 10."""
    content = document(statement(entry("100.00"), closing="200.00")).replace(
        b">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>", b">10<!-- x -->0.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>"
    )
    assert b"<!-- x -->" in content
    assert read(content).entries[0].amount == Decimal("100.00")


@pytest.mark.parametrize("of_message", [False, True])
@pytest.mark.parametrize("interim", ["ITBD", "ITAV"])
def test_pages_chain_by_their_interim_balances(interim: str, of_message: bool) -> None:
    """A statement of several pages has its closing balance on the last one only: all others were refused."""
    files = [
        page(1, False, balance("OPBD", "100.00"), balance(interim, "110.00"), entry("10.00"), of_message=of_message),
        page(2, False, balance(interim, "110.00"), balance(interim, "90.00"), entry("-20.00"), of_message=of_message),
        page(3, True, balance(interim, "90.00"), balance("CLBD", "95.00"), entry("5.00"), of_message=of_message),
    ]
    found = [read(file) for file in files]
    assert [(one.statement_id, one.opening_balance, one.closing_balance) for one in found] == [
        ("STMT-1/00001", Decimal("100.00"), Decimal("110.00")),
        ("STMT-1/00002", Decimal("110.00"), Decimal("90.00")),
        ("STMT-1/00003", Decimal("90.00"), Decimal("95.00")),
    ]
    assert {one.closing_date for one in found} == {date(2026, 11, 4)}
    error = fault(files[1].replace(b">20.00<", b">21.00<"))
    assert error.key == "STMT-1/00002"


def test_pages_without_interim_balances() -> None:
    """Some banks give no balance where a page ends, others repeat those of the whole statement on each page."""
    both = balance("OPBD", "100.00") + balance("CLBD", "95.00")
    for whole in ("", both):
        first = read(page(1, False, whole or balance("OPBD", "100.00"), entry("10.00")))
        middle = read(page(2, False, whole, entry("-20.00")))
        last = read(page(3, True, whole or balance("CLBD", "95.00"), entry("5.00")))
        assert (first.opening_balance, first.closing_balance) == (Decimal("100.00"), Decimal("110.00"))
        assert (middle.opening_balance, middle.closing_balance) == (None, None)
        assert (last.opening_balance, last.closing_balance) == (Decimal("90.00"), Decimal("95.00"))
        assert [one.closing_date for one in (first, middle, last)] == [date(2026, 11, 4)] * 3


def test_pages_of_one_file_carry_their_balance() -> None:
    """In one file the balance behind a page is known, though the bank does not write it."""
    parts = [
        (1, False, balance("OPBD", "100.00"), entry("10.00")),
        (2, False, entry("-20.00")),
        (3, True, balance("CLBD", "95.00"), entry("5.00")),
    ]
    statements = [page(*part).split(b"</GrpHdr>")[1].split(b"</BkToCstmrStmt>")[0].decode() for part in parts]
    middle, last = list(read_statements(document(*statements)))[1:]
    assert isinstance(middle, Statement)
    assert isinstance(last, Statement)
    assert (middle.opening_balance, middle.closing_balance) == (Decimal("110.00"), Decimal("90.00"))
    lost = list(read_statements(document(statements[0], statements[1].replace("20.00", "21.00"), statements[2])))
    assert isinstance(lost[2], StatementError)
    assert "1.00 EUR is missing" in lost[2].reason


def test_a_page_of_a_message_holds_whole_statements_too() -> None:
    """Messages are cut anywhere: a statement that is whole within one got the page of the message as its own."""
    whole = read(page(2, True, balance("OPBD", "100.00"), balance("CLBD", "110.00"), entry("10.00"), of_message=True))
    assert whole.statement_id == "STMT-1"
    assert read(page(1, True, balance("OPBD", "1"), balance("CLBD", "1"))).statement_id == "STMT-1"
