"""What accounting asks of an ERP: post a journal entry once, find it again, read it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal, Protocol

DocumentState = Literal["draft", "posted", "cancelled"]
LineCurrency = Literal["account", "line"]


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of an entry to be posted.

    ``debit`` and ``credit`` are in ``currency_code``, ``base_debit`` and ``base_credit`` in the currency of the books,
    all in major units and never negative; one side is zero. ``exchange_rate`` is base units for one unit of
    ``currency_code``. A rounding line has base amounts only. ``cost_centre`` is empty where there is none.
    """

    account_code: str
    debit: Decimal
    credit: Decimal
    currency_code: str
    base_debit: Decimal
    base_credit: Decimal
    exchange_rate: Decimal
    memo: str
    cost_centre: str = ""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An entry to be posted into the books of one company, under a key that no other entry of the ERP has."""

    key: str
    entity_code: str
    company: str
    posting_date: date
    base_currency_code: str
    memo: str
    lines: tuple[JournalLine, ...]


@dataclass(frozen=True, slots=True)
class PostedLine:
    """A line as the ERP holds it: ``debit`` and ``credit`` are in ``currency_code``.

    ``cost_centre`` is named as it would be sent; empty where there is none.
    """

    account_code: str
    debit: Decimal
    credit: Decimal
    currency_code: str
    base_debit: Decimal
    base_credit: Decimal
    cost_centre: str = ""


@dataclass(frozen=True, slots=True)
class PostedDocument:
    """A document as the ERP holds it; ``key`` is None where it has none of ours.

    ``line_currency`` says whose currency a line has in this ERP: its account's, or its own.
    """

    document: str
    key: str | None
    company: str
    posting_date: date
    state: DocumentState
    lines: tuple[PostedLine, ...]
    line_currency: LineCurrency = "account"


class ErpError(Exception):
    """Something went wrong between us and the ERP."""


class RejectedByErp(ErpError):  # noqa: N818 -- reads as the event it is
    """The ERP refused what was sent for good and kept nothing of it; sending it again unchanged is of no use.

    Attributes:
        code: the kind of refusal, in the ERP's own terms.
        message: the ERP's reason, in words.
        advice: what to do about it.
    """

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(f"{message} ({code}). {advice}")
        self.code = code
        self.message = message
        self.advice = advice


class KeyAlreadyUsed(RejectedByErp):
    """A document with this key exists already: find it by its key and compare."""


class OutcomeUnknown(ErpError):  # noqa: N818
    """The request may or may not have been carried out: look the key up before anything else."""


class ErpUnavailable(ErpError):  # noqa: N818
    """The ERP did nothing: it cannot be reached, is overloaded, or refuses the login.

    ``retry_after`` is how many seconds it asked to be left alone, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Poster(Protocol):
    """A connection to one ERP. Every method may raise ``ErpUnavailable``."""

    @property
    def batch_size(self) -> int:
        """How many entries are best sent in one call."""
        ...

    def check(self) -> list[str]:
        """What stands in the way of posting exactly once, in words; empty when nothing does."""
        ...

    def prepare(self) -> None:
        """Make what ``check`` misses, as far as an API may. Safe to repeat.

        Raises:
            RejectedByErp: the ERP refused.
        """
        ...

    def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        """The documents that hold these keys, in whatever state they are; a key that none holds is left out."""
        ...

    def post(self, entries: Sequence[JournalEntry]) -> list[str]:
        """Create and post entries of one company, all or none, and return their documents' numbers in their order.

        Raises:
            RejectedByErp: nothing was kept (``KeyAlreadyUsed`` if a key was taken); one entry may be the cause for all.
            OutcomeUnknown: no usable answer came back; there may be all of them, none, or drafts.
        """
        ...

    def finish(self, document: str) -> None:
        """Post a draft of ours that an attempt which was cut short has left.

        Raises:
            RejectedByErp: it was refused, and the draft was removed.
            OutcomeUnknown: no usable answer came back.
        """
        ...

    def read_back(self, documents: Sequence[str]) -> dict[str, PostedDocument]:
        """The documents as the ERP holds them now, by number; one that is gone is left out."""
        ...

    def document_url(self, document: str) -> str:
        """Where a person can look at the document."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...
