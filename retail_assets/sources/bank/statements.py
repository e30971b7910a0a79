"""What every reader of bank files gives: statements with their entries, proved to add up.

Money is Decimal, signed, positive for money that came in. A statement that says both its balances is only accepted if
the opening one plus its entries is the closing one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


class StatementError(Exception):
    """A file or statement cannot be trusted; says which element holds what, and what was expected."""

    def __init__(self, reason: str, *, element: str | None = None, value: str | None = None, key: str | None = None):
        super().__init__(reason)
        self.reason, self.element, self.value, self.key = reason, element, value, key


class Note(str):
    """What a person should know of a file that was read all the same."""

    __slots__ = ()


class Header(tuple[str, ...]):
    """The columns of a file, as it names them."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Detail:
    """One of the payments that a bank booked together as one entry; ``amount`` is null where the bank does not say."""

    amount: Decimal | None
    currency: str
    end_to_end_id: str | None
    remittance_text: str | None
    counterparty: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One booked line; ``amount`` is signed. ``payload`` is the line as the bank wrote it."""

    amount: Decimal
    currency: str
    is_reversal: bool
    booking_date: date | None
    value_date: date
    bank_reference: str | None
    end_to_end_id: str | None
    remittance_text: str | None
    counterparty: str | None
    payload: bytes
    details: tuple[Detail, ...] = ()


@dataclass(slots=True)
class Statement:
    """One account's statement with signed balances, in the currency of the account; a balance may not be given.

    ``covers_from`` and ``covers_to`` say for which days it speaks, where the bank says so.
    """

    statement_id: str
    account_id: str
    currency: str
    sequence_number: int | None
    opening_date: date | None
    closing_date: date | None
    opening_balance: Decimal | None
    closing_balance: Decimal | None
    created_at: datetime | None
    covers_from: date | None = None
    covers_to: date | None = None
    entries: list[Entry] = field(default_factory=list)


def require_sum(statement: Statement, element: str) -> Statement:
    """The statement, if it adds up.

    Args:
        element: where the closing balance stands, for the reader of an error.

    Raises:
        StatementError: opening balance plus entries is not the closing balance; names the difference.
    """
    opening, closing = statement.opening_balance, statement.closing_balance
    if opening is None or closing is None:
        return statement
    total = sum((entry.amount for entry in statement.entries), Decimal(0))
    if difference := closing - opening - total:
        raise StatementError(
            f"opening balance {opening} plus {len(statement.entries)} entries of {total} is not the closing balance "
            f"{closing}: {difference} {statement.currency} is missing",
            element=element,
            value=str(closing),
        )
    return statement


def amount_of(text: str, element: str) -> Decimal:
    """An amount without sign, with a point or a comma before its decimals.

    Raises:
        StatementError: it is none, or has more than 14 digits before or 4 after the point.
    """
    plain = text.strip().replace(",", ".")
    # Python would also take 1_000, NaN and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,14}(\.[0-9]{0,12})?", plain, re.ASCII):
        raise StatementError("is not an amount from 0 with at most 4 decimals", element=element, value=text)
    amount = Decimal(plain)
    if amount != amount.quantize(Decimal("0.0001")):
        raise StatementError("is not an amount from 0 with at most 4 decimals", element=element, value=text)
    return amount


def is_account(found: str, configured: str) -> bool:
    """Whether an account in a file is the configured one.

    Banks write the same account as an IBAN, as bank code and number with a slash between, with the currency behind it,
    or as a number alone. A German IBAN is bank code and number with leading zeros.
    """
    ours, theirs = _letters_and_digits(configured), _letters_and_digits(found)
    if theirs == ours:
        return True
    if len(theirs) > 3 and theirs[-3:].isalpha() and theirs[:-3] == ours:
        return True
    bank, slash, number = found.strip().rpartition("/")
    if slash:
        digits = re.sub(r"[A-Za-z]{3}$", "", number.strip())
        code = _letters_and_digits(bank)
        if ours[:2] == "DE" and ours[4:] == code + _letters_and_digits(digits).zfill(10):
            return True
        return _letters_and_digits(digits) == ours or (ours[:2].isalpha() and _ends_with(ours, digits))
    return ours[:2].isalpha() and _ends_with(ours, theirs)


def _ends_with(iban: str, number: str) -> bool:
    """Whether a number of an account, which has at least six digits, is the end of an IBAN."""
    bare = _letters_and_digits(number)
    return len(bare) >= 6 and bare.isdigit() and iban.endswith(bare)


def _letters_and_digits(text: str) -> str:
    return "".join(character for character in text if character.isalnum()).upper()


def joined(texts: Iterable[str | None]) -> str | None:
    """Texts by blanks, each once, null if there are none."""
    return " ".join(dict.fromkeys(text for text in texts if text)) or None
