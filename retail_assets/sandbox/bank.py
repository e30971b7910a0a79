"""Bank statements of the simulated retailer, one per account and business day, in any format that banks deliver.

The same statements can be written as CAMT.053 (camt.053.001.08), MT940, OFX 1 and CSV. MT940 has a file per statement,
as CAMT.053; OFX and CSV are downloads of several days.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from retail_assets.sandbox.calendars import DAY, add_business_days, is_business_day
from retail_assets.sandbox.minor import text
from retail_assets.sandbox.payments import Payout
from retail_assets.sandbox.profiles import ENTITIES, BankProfile

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_FIRST_SEQUENCE: Final = 181
#: Of so many payouts of an account in a row, which one comes together with the next, and which one in two parts.
_EVERY: Final = 30
_DEPOSIT: Final = 8
_SPLIT: Final = 14
_SMALLEST_SPLIT: Final = 1000
_TOGETHER_WITHIN: Final = 3


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One booked line: signed minor units, dates and texts."""

    amount: int
    booking_date: date
    value_date: date
    end_to_end_id: str
    remittance: str
    counterparty: str
    payout_ids: tuple[str, ...] = ()
    is_reversal: bool = False


@dataclass(frozen=True, slots=True)
class BankLine:
    """Where a payout stands on the statements."""

    statement_id: str
    entry_number: int
    value_date: date
    amount: int

    @property
    def order(self) -> tuple[str, str]:
        """By which the first of several is found: as keys are compared, which are texts."""
        return self.statement_id, str(self.entry_number)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its place in the chain."""

    bank: BankProfile
    statement_id: str
    sequence: int
    day: date
    opening: int
    entries: tuple[BankEntry, ...]

    @property
    def closing(self) -> int:
        return self.opening + sum(entry.amount for entry in self.entries)

    @property
    def file_name(self) -> str:
        return f"{self.bank.bank_id}_{self.day:%Y%m%d}_{self.sequence:05d}.xml"


def payout_entries(
    bank: BankProfile, payouts: list[Payout], last_day: date, rng: Random, payer: str = "STRIPE"
) -> Iterator[BankEntry]:
    """What the bank books for payouts of ``payer`` up to ``last_day``.

    Some lines carry the payer's trace id (where the payout has one), some the payout's id, the rest only say who paid.
    Those that can be told by an id may be booked a day late. Now and then two payouts come in one line, or one in two.
    """
    counterparty = f"{payer.title()} Payments"
    sent = [payout for payout in payouts if not payout.returned]
    place = 0
    while place < len(sent):
        payout, together = sent[place], sent[place : place + 2]
        place += 1
        if place % _EVERY == _DEPOSIT and _fit_together(together, last_day):
            place += 1
            named = payer != "STRIPE" or rng.random() < 0.5
            text = f"{payer} PAYOUT {' '.join(one.id for one in together)}" if named else f"{payer} TRANSFER"
            booked, amount = together[1].day.arrival_date, sum(one.amount for one in together)
            ids = tuple(one.id for one in together)
            yield BankEntry(amount, booked, booked, "NOTPROVIDED", text, counterparty, ids)
            continue
        arrival = payout.day.arrival_date
        if place % _EVERY == _SPLIT and payout.amount > _SMALLEST_SPLIT and arrival <= last_day:
            named = payer != "STRIPE" or rng.random() < 0.5
            text = f"{payer} PAYOUT {payout.id}" if named else f"{payer} TRANSFER"
            first = payout.amount * rng.randint(55, 80) // 100
            for amount in (first, payout.amount - first):
                yield BankEntry(amount, arrival, arrival, "NOTPROVIDED", text, counterparty, (payout.id,))
            continue
        named = payout.trace_id or rng.random() < 0.5
        # Not over a weekend: that would look like a payout that is missing.
        may_be_late = named and is_business_day(arrival + DAY, bank.country)
        booked = arrival + DAY if may_be_late and rng.random() < 0.2 else arrival
        if payout.trace_id:
            end_to_end, remittance = "NOTPROVIDED", f"{payer} TRACE {payout.trace_id}"
        elif named:
            in_text = rng.random() < 0.5
            end_to_end = "NOTPROVIDED" if in_text else payout.id
            remittance = f"{payer} PAYOUT {payout.id}" if in_text else f"{payer} PAYOUT"
        else:
            end_to_end, remittance = "NOTPROVIDED", f"{payer} TRANSFER"
        if booked <= last_day:
            yield BankEntry(payout.amount, booked, booked, end_to_end, remittance, counterparty, (payout.id,))


def _fit_together(payouts: Sequence[Payout], last_day: date) -> bool:
    """Whether a bank may book these in one line: both are credits and arrive within a few days."""
    if len(payouts) < 2 or min(payout.amount for payout in payouts) <= 0:
        return False
    first, second = (payout.day.arrival_date for payout in payouts)
    return second <= last_day and (second - first).days <= _TOGETHER_WITHIN


def other_entries(
    bank: BankProfile, first_day: date, last_day: date, taken: set[int], rng: Random
) -> Iterator[BankEntry]:
    """The company's other payments: rent, salaries, electricity (sometimes taken back), and wholesale customers.

    ``taken`` are the amounts of payouts: a customer's transfer of exactly such an amount would be a riddle of its own.
    """
    serial = 0
    day = first_day
    while day <= last_day:
        if is_business_day(day, bank.country):
            if day == add_business_days(day.replace(day=1), 0, bank.country):
                yield BankEntry(-bank.rent, day, day, f"RENT-{day:%Y%m}", f"Rent {day:%m/%Y}", bank.landlord)
            if add_business_days(day, 1, bank.country).month != day.month:
                yield BankEntry(-bank.salaries, day, day, f"SAL-{day:%Y%m}", f"Salaries {day:%m/%Y}", bank.payroll)
            if day.weekday() == 1 and rng.random() < 0.4:
                amount = bank.rent // 9 + rng.randint(1, bank.rent // 20)
                yield BankEntry(-amount, day, day, "NOTPROVIDED", "Electricity", bank.utility)
                back = add_business_days(day, 1, bank.country)
                if rng.random() < 0.3 and back <= last_day:
                    reason = "Direct debit returned: Electricity"
                    yield BankEntry(amount, back, back, "NOTPROVIDED", reason, bank.utility, is_reversal=True)
            if day.weekday() in (0, 3) and rng.random() < 0.5:
                serial += 1
                amount = bank.rent // 2 + rng.randint(1, bank.rent)
                while amount in taken:
                    amount += 1
                customer = rng.choice(bank.wholesale_customers)
                yield BankEntry(amount, day, day, f"INV-{4400 + serial}", f"Invoice {4400 + serial}", customer)
        day += DAY


def make_statements(bank: BankProfile, entries: list[BankEntry], first_day: date, last_day: date) -> list[Statement]:
    """One statement per business day from ``first_day`` to ``last_day``, empty ones included, balances chained."""
    by_day: dict[date, list[BankEntry]] = {}
    for entry in entries:
        by_day.setdefault(entry.booking_date, []).append(entry)
    statements: list[Statement] = []
    opening, sequence, day = bank.opening_balance, _FIRST_SEQUENCE, first_day
    while day <= last_day:
        if is_business_day(day, bank.country):
            booked = tuple(sorted(by_day.get(day, []), key=lambda entry: (entry.counterparty, entry.amount)))
            statement = Statement(bank, f"{bank.country}{day:%y%m%d}-{sequence}", sequence, day, opening, booked)
            statements.append(statement)
            opening, sequence = statement.closing, sequence + 1
        day += DAY
    return statements


def payout_lines(statements: list[Statement]) -> dict[str, list[BankLine]]:
    """The bank lines of each payout that is on a statement, in the order of their keys."""
    found: dict[str, list[BankLine]] = {}
    for statement in statements:
        for number, entry in enumerate(statement.entries, start=1):
            line = BankLine(statement.statement_id, number, entry.value_date, entry.amount)
            for payout_id in entry.payout_ids:
                found.setdefault(payout_id, []).append(line)
    return {payout_id: sorted(lines, key=lambda line: line.order) for payout_id, lines in found.items()}


def write_statement(statement: Statement, folder: Path) -> Path:
    """Drop a statement the way a careful sender does: under a temporary name, renamed once it is whole."""
    return _drop(folder, statement.file_name, statement_xml(statement))


def write_mt940(statement: Statement, folder: Path) -> Path:
    """Drop a statement as MT940."""
    return _drop(folder, statement.file_name.removesuffix(".xml") + ".sta", statement_mt940(statement))


def write_ofx(statements: Sequence[Statement], folder: Path) -> Path:
    """Drop a download of consecutive statements as OFX 1."""
    return _drop(folder, _download_name(statements, "ofx"), statements_ofx(statements))


def write_csv(statements: Sequence[Statement], folder: Path) -> Path:
    """Drop a download of consecutive statements as CSV, as ``CSV_MAPPING`` describes it."""
    return _drop(folder, _download_name(statements, "csv"), statements_csv(statements))


def _download_name(statements: Sequence[Statement], suffix: str) -> str:
    return f"{statements[0].bank.bank_id}_{statements[0].day:%Y%m%d}_{statements[-1].day:%Y%m%d}.{suffix}"


def _drop(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target, temporary = folder / name, folder / f".{name}.part"
    temporary.write_bytes(content)
    temporary.replace(target)
    return target


def _add(parent: etree._Element, path: str, value: str | None = None, **attributes: str) -> etree._Element:
    """Append the elements of ``path`` (slash-separated) to ``parent``; the last one gets the text."""
    element = parent
    for name in path.split("/"):
        element = etree.SubElement(element, f"{{{NAMESPACE}}}{name}")
    element.text = value
    for key, content in attributes.items():
        element.set(key, content)
    return element


def _side(amount: int) -> str:
    return "DBIT" if amount < 0 else "CRDT"


def statement_xml(statement: Statement) -> bytes:
    """The CAMT.053 document of a statement."""
    bank = statement.bank
    made = datetime.combine(statement.day + timedelta(days=1), time(5, 0), ZoneInfo(bank.zone)).isoformat()
    root = etree.Element(f"{{{NAMESPACE}}}Document", nsmap={None: NAMESPACE})
    report = _add(root, "BkToCstmrStmt")
    header = _add(report, "GrpHdr")
    _add(header, "MsgId", f"MSG{statement.statement_id}")
    _add(header, "CreDtTm", made)
    body = _add(report, "Stmt")
    _add(body, "Id", statement.statement_id)
    _add(body, "ElctrncSeqNb", str(statement.sequence))
    _add(body, "CreDtTm", made)
    account = _add(body, "Acct")
    _add(account, "Id/IBAN" if bank.is_iban else "Id/Othr/Id", bank.account)
    _add(account, "Ccy", bank.currency)
    _add(account, "Ownr/Nm", ENTITIES[bank.entity_code].company)
    servicer = _add(account, "Svcr/FinInstnId")
    _add(servicer, "BICFI", bank.bic)
    _add(servicer, "Nm", bank.name)
    _balance(body, "OPBD", statement.opening, bank.currency, statement.day)
    _balance(body, "CLBD", statement.closing, bank.currency, statement.day)
    summary = _add(body, "TxsSummry/TtlNtries")
    _add(summary, "NbOfNtries", str(len(statement.entries)))
    for number, entry in enumerate(statement.entries, start=1):
        _entry(body, statement, number, entry)
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n"


def _balance(body: etree._Element, kind: str, amount: int, currency: str, day: date) -> None:
    balance = _add(body, "Bal")
    _add(balance, "Tp/CdOrPrtry/Cd", kind)
    _add(balance, "Amt", text(abs(amount), currency), Ccy=currency)
    _add(balance, "CdtDbtInd", _side(amount))
    _add(balance, "Dt/Dt", day.isoformat())


def _entry(body: etree._Element, statement: Statement, number: int, entry: BankEntry) -> None:
    currency, reference = statement.bank.currency, f"{statement.statement_id}-{number:03d}"
    amount, side = text(abs(entry.amount), currency), _side(entry.amount)
    element = _add(body, "Ntry")
    _add(element, "NtryRef", str(number))
    _add(element, "Amt", amount, Ccy=currency)
    _add(element, "CdtDbtInd", side)
    if entry.is_reversal:
        # Marks a debit that the bank took back; the indicator above already says which way the money went.
        _add(element, "RvslInd", "true")
    _add(element, "Sts/Cd", "BOOK")
    _add(element, "BookgDt/Dt", entry.booking_date.isoformat())
    _add(element, "ValDt/Dt", entry.value_date.isoformat())
    _add(element, "AcctSvcrRef", reference)
    domain = _add(element, "BkTxCd/Domn")
    _add(domain, "Cd", "PMNT")
    family = _add(domain, "Fmly")
    _add(family, "Cd", "ICDT" if entry.amount < 0 else "RCDT")
    _add(family, "SubFmlyCd", "ESCT")
    details = _add(element, "NtryDtls/TxDtls")
    references = _add(details, "Refs")
    _add(references, "AcctSvcrRef", reference)
    _add(references, "EndToEndId", entry.end_to_end_id)
    _add(details, "Amt", amount, Ccy=currency)
    _add(details, "CdtDbtInd", side)
    party = "Cdtr" if entry.amount < 0 else "Dbtr"
    _add(details, f"RltdPties/{party}/Pty/Nm", entry.counterparty)
    _add(details, "RmtInf/Ustrd", entry.remittance)


def _comma(amount: int, currency: str) -> str:
    """SWIFT's amounts: no sign, a comma also where there are no decimals."""
    plain = text(abs(amount), currency).replace(".", ",")
    return plain if "," in plain else plain + ","


