"""The ground truth of a simulated world: links, payouts, exceptions, balances and journals, in one JSON file."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

TRUTH_FILE = "truth.json"

_ENCODER = msgspec.json.Encoder()


class TrueLink(msgspec.Struct, gc=False):
    """What a balance line belongs to; no order for fees, and for charges whose order does not exist."""

    settlement_line_key: str
    order_key: str | None
    line_type: str
    payout_id: str | None


class TrueBankLine(msgspec.Struct, gc=False):
    """Where a payout stands on the statements."""

    bank_id: str
    statement_id: str
    entry_number: int
    value_date: date

    @property
    def key(self) -> str:
        return f"{self.bank_id}:{self.statement_id}:{self.entry_number}"


class TruePayout(msgspec.Struct):
    """A payout; no bank line while it is on its way."""

    settlement_key: str
    amount: Decimal
    currency_code: str
    created_on: date
    arrival_date: date
    in_transit: bool
    bank_line: TrueBankLine | None


class TrueCase(msgspec.Struct):
    """A planted case and where it is."""

    case: str
    order_key: str | None
    settlement_line_key: str | None
    settlement_key: str | None


class TrueException(TrueCase):
    """An exception that must be found; ``shown`` is the quantity that a store shows of an article, where it is one."""

    exception_type: str
    subject: str
    amount: Decimal
    currency_code: str
    shown: int | None = None


class TrueBalance(msgspec.Struct):
    """What a gateway account holds at ``as_of``."""

    gateway_id: str
    currency_code: str
    amount: Decimal


class TrueLine(msgspec.Struct, gc=False):
    """One line of an entry, in base currency."""

    account_code: str
    debit: Decimal
    credit: Decimal


class TrueEntry(msgspec.Struct, gc=False):
    """One journal entry; ``held`` when it must not be posted yet."""

    entry_id: str
    entity_code: str
    entry_type: str
    posting_date: date
    lines: list[TrueLine]
    held: bool


class Truth(msgspec.Struct):
    """Everything that is true about a world."""

    seed: int
    as_of: str
    orders: int
    days: int
    links: list[TrueLink]
    payouts: list[TruePayout]
    exceptions: list[TrueException]
    balances: list[TrueBalance]
    cases: list[TrueCase]
    journals: list[TrueEntry]


class TruthWriter:
    """Collects the truth. Journals go straight to disk, since a large world has many; everything else is small.

    Args:
        header: seed, ``as_of`` and the other parameters of the world.
        journals: open file for the journal entries.
    """

    def __init__(self, header: dict[str, Any], journals: BinaryIO) -> None:
        self._header = header
        self._journals = journals
        self._any_journal = False
        self.links: list[bytes] = []
        self.payouts: list[dict[str, Any]] = []
        self.exceptions: list[dict[str, Any]] = []
        self.balances: list[dict[str, Any]] = []
        self.cases: list[dict[str, Any]] = []

    def link(self, settlement_line_key: str, order_key: str | None, line_type: str, payout_id: str | None) -> None:
        """What one balance line truly belongs to."""
        self.links.append(
            _ENCODER.encode(
                {
                    "settlement_line_key": settlement_line_key,
                    "order_key": order_key,
                    "line_type": line_type,
                    "payout_id": payout_id,
                }
            )
        )

    def journal(self, entry: dict[str, Any]) -> None:
        """One true journal entry."""
        if self._any_journal:
            self._journals.write(b",\n")
        self._journals.write(_ENCODER.encode(entry))
        self._any_journal = True

    def assemble(self, target: BinaryIO, journals: BinaryIO) -> None:
        """Write the whole file; ``journals`` is the finished file of entries, from its start."""
        target.write(b"{")
        for name, value in self._header.items():
            target.write(_ENCODER.encode(name) + b":" + _ENCODER.encode(value) + b",\n")
        target.write(b'"links":[' + b",\n".join(self.links) + b"],\n")
        for name in ("payouts", "exceptions", "balances", "cases"):
            target.write(_ENCODER.encode(name) + b":" + _ENCODER.encode(getattr(self, name)) + b",\n")
        target.write(b'"journals":[')
        while block := journals.read(1 << 20):
            target.write(block)
        target.write(b"]}\n")


@contextmanager
def writing_truth(folder: Path, header: dict[str, Any]) -> Iterator[TruthWriter]:
    """Write ``truth.json`` into ``folder``; nothing is left of it if the block fails."""
    part = folder / "journals.part"
    try:
        with part.open("wb") as journals:
            writer = TruthWriter(header, journals)
            yield writer
        with (folder / TRUTH_FILE).open("wb") as target, part.open("rb") as written:
            writer.assemble(target, written)
    finally:
        part.unlink(missing_ok=True)


def read_truth(home: Path) -> Truth:
    """The ground truth of the world in ``home``.

    Raises:
        FileNotFoundError: no world was generated there.
    """
    path = home / "sandbox" / TRUTH_FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; generate the simulated retailer first")
    return msgspec.json.decode(path.read_bytes(), type=Truth)
