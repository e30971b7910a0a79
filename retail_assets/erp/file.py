"""Journal entries as files, for ERPs that import them.

A folder holds batches ``00000001.csv`` (or ``.json``), each with ``00000001.manifest.json`` beside it:

- The manifest is written last: a batch without one is not posted, and is not to be imported. It has the file's SHA-256,
  counts, totals per currency and the keys, and names the manifest before it with its SHA-256, so that one that was
  changed or taken away is noticed.
- Everything is written under a hidden name, flushed to the disk and renamed, under a lock that ends with its holder.
  Numbers are not used twice and nothing is overwritten. What a crash left without a manifest is announced if it is
  what is to be written, and put aside under a hidden name otherwise.
- Which entries are there is known from the manifests; what they say is read from the files.
"""

import csv
import fcntl
import io
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from retail_assets.erp.protocol import (
    ErpUnavailable,
    JournalEntry,
    JournalLine,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    PostedLine,
    RejectedByErp,
)
from retail_assets.money import quantize
from retail_assets.ops.canonical import decimal_text

_HEADER: Final = ("document", "posting_key", "entity_code", "company", "posting_date", "base_currency_code", "memo")
_LINE: Final = (
    "line_no",
    "account_code",
    "debit",
    "credit",
    "currency_code",
    "base_debit",
    "base_credit",
    "exchange_rate",
    "line_memo",
    "cost_centre",
)
COLUMNS: Final[tuple[str, ...]] = (*_HEADER, *_LINE)

_VERSION: Final = 1
_SUFFIX: Final = ".manifest.json"
_DIGITS: Final = 8
_DATA: Final = re.compile(r"[0-9]{8}\.(csv|json)")
_ASIDE: Final = ".unannounced-"
_LOCK: Final = ".lock"
_SMALLEST_BATCH: Final = 200
# A spreadsheet would take such a text for a formula.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Batch:
    """An announced batch: the position of each key in its file."""

    name: str
    file: Path
    format: str
    sha256: str
    keys: tuple[str, ...]


@dataclass(slots=True)
class _Index:
    """What the manifests say, as far as they were read."""

    batches: dict[str, _Batch] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    last_manifest: dict[str, str] | None = None