def statement_mt940(statement: Statement) -> bytes:
    """The MT940 message of a statement, with the German subfields in :86:."""
    bank, currency = statement.bank, statement.bank.currency
    opened, closed = (
        f"{'D' if amount < 0 else 'C'}{statement.day:%y%m%d}{currency}{_comma(amount, currency)}"
        for amount in (statement.opening, statement.closing)
    )
    lines = [
        ":20:STARTUMS",
        f":25:{_mt940_account(bank)}",
        f":28C:{statement.sequence:05d}/001",
        f":60F:{opened}",
    ]
    for number, entry in enumerate(statement.entries, start=1):
        # A credit that is taken back is RC, a debit that is taken back RD.
        side = ("RD" if entry.amount > 0 else "RC") if entry.is_reversal else ("C" if entry.amount > 0 else "D")
        dates = f"{entry.value_date:%y%m%d}{entry.booking_date:%m%d}"
        reference = f"{statement.sequence}-{number:03d}"
        lines.append(f":61:{dates}{side}{_comma(entry.amount, currency)}NTRFNONREF//{reference}")
        named = "" if entry.end_to_end_id == "NOTPROVIDED" else f"?20EREF+{entry.end_to_end_id[:22]}"
        words = entry.remittance
        purpose = "".join(f"?{22 + place}{words[at : at + 22]}" for place, at in enumerate(range(0, len(words), 22)))
        code = "166" if entry.amount > 0 else "116"
        lines.append(f":86:{code}?00TRANSFER?109310{named}?21SVWZ+{purpose}?32{entry.counterparty[:27]}")
    lines += [f":62F:{closed}", "-"]
    return ("\r\n".join(lines) + "\r\n").encode("cp1252", "replace")


