"""Body rows and footers of PayPal's report files, by columns: a million rows cost seconds.

Amounts stay as they are in the file: hundredths without sign, whatever the currency. What the footers say is compared
with what the rows add up to; a footer that its rows contradict is rejected, so that nobody relies on it.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa

from retail_assets.contracts import Table, table
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.ahead import ahead
from retail_assets.sources.csvfiles import CsvFile, RaggedRow, open_csv
from retail_assets.sources.paypal.layout import ROW_TYPES, Layout, Marker, column_name, moment, offset_of, row_type
from retail_assets.sources.records import Batch, from_rows
from retail_assets.sources.schema import UTC_TIMESTAMP
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.textrows import convert_text

_CONTRACTS: Final = {
    "settlement": table("paypal", "report_lines"),
    "transactions": table("paypal", "report_transactions"),
}
TOTALS: Final = table("paypal", "report_totals")
#: Columns of ours; the others are in the file under the same name.
_OURS: Final = frozenset({"report_id", "row_number", "account_id", "section_number", "file_name", "file_sha256"})
_TIMES: Final = ("transaction_initiation_date", "transaction_completion_date")
_CODES: Final = (
    "transaction_event_code",
    "transaction_debit_or_credit",
    "gross_transaction_currency",
    "fee_debit_or_credit",
    "fee_currency",
)
#: More does not fit an amount with two decimals: fourteen digits before the point.
_LARGEST_AMOUNT: Final = 10**16 - 1
_MOMENT_LENGTH: Final = len("2026/01/06 00:00:30")
_STATED: Final = ("gross_credits", "gross_debits", "fee_credits", "fee_debits")
_BALANCES: Final = (
    "beginning_available",
    "ending_available",
    "beginning_total",
    "ending_total",
    "beginning_payable",
    "ending_payable",
)
_LONGEST_SHOWN_VALUE: Final = 200

Faults = dict[int, tuple[str, str | None, str]]


def contract_of(layout: Layout) -> Table:
    """The contract of a report's body rows."""
    return _CONTRACTS[layout.kind]


class _Sums(NamedTuple):
    """What the good rows of one section and currency add up to, in hundredths."""

    gross_credits: int = 0
    gross_debits: int = 0
    fee_credits: int = 0
    fee_debits: int = 0
    rows: int = 0

    def __add__(self, other: object) -> "_Sums":
        if not isinstance(other, _Sums):
            return NotImplemented
        return _Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass
