"""CAMT.053 files as banks write them, small and adjustable."""

from decimal import Decimal

IBAN = "DE89370400440532013000"


def entry(
    amount: str,
    *,
    currency: str = "EUR",
    reference: str = "REF-1",
    text: str | None = "STRIPE PAYOUT",
    status: str = "<Sts><Cd>BOOK</Cd></Sts>",
    extra: str = "",
    day: str = "2026-11-04",
) -> str:
    """One entry; a negative amount is a debit."""
    value = Decimal(amount)
    remittance = f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf>" if text else ""
    return (
        f'<Ntry><Amt Ccy="{currency}">{abs(value)}</Amt>'
        f"<CdtDbtInd>{'CRDT' if value >= 0 else 'DBIT'}</CdtDbtInd>{extra}"
        f"{status}<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>E2E-{reference}</EndToEndId></Refs>"
        f"<RltdPties><Dbtr><Pty><Nm>Stripe</Nm></Pty></Dbtr></RltdPties>{remittance}</TxDtls></NtryDtls></Ntry>"
    )


def balance(code: str, amount: str, *, currency: str = "EUR", day: str = "2026-11-04") -> str:
    """One balance; a negative amount is an overdraft."""
    value = Decimal(amount)
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{abs(value)}</Amt>'
        f"<CdtDbtInd>{'CRDT' if value >= 0 else 'DBIT'}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def statement(
    *entries: str,
    opening: str = "100.00",
    closing: str = "100.00",
    identifier: str = "STMT-1",
    account: str = f"<IBAN>{IBAN}</IBAN>",
    currency: str = "EUR",
    made_at: str = "2026-11-05T01:00:00+01:00",
) -> str:
    """One statement."""
    return (
        f"<Stmt><Id>{identifier}</Id><ElctrncSeqNb>7</ElctrncSeqNb><CreDtTm>{made_at}</CreDtTm>"
        f"<Acct><Id>{account}</Id><Ccy>{currency}</Ccy></Acct>{balance('OPBD', opening, currency=currency)}"
        f"{balance('CLBD', closing, currency=currency)}{''.join(entries)}</Stmt>"
    )


def document(*statements: str, version: str = "08", prolog: str = "") -> bytes:
    """A file."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M</MsgId></GrpHdr>{''.join(statements)}</BkToCstmrStmt></Document>"
    ).encode()


def page(
    number: int,
    last: bool,
    *parts: str,
    of_message: bool = False,
    identifier: str = "STMT-1",
    day: str = "2026-11-05",
) -> bytes:
    """A file with one page of a statement; ``parts`` are its balances and entries."""
    pagination = f"<PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd>"
    content = document(
        f"<Stmt><Id>{identifier}</Id>"
        + ("" if of_message else f"<StmtPgntn>{pagination}</StmtPgntn>")
        + f"<ElctrncSeqNb>7</ElctrncSeqNb><CreDtTm>{day}T01:00:00Z</CreDtTm>"
        + f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>{''.join(parts)}</Stmt>"
    )
    if not of_message:
        return content
    return content.replace(b"<MsgId>M</MsgId>", f"<MsgId>M</MsgId><MsgPgntn>{pagination}</MsgPgntn>".encode())