class FilePoster:
    """Writes entries into a folder from which an ERP imports them.

    Args:
        folder: where the files go; nobody may change or remove what is there.
        file_format: ``csv``, a row for each line, or ``json``.
        entries_per_file: most entries in one file; 1 for a file of its own for each entry.
    """

    def __init__(self, folder: Path, *, file_format: str = "csv", entries_per_file: int = 500) -> None:
        if entries_per_file < 1:
            raise ValueError(f"entries_per_file is {entries_per_file}: it must be 1 or more")
        self._folder = folder
        self._format = file_format
        self._entries_per_file = entries_per_file
        self._index = _Index()

    @property
    def batch_size(self) -> int:
        """How many entries are best written at once."""
        return max(self._entries_per_file, _SMALLEST_BATCH)

    def check(self) -> list[str]:
        """What stands in the way: a folder that cannot be written, or manifests that are not as they were written."""
        if not self._folder.is_dir():
            return [f"the folder {self._folder} does not exist: create it, readable for whoever imports"]
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return [f"the folder {self._folder} cannot be written: give this user the right to"]
        try:
            self._refresh()
        except ErpUnavailable as error:
            return [str(error)]
        return []

    def prepare(self) -> None:
        """Make the folder, if it is not there."""
        with _as_unavailable():
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        """The documents of these keys, from the manifests."""
        self._refresh()
        return {key: self._index.documents[key] for key in keys if key in self._index.documents}

    def post(self, entries: Sequence[JournalEntry]) -> list[str]:
        """Write the entries into files of their own; see ``Poster.post``."""
        # Nothing is written before all of it is known to be fit.
        if len({row["posting_key"] for row in _rows(entries, "")}) < len(entries):
            raise ValueError("two entries have the same key, or one has no lines")
        size = self._entries_per_file
        written: list[str] = []
        try:
            with _as_unavailable(), self._locked():
                self._refresh()
                for entry in entries:
                    if entry.key in self._index.documents:
                        where = self._index.documents[entry.key]
                        raise KeyAlreadyUsed("KeyAlreadyUsed", f"{entry.key} is written as {where}", "Look it up.")
                parts = [entries[start : start + size] for start in range(0, len(entries), size)]
                for number, part in enumerate(parts, start=self._first_number(parts[0])):
                    written += self._write_batch(part, f"{number:0{_DIGITS}}")
        except ErpUnavailable as error:
            if written:
                raise OutcomeUnknown(f"only {len(written)} entries are written: {error}") from error
            raise
        return written

    def finish(self, document: str) -> None:
        """See ``Poster.finish``; there are no drafts here."""
        raise RejectedByErp("NoDraft", f"{document} is no draft: files have none", "Look the key up.")

    def read_back(self, documents: Sequence[str]) -> dict[str, PostedDocument]:
        """The documents, from the bytes of their files; see ``Poster.read_back``.

        Raises:
            RejectedByErp: a file is not what its manifest says.
        """
        self._refresh()
        wanted: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            wanted[document.partition("-")[0]].append(document)
        found: dict[str, PostedDocument] = {}
        for name, some in wanted.items():
            batch = self._index.batches.get(name)
            held = self._documents_of(batch) if batch else {}
            found |= {document: held[document] for document in some if document in held}
        return found

    def document_url(self, document: str) -> str:
        """The file."""
        batch = self._index.batches.get(document.partition("-")[0])
        return (batch.file if batch else self._folder).absolute().as_uri()

    def close(self) -> None:
        """Nothing is held open."""

    # Writing

    def _write_batch(self, entries: Sequence[JournalEntry], name: str) -> list[str]:
        content = _encoded(entries, name, self._format)
        path = self._folder / f"{name}.{self._format}"
        if not path.exists():
            self._write(path, content)
        previous = self._index.last_manifest
        manifest = _manifest(entries, path.name, self._format, content, previous)
        encoded = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
        try:
            self._write(self._folder / f"{name}{_SUFFIX}", encoded)
        except OSError as error:
            # It may stand already, where the disk failed only to confirm it.
            raise OutcomeUnknown(f"{name}{_SUFFIX}: {error}") from error
        self._take(name, encoded)
        return [entry["document"] for entry in manifest["entries"]]

    def _first_number(self, entries: Sequence[JournalEntry]) -> int:
        """The number of a batch that a crash left unannounced, if it is this one; else the next that was never used."""
        files = {path.name: path for path in self._folder.iterdir() if _DATA.fullmatch(path.name)}
        announced = {batch.file.name for batch in self._index.batches.values()}
        used = [int(name) for name in self._index.batches]
        for file in sorted(files.keys() - announced):
            name = file.partition(".")[0]
            if files[file].read_bytes() == _encoded(entries, name, self._format):
                return int(name)
            files[file].rename(self._folder / f"{_ASIDE}{file}")
        used += [int(path.name[len(_ASIDE) :][:_DIGITS]) for path in self._folder.glob(f"{_ASIDE}*")]
        return max(used, default=0) + 1

    def _write(self, path: Path, content: bytes) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists already and is not overwritten")
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Entities that share the folder write one after the other."""
        with (self._folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # Reading

    def _refresh(self) -> None:
        """Read the manifests that have come since."""
        with _as_unavailable():
            names = sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"[0-9]*{_SUFFIX}"))
            for name in names:
                if name not in self._index.batches:
                    self._take(name, (self._folder / f"{name}{_SUFFIX}").read_bytes())
            missing = sorted(self._index.batches.keys() - set(names))
        if missing:
            gone = self._folder / f"{missing[0]}{_SUFFIX}"
            raise ErpUnavailable(f"{gone} is gone: restore it, or entries are posted twice")

    def _take(self, name: str, content: bytes) -> None:
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            manifest = json.loads(content)
            keys = tuple(entry["key"] for entry in manifest["entries"])
            previous = manifest["previous"]
            file, file_format, digest = str(manifest["file"]), str(manifest["format"]), str(manifest["sha256"])
            if file != f"{name}.{file_format}" or file_format not in _DECODERS:
                raise ValueError(f"it is about {file}")
        except (ValueError, KeyError, TypeError) as error:
            raise ErpUnavailable(f"{path} is no manifest of ours ({error}): restore it as it was written") from error
        if previous != self._index.last_manifest:
            raise ErpUnavailable(
                f"{path} does not follow the manifest before it: one was changed, added or taken away; restore them as "
                "they were written, or entries are posted twice"
            )
        batch = _Batch(name, self._folder / file, file_format, digest, keys)
        self._index.batches[name] = batch
        self._index.documents |= {key: _document(name, position) for position, key in enumerate(keys, start=1)}
        self._index.last_manifest = {"file": path.name, "sha256": sha256(content).hexdigest()}

    def _documents_of(self, batch: _Batch) -> dict[str, PostedDocument]:
        with _as_unavailable():
            try:
                content = batch.file.read_bytes()
            except FileNotFoundError:
                return {}
        if sha256(content).hexdigest() != batch.sha256:
            raise RejectedByErp(
                "FileChanged",
                f"{batch.file} is not what was written",
                "Find out who changed it and what the ERP imported, then restore it.",
            )
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in _DECODERS[batch.format](content):
            rows[row["document"]].append(row)
        return {document: _posted(document, lines) for document, lines in rows.items()}


def _document(name: str, position: int) -> str:
    return f"{name}-{position}"


def _rows(entries: Sequence[JournalEntry], name: str) -> Iterator[Row]:
    for position, entry in enumerate(entries, start=1):
        header = {
            "document": _document(name, position),
            "posting_key": entry.key,
            "entity_code": entry.entity_code,
            "company": entry.company,
            "posting_date": entry.posting_date.isoformat(),
            "memo": entry.memo,
            "base_currency_code": entry.base_currency_code,
        }
        for number, line in enumerate(entry.lines, start=1):
            yield {**header, "line_no": number, **_line(line, entry.base_currency_code)}


def _line(line: JournalLine, base: str) -> Row:
    return {
        "account_code": line.account_code,
        "debit": _text(line.debit, line.currency_code),
        "credit": _text(line.credit, line.currency_code),
        "currency_code": line.currency_code,
        "base_debit": _text(line.base_debit, base),
        "base_credit": _text(line.base_credit, base),
        "exchange_rate": decimal_text(line.exchange_rate),
        "line_memo": line.memo,
        "cost_centre": line.cost_centre,
    }


def _text(amount: Decimal, currency: str) -> str:
    """The amount with all decimals of its currency."""
    exact = quantize(amount, currency)
    if exact != amount:
        raise RejectedByErp(
            "TooManyDecimals", f"{amount} has more decimals than {currency} knows", "Mend the entry in the ledger."
        )
    return f"{exact:f}"


def _encoded(entries: Sequence[JournalEntry], name: str, file_format: str) -> bytes:
    return _ENCODERS[file_format](list(_rows(entries, name)))


def _as_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        guarded = {name: f"'{row[name]}" for name in ("memo", "line_memo") if row[name].startswith(_FORMULAS)}
        writer.writerow({**row, **guarded}[name] for name in COLUMNS)
    return text.getvalue().encode()


def _as_json(rows: Sequence[Row]) -> bytes:
    documents: dict[str, Row] = {}
    for row in rows:
        document = documents.setdefault(row["document"], {**{name: row[name] for name in _HEADER}, "lines": []})
        document["lines"].append({name: row[name] for name in _LINE})
    return (json.dumps({"documents": list(documents.values())}, indent=2, ensure_ascii=False) + "\n").encode()


def _of_csv(content: bytes) -> Iterator[Row]:
    yield from csv.DictReader(io.StringIO(content.decode(), newline=""))


def _of_json(content: bytes) -> Iterator[Row]:
    for document in json.loads(content)["documents"]:
        for line in document["lines"]:
            yield {**document, **line}


_ENCODERS: Final[Mapping[str, Callable[[Sequence[Row]], bytes]]] = {"csv": _as_csv, "json": _as_json}
_DECODERS: Final[Mapping[str, Callable[[bytes], Iterator[Row]]]] = {"csv": _of_csv, "json": _of_json}


def _manifest(
    entries: Sequence[JournalEntry], file: str, file_format: str, content: bytes, previous: Mapping[str, str] | None
) -> Row:
    lines = [(entry, line) for entry in entries for line in entry.lines]
    name = file.partition(".")[0]
    return {
        "version": _VERSION,
        "file": file,
        "format": file_format,
        "sha256": sha256(content).hexdigest(),
        "bytes": len(content),
        "documents": len(entries),
        "lines": len(lines),
        "totals": _totals((line.currency_code, line.debit, line.credit) for _, line in lines),
        "base_totals": _totals((entry.base_currency_code, line.base_debit, line.base_credit) for entry, line in lines),
        "entries": [
            {"document": _document(name, position), "key": entry.key, "lines": len(entry.lines)}
            for position, entry in enumerate(entries, start=1)
        ],
        "previous": previous,
    }


def _totals(amounts: Iterator[tuple[str, Decimal, Decimal]]) -> dict[str, dict[str, str]]:
    debits: dict[str, Decimal] = defaultdict(Decimal)
    credits_: dict[str, Decimal] = defaultdict(Decimal)
    for currency, debit, credit in amounts:
        debits[currency] += debit
        credits_[currency] += credit
    return {
        currency: {"debit": _text(debits[currency], currency), "credit": _text(credits_[currency], currency)}
        for currency in sorted(debits)
    }


def _posted(document: str, rows: Sequence[Row]) -> PostedDocument:
    first = rows[0]
    return PostedDocument(
        document=document,
        key=first["posting_key"],
        company=first["company"],
        posting_date=date.fromisoformat(first["posting_date"]),
        state="posted",
        lines=tuple(
            PostedLine(
                account_code=row["account_code"],
                debit=Decimal(row["debit"]),
                credit=Decimal(row["credit"]),
                currency_code=row["currency_code"],
                base_debit=Decimal(row["base_debit"]),
                base_credit=Decimal(row["base_credit"]),
                # Files that were written before there were any have no such column.
                cost_centre=row.get("cost_centre") or "",
            )
            for row in rows
        ),
        line_currency="line",
    )


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ErpUnavailable(f"the export folder cannot be used: {error}") from error