def _mt940_account(bank: BankProfile) -> str:
    """A German account as bank code and number, any other as it is."""
    return f"{bank.account[4:12]}/{bank.account[12:]}" if bank.account.startswith("DE") else bank.account


def statements_ofx(statements: Sequence[Statement]) -> bytes:
    """A download of consecutive statements as OFX 1 (SGML)."""
    bank, last = statements[0].bank, statements[-1]
    made = datetime.combine(last.day + timedelta(days=1), time(5, 0), UTC)
    rows = [
        "OFXHEADER:100", "DATA:OFXSGML", "VERSION:102", "SECURITY:NONE", "ENCODING:USASCII", "CHARSET:1252",
        "COMPRESSION:NONE", "OLDFILEUID:NONE", "NEWFILEUID:NONE", "",
        f"<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><DTSERVER>{made:%Y%m%d%H%M%S}[0:GMT]"
        "<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>",
        "<BANKMSGSRSV1><STMTTRNRS><TRNUID>0<STATUS><CODE>0<SEVERITY>INFO</STATUS><STMTRS>",
        f"<CURDEF>{bank.currency}",
        f"<BANKACCTFROM><BANKID>{bank.bic}<ACCTID>{bank.account}<ACCTTYPE>CHECKING</BANKACCTFROM>",
        f"<BANKTRANLIST><DTSTART>{statements[0].day:%Y%m%d}<DTEND>{last.day:%Y%m%d}",
    ]  # fmt: skip
    for statement in statements:
        for number, entry in enumerate(statement.entries, start=1):
            kind = "CREDIT" if entry.amount > 0 else "DEBIT"
            words = " ".join(part for part in (entry.remittance, _reference(entry)) if part)
            rows.append(
                f"<STMTTRN><TRNTYPE>{kind}<DTPOSTED>{entry.booking_date:%Y%m%d}120000[0:GMT]"
                f"<TRNAMT>{text(entry.amount, bank.currency)}<FITID>{statement.statement_id}-{number:03d}"
                f"<NAME>{_sgml(entry.counterparty[:32])}<MEMO>{_sgml(words)}</STMTTRN>"
            )
    rows.append("</BANKTRANLIST>")
    rows.append(
        f"<LEDGERBAL><BALAMT>{text(last.closing, bank.currency)}<DTASOF>{last.day:%Y%m%d}235959[0:GMT]</LEDGERBAL>"
    )
    rows.append("</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>")
    return ("\r\n".join(rows) + "\r\n").encode("cp1252", "replace")