class Report:
    """One report file being read. ``notes`` fills meanwhile with what a person should know.

    Args:
        layout: what its first rows say.
        sha256: of the file, as hexadecimal text.
        account_id: the account it must be of; None for any.
        replaces: whether an older version of the report was loaded before.
    """

    layout: Layout
    sha256: str
    account_id: str | None = None
    replaces: bool = False
    notes: list[str] = field(default_factory=list)
    _markers: list[Marker] = field(default_factory=list)
    _sums: dict[tuple[int, str], _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _body_rows: Counter[int] = field(default_factory=Counter)
    _bad_rows: int = 0
    _last_row: int = 0
    _rejected: set[str | None] = field(default_factory=set)
    _columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.layout.path.name

    def batches(self, *, instance: str, loaded_at: datetime) -> Iterator[Batch]:
        """The body rows in blocks, then the footers (of settlement reports only).

        Raises:
            CsvError: the file cannot be read as CSV at all.
        """
        self._markers.extend(self.layout.markers)
        if self.layout.header_row is not None:
            yield from self._body(instance, loaded_at)
        self._markers.sort(key=lambda marker: marker.number)
        if not (self._body_rows or self._bad_rows):
            self.notes.append(f"{self.name} has no rows")
        totals = self._totals(instance, loaded_at)
        yield totals
        self._rejected.update(rejection.record_key for rejection in totals.rejected)
        # What was refused of an older version, or of the file while it was unreadable, is made good.
        good = [self.name, *(self._made_good() if self.replaces else ())]
        for contract in (contract_of(self.layout), TOTALS):
            yield Batch(contract, 0, {}, (), good)

    def _made_good(self) -> Iterator[str]:
        keys = map(self._key, range(1, self._last_row + 1))
        return (key for key in (self.layout.report_id, *keys) if key not in self._rejected)

    def _body(self, instance: str, loaded_at: datetime) -> Iterator[Batch]:
        file = open_csv(
            self.layout.path,
            delimiter=self.layout.delimiter,
            encoding=self.layout.encoding,
            header_row=self.layout.header_row or 1,
        )
        self._columns = tuple(map(column_name, file.header))
        contract = contract_of(self.layout)
        seen = 0

        def blocks() -> Iterator[tuple[pa.Table, Sequence[int], list[Rejection]]]:
            nonlocal seen
            for block, numbers in file.numbered_blocks():
                rejected = self._aside(file.ragged[seen:], file)
                seen = len(file.ragged)
                yield block, numbers, rejected

        def converted(read: tuple[pa.Table, Sequence[int], list[Rejection]]) -> Batch:
            return self._converted(contract, *read, instance, loaded_at)

        for _, batch in ahead(converted, blocks()):
            yield batch
        if rejected := self._aside(file.ragged[seen:], file):
            self._rejected.update(rejection.record_key for rejection in rejected)
            yield Batch(contract, len(rejected), {}, rejected)

    def _converted(
        self,
        contract: Table,
        block: pa.Table,
        numbers: Sequence[int],
        rejected: list[Rejection],
        instance: str,
        loaded_at: datetime,
    ) -> Batch:
        block, rows = self._body_rows_of(block, numbers, rejected)
        sections = self._section_numbers(rows)
        columns, faults = self._typed(contract, block, rows, sections)
        batch = convert_text(
            contract,
            columns,
            instance=instance,
            loaded_at=loaded_at,
            origin=self.name,
            raw=block,
            row_numbers=rows,
            faults=faults,
        )
        for section, count in Counter(sections).items():
            self._body_rows[section] += count
        self._bad_rows += len(batch.rejected)
        if self.layout.kind == "settlement":
            self._add_up(batch.tables[contract])
        rejected = [*rejected, *batch.rejected]
        self._rejected.update(rejection.record_key for rejection in rejected)
        self._last_row = max([self._last_row, *rows[-1:]])
        return replace(batch, received=batch.loaded + len(rejected), rejected=rejected)

    def _body_rows_of(
        self, block: pa.Table, numbers: Sequence[int], rejected: list[Rejection]
    ) -> tuple[pa.Table, Sequence[int]]:
        """The rows SB. A footer may have as many fields as the header, so that it comes here as well."""
        kinds = block.column(0).combine_chunks()
        is_body = pc.equal(kinds, "SB")
        if pc.all(is_body).as_py():
            return block, numbers
        keep = []
        for row, kind in enumerate(kinds.to_pylist()):
            if row_type(kind) == "SB":
                keep.append(row)
                continue
            fields = tuple(block.column(place)[row].as_py() for place in range(block.num_columns))
            self._note(Marker(numbers[row], fields), rejected)
        return block.take(pa.array(keep, pa.int64())), [numbers[row] for row in keep]

    def _aside(self, rows: Sequence[RaggedRow], file: CsvFile) -> list[Rejection]:
        """Rows with another number of fields than the header: headers and footers, or broken body rows."""
        rejected: list[Rejection] = []
        for row in rows:
            try:
                (fields,) = csv.reader([row.text], delimiter=file.delimiter) if "\n" not in row.text else ([""],)
            except (csv.Error, ValueError):
                fields = [""]
            if row_type(fields[0]) in ROW_TYPES - {"SB"} and not row.fault:
                self._note(Marker(row.number, tuple(fields)), rejected)
            else:
                rejected.append(row.rejection(self.name, self._key(row.number)))
                self._bad_rows += 1
                if row_type(fields[0]) == "SB":
                    (section,) = self._section_numbers([row.number])
                    self._body_rows[section] += 1
        return rejected

    def _note(self, marker: Marker, rejected: list[Rejection]) -> None:
        if marker.type not in ROW_TYPES:
            shown = marker.fields[0][:_LONGEST_SHOWN_VALUE]
            rejected.append(self._rejection(marker, None, shown, "begins with no row type of a PayPal report"))
            return
        self._markers.append(marker)
        if marker.type == "CH" and tuple(map(column_name, marker.fields)) != self._columns:
            # Rows below it would be read under the wrong names.
            rejected.append(
                self._rejection(marker, None, None, "names other columns than the first section; split the file there")
            )

    def _section_numbers(self, rows: Sequence[int]) -> list[int]:
        """The section of each row, from 1; rows above any section header are in the first one."""
        starts = sorted(marker.number for marker in self._markers if marker.type == "SH")
        if not rows or not any(rows[0] < start <= rows[-1] for start in starts):
            return [max(1, sum(start < rows[0] for start in starts))] * len(rows) if rows else []
        return [max(1, sum(start < row for start in starts)) for row in rows]

    def _account(self, section: int) -> str:
        headers = [marker for marker in self._markers if marker.type == "SH"]
        headers.sort(key=lambda marker: marker.number)
        account = headers[section - 1].text(3) if section <= len(headers) else ""
        report = next((marker.text(3) for marker in self._markers if marker.type == "RH"), "")
        return account or report

    def _typed(
        self, contract: Table, block: pa.Table, rows: Sequence[int], sections: Sequence[int]
    ) -> tuple[dict[str, Any], Faults]:
        count = len(rows)
        accounts = {section: self._account(section) for section in set(sections)}
        columns: dict[str, Any] = {
            "report_id": pa.array([self.layout.report_id] * count, pa.string()),
            "row_number": pa.array(rows, pa.int64()),
            "account_id": pa.array([accounts[section] for section in sections], pa.string()),
            "section_number": pa.array(sections, pa.int64()),
            "file_name": pa.array([self.name] * count, pa.string()),
            "file_sha256": pa.array([self.sha256] * count, pa.string()),
        }
        faults: Faults = {}
        self._check_sections(accounts, sections, rows, faults)
        places = {name: place for place, name in reversed(list(enumerate(self._columns)))}
        for column in contract.columns:
            place = places.get(column_name(column.name))
            if column.name in _OURS or place is None:
                continue
            given = block.column(place).combine_chunks()
            if column.name in _CODES:
                given = pc.utf8_upper(pc.utf8_trim_whitespace(given))
            columns[column.name] = _times(column.name, given, faults) if column.name in _TIMES else given
        _check_signs(columns, contract, faults)
        return columns, faults

    def _check_sections(
        self, accounts: Mapping[int, str], sections: Sequence[int], rows: Sequence[int], faults: Faults
    ) -> None:
        foreign = {
            section
            for section, account in accounts.items()
            if self.account_id and account and account != self.account_id
        }
        if foreign:
            for row, section in enumerate(sections):
                if section in foreign:
                    reason = f"this folder is for {self.account_id}, but its section is of another account"
                    faults[row] = ("account_id", accounts[section], reason)
        names = sorted(
            (marker.number, tuple(map(column_name, marker.fields)) == self._columns)
            for marker in self._markers
            if marker.type == "CH"
        )
        if not all(same for _, same in names):
            for place, row in enumerate(rows):
                if not next((same for number, same in reversed(names) if number < row), True):
                    faults.setdefault(place, ("CH", None, "is below a row CH that names other columns than the first"))

    def _add_up(self, good: pa.Table) -> None:
        for amount, sign, currency, first in (
            ("gross_transaction_amount", "transaction_debit_or_credit", "gross_transaction_currency", 0),
            ("fee_amount", "fee_debit_or_credit", "fee_currency", 2),
        ):
            used = good
            if currency == "fee_currency":
                named = pc.if_else(
                    pc.equal(pc.coalesce(good.column(currency), ""), ""),
                    good.column("gross_transaction_currency"),
                    good.column(currency),
                )
                used = good.set_column(good.column_names.index(currency), currency, named)
            grouped = used.group_by(["section_number", currency, sign]).aggregate([(amount, "sum"), ([], "count_all")])
            for row in grouped.to_pylist():
                total, debit = row[f"{amount}_sum"] or 0, row[sign] == "DR"
                parts = [0, 0, 0, 0, 0]
                parts[first + debit] = total
                parts[4] = row["count_all"] if first == 0 else 0
                key = (row["section_number"], row[currency])
                self._sums[key] += _Sums(*parts)

    def _totals(self, instance: str, loaded_at: datetime) -> Batch:
        """The footers that agree with the rows above them."""
        rows: list[dict[str, Any]] = []
        rejected: list[Rejection] = []
        if self.layout.kind == "settlement":
            self._read_footers(rows, rejected)
        self._check_counts(rejected)
        self._check_end(rejected)
        loaded = from_rows(TOTALS, rows, instance=instance, loaded_at=loaded_at)
        return Batch(TOTALS, len(rows) + len(rejected), {TOTALS: loaded}, rejected)

    def _read_footers(self, rows: list[dict[str, Any]], rejected: list[Rejection]) -> None:
        section, period = 1, (None, None)
        begun = 0
        whole: dict[str, _Sums] = defaultdict(_Sums)
        for (_, currency), sums in self._sums.items():
            whole[currency] += sums
        for marker in self._markers:
            if marker.type == "SH":
                begun += 1
                section, period = begun, (moment(marker.text(1)), moment(marker.text(2)))
            if marker.type not in ("SF", "RF"):
                continue
            of_section = marker.type == "SF"
            # The report's footers are in its last file and count all of them.
            if not of_section and self.layout.file_number > 1:
                continue
            stated = _stated(marker)
            if isinstance(stated, str):
                rejected.append(self._rejection(marker, None, None, stated))
                continue
            currency = stated["currency"]
            sums = self._sums.get((section, currency), _Sums()) if of_section else whole.get(currency, _Sums())
            fault = self._contradiction(stated, sums)
            # PayPal's documentation does not say which of the two fee columns comes first: the rows do.
            other = {**stated, "fee_credits": stated["fee_debits"], "fee_debits": stated["fee_credits"]}
            if fault is not None and self._contradiction(other, sums) is None:
                stated, fault = other, None
            if fault is not None:
                rejected.append(self._rejection(marker, *fault))
                continue
            self._check_balances(marker, stated)
            rows.append(
                {
                    **stated,
                    "report_id": self.layout.report_id,
                    "row_number": marker.number,
                    "scope": "section" if of_section else "report",
                    "account_id": self._account(section if of_section else 1),
                    "section_number": section if of_section else None,
                    "period_start": period[0] if of_section else None,
                    "period_end": period[1] if of_section else None,
                    "file_name": self.name,
                    "file_sha256": self.sha256,
                }
            )

    def _contradiction(self, stated: Mapping[str, Any], sums: _Sums) -> tuple[str, str, str] | None:
        for name in _STATED:
            if stated[name] != getattr(sums, name):
                found = getattr(sums, name)
                reason = f"is not what the {stated['currency']} rows add up to, which is {found}"
                return name, str(stated[name]), reason + self._after_rejections()
        count = stated["record_count"]
        if count is not None and count != sums.rows:
            reason = f"is not the number of {stated['currency']} rows, which is {sums.rows}"
            return "record_count", str(count), reason + self._after_rejections()
        return None

    def _after_rejections(self) -> str:
        return f"; {self._bad_rows} rows of the file are in quarantine" if self._bad_rows else ""

    def _check_balances(self, marker: Marker, stated: Mapping[str, Any]) -> None:
        moved = stated["gross_credits"] - stated["gross_debits"] + stated["fee_credits"] - stated["fee_debits"]
        kinds = [
            stated[f"beginning_{kind}"] + moved == stated[f"ending_{kind}"]
            for kind in ("available", "total")
            if stated[f"beginning_{kind}"] is not None and stated[f"ending_{kind}"] is not None
        ]
        if kinds and not any(kinds):
            self.notes.append(
                f"{self.name}, row {marker.number}: the {stated['currency']} balance before and the rows do not "
                "give the balance after"
            )

    def _check_counts(self, rejected: list[Rejection]) -> None:
        """SC and RC count body rows, good and bad."""
        section = 0
        for marker in self._markers:
            section += marker.type == "SH"
            if marker.type == "SC":
                found = self._body_rows[max(section, 1)]
            elif marker.type == "RC" and self.layout.file_number == 1:
                found = sum(self._body_rows.values())
            else:
                continue
            stated = marker.text(1)
            if stated.isascii() and stated.isdigit() and int(stated[:18]) != found:
                reason = f"is not the number of body rows, which is {found}{self._after_rejections()}"
                rejected.append(self._rejection(marker, "record count", stated[:_LONGEST_SHOWN_VALUE], reason))

    def _check_end(self, rejected: list[Rejection]) -> None:
        types = {marker.type for marker in self._markers}
        if types & {"SF", "SC", "FF"}:
            return
        if "RH" in types:
            rejected.append(
                Rejection(
                    self.layout.report_id,
                    None,
                    None,
                    "ends without footers, so it may be cut off; its rows were loaded. Fetch it again.",
                    self.name,
                    f"{self.name}: {self.sha256}".encode(),
                )
            )
        else:
            self.notes.append(f"{self.name} has no footers, so nothing says whether it is complete")

    def _key(self, number: int) -> str:
        return f"{self.layout.report_id}/{number}"

    def _rejection(self, marker: Marker, name: str | None, value: str | None, reason: str) -> Rejection:
        payload = self.layout.delimiter.join(marker.fields).encode("utf-8", "surrogatepass")
        return Rejection(self._key(marker.number), name, value, reason, f"{self.name}, row {marker.number}", payload)


def _stated(marker: Marker) -> dict[str, Any] | str:
    """A footer's values; a sentence if it cannot be read.

    Currency, gross credits and debits, fee credits and debits, then a sign and an amount for each balance, and a count.
    Older versions lack the payable balance or the count.
    """
    values = [marker.text(place) for place in range(1, len(marker.fields))]
    while values and not values[-1]:
        values.pop()
    if len(values) <= len(_STATED) or len(values[0]) != 3:
        return "is no footer with a currency and four totals"
    amounts = [_whole(value) for value in values[1:5]]
    if None in amounts:
        return "has totals that are no whole numbers"
    stated: dict[str, Any] = {"currency": values[0].upper(), **dict(zip(_STATED, amounts, strict=True))}
    rest = values[5:]
    for name in _BALANCES:
        stated[name] = None
        if len(rest) > 1 and rest[0].upper() in ("CR", "DR"):
            amount = _whole(rest[1])
            stated[name] = -amount if amount is not None and rest[0].upper() == "DR" else amount
            rest = rest[2:]
    stated["record_count"] = _whole(rest[0]) if len(rest) == 1 else None
    return stated


def _whole(text: str) -> int | None:
    """A whole number without sign that fits an amount; an empty text is none."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_LARGEST_AMOUNT)):
        return None
    return int(text)


def _check_signs(columns: Mapping[str, Any], contract: Table, faults: Faults) -> None:
    """An amount that does not fit, or a fee of which nobody says whether it was charged or given back."""
    for amount in ("gross_transaction_amount", "fee_amount"):
        if amount not in columns:
            continue
        text = pc.utf8_trim_whitespace(columns[amount])
        for row in pc.indices_nonzero(pc.greater(pc.utf8_length(text), len(str(_LARGEST_AMOUNT)))).to_pylist():
            shown = text[row].as_py()[:_LONGEST_SHOWN_VALUE]
            faults.setdefault(row, (amount, shown, "has more digits than an amount of money"))
    for amount, sign in (
        ("gross_transaction_amount", "transaction_debit_or_credit"),
        ("fee_amount", "fee_debit_or_credit"),
    ):
        if amount not in columns or (amount == "gross_transaction_amount" and contract.name == "report_lines"):
            continue
        has_no_sign = pc.equal(columns[sign], "") if sign in columns else pa.array([True] * len(columns[amount]))
        has_no_sign = pc.and_(has_no_sign, pc.match_substring_regex(columns[amount], "[1-9]"))
        for row in pc.indices_nonzero(has_no_sign).to_pylist():
            shown = columns[amount][row].as_py()[:_LONGEST_SHOWN_VALUE]
            faults.setdefault(row, (sign, None, f"is empty, so nobody knows the sign of {shown}"))


def _times(name: str, texts: Any, faults: Faults) -> Any:
    """``2026/01/06 00:00:30 -0800`` by columns, in UTC."""
    text = pc.utf8_trim_whitespace(texts)
    try:
        return _times_at_once(text)
    except (pa.ArrowInvalid, ValueError):
        moments = []
        for row, value in enumerate(text.to_pylist()):
            found = moment(value)
            if found is None and value:
                shown = value[:_LONGEST_SHOWN_VALUE]
                faults.setdefault(row, (name, shown, "is not a time such as 2026/01/06 00:00:30 -0800"))
            moments.append(found)
        return pa.array(moments, UTC_TIMESTAMP)


def _times_at_once(text: Any) -> Any:
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if (pc.min(pc.utf8_length(text)).as_py() or _MOMENT_LENGTH) < _MOMENT_LENGTH:
        raise ValueError("a date without a time")  # Arrow would take it for midnight.
    local = pc.replace_substring(pc.utf8_slice_codeunits(text, 0, _MOMENT_LENGTH), "/", "-")
    offsets = pc.utf8_slice_codeunits(text, _MOMENT_LENGTH).dictionary_encode()
    distances = [offset_of(value.strip()) for value in offsets.dictionary.to_pylist()]
    distance = pc.take(pa.array(distances, pa.duration("us")), offsets.indices)
    return pc.assume_timezone(pc.subtract(local.cast(pa.timestamp("us")), distance), "UTC")