def _sgml(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _reference(entry: BankEntry) -> str:
    return "" if entry.end_to_end_id == "NOTPROVIDED" else entry.end_to_end_id


#: What ``retail.yaml`` says about the CSV that ``write_csv`` drops.
CSV_MAPPING: Final = {
    "encoding": "cp1252",
    "delimiter": ";",
    "decimal_mark": ",",
    "grouping": ".",
    "date_format": "%d.%m.%Y",
    "columns": {
        "booking_date": "Booked",
        "value_date": "Value date",
        "amount": "Amount",
        "balance": "Balance",
        "currency": "Currency",
        "bank_reference": "Reference",
        "end_to_end_id": "End-to-end",
        "remittance_text": "Purpose",
        "counterparty": "Name",
    },
}


def statements_csv(statements: Sequence[Statement]) -> bytes:
    """A download of consecutive statements as CSV: newest line first, German numbers, a heading above the header."""
    bank = statements[0].bank
    rows: list[list[str]] = []
    for statement in statements:
        balance = statement.opening
        for number, entry in enumerate(statement.entries, start=1):
            balance += entry.amount
            rows.append(
                [
                    f"{entry.booking_date:%d.%m.%Y}",
                    f"{entry.value_date:%d.%m.%Y}",
                    entry.counterparty,
                    entry.remittance,
                    _reference(entry),
                    f"{statement.statement_id}-{number:03d}",
                    _german(entry.amount, bank.currency),
                    bank.currency,
                    _german(balance, bank.currency),
                ]
            )
    written = io.StringIO()
    writer = csv.writer(written, delimiter=";", lineterminator="\r\n")
    writer.writerow(["Account", bank.account])
    writer.writerow([])
    writer.writerow(
        ["Booked", "Value date", "Name", "Purpose", "End-to-end", "Reference", "Amount", "Currency", "Balance"]
    )
    writer.writerows(reversed(rows))
    return written.getvalue().encode("cp1252", "replace")


def _german(amount: int, currency: str) -> str:
    """1.234,50 for 123450 cents."""
    whole, point, decimals = text(abs(amount), currency).partition(".")
    grouped = f"{int(whole):,}".replace(",", ".")
    return ("-" if amount < 0 else "") + grouped + ("," if point else "") + decimals
