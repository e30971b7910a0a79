"""The dlt source of one bank account: statement files in a folder."""

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Bank
from retail_assets.sources.bank import camt, mapped, mt940, ofx
from retail_assets.sources.bank.statements import Header, Note, Statement, StatementError, is_account
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.files import DroppedFile, TooLargeError, new_files, read_whole
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, from_rows
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_VERSIONS: Final = "versions"
_RESOURCE: Final = "statements"
_HEAD_BYTES: Final = 1 << 20
_READERS: Final = {"camt.053": camt.read_statements, "mt940": mt940.read_statements}
#: A file that was refused is read again once this changes, or the account's block of ``retail.yaml``.
_READERS_VERSION: Final = "2"


@dataclass(slots=True)
class _Read:
    """What one file holds."""

    file: DroppedFile
    good: list[Statement] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    header: Header = field(default_factory=Header)


@dlt.source(name="bank", max_table_nesting=0)
def bank_source(bank: Bank, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """Statements and their entries from every file of ``folder`` that was not read before.

    A file or statement that cannot be trusted goes to quarantine; the others load. It is read again when its content
    changes or the account's configuration does. Of a statement that a bank sent twice the version made last holds, in
    whatever order the files arrive.
    """

    def statements() -> Iterator[Any]:
        yield from _statements(bank, folder, intake)

    return (dlt.resource(statements, name=_RESOURCE, schema_contract=SCHEMA_CONTRACT, write_disposition="merge"),)


def _statements(bank: Bank, folder: Path, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    versions: dict[str, list[str]] = state.setdefault(_VERSIONS, {})
    counts = intake.counts_of(_RESOURCE)
    meaning = _fingerprint(bank)
    if state.get("configured") != meaning:
        # What was refused under another configuration is tried again.
        for digest in state.get("refused", ()):
            state.get("files", {}).pop(digest, None)
        state["configured"], state["refused"] = meaning, []
    done: dict[str, str] = state.setdefault("files", {})
    # Two readings, so that only keys are held: within one load rows of two versions could not be told apart.
    for read in _new_files(bank, folder, dict(done)):
        for statement in read.good:
            key, version = _version(statement, read.file, intake)
            versions[key] = max(version, versions.get(key, version))
    for read in _new_files(bank, folder, done):
        newest = []
        for statement in read.good:
            key, version = _version(statement, read.file, intake)
            if versions[key] == version:
                newest.append(statement)
            else:
                holds = f"statement {statement.statement_id} is an older version; the one in {versions[key][-1]} holds"
                counts.notes.append(f"{read.file.name}: {holds}")
        counts.notes.extend(f"{read.file.name}: {note}" for note in read.notes)
        if read.rejected:
            state["refused"].append(read.file.sha256)
        yield from intake.take(_batch(newest, read, intake), _RESOURCE)


def _fingerprint(bank: Bank) -> str:
    return hashlib.sha256(f"{_READERS_VERSION} {bank.model_dump_json()}".encode()).hexdigest()


def _new_files(bank: Bank, folder: Path, done: MutableMapping[str, str]) -> Iterator[_Read]:
    for file in new_files(folder, done):
        yield _read(bank, file)


def _version(statement: Statement, file: DroppedFile, intake: Intake) -> tuple[str, list[str]]:
    """The key of a statement, and what orders its versions (lists and texts: dlt keeps them as JSON).

    That is when the bank made it; of what says no such time, how far the file reaches, and then how much of the day it
    has; else the one that arrives last holds.
    """
    if statement.created_at is not None:
        made = statement.created_at.isoformat()
    else:
        made = statement.covers_to.isoformat() if statement.covers_to else intake.now.isoformat()
    complete = f"{len(statement.entries):09d}" if statement.covers_to else ""
    return f"{statement.account_id}/{statement.statement_id}", [made, complete, file.name]


def _read(bank: Bank, file: DroppedFile) -> _Read:
    read = _Read(file)
    try:
        for number, found in enumerate(_found(bank, file), 1):
            if isinstance(found, Statement):
                found = _of_this_account(bank, found)
            if isinstance(found, Statement):
                read.good.append(found)
            elif isinstance(found, Note):
                read.notes.append(found)
            elif isinstance(found, Header):
                read.header = found
            elif isinstance(found, Rejection):
                read.rejected.append(found)
            else:
                read.rejected.append(_rejection(found, file, f"{file.name}, statement {number}"))
    except StatementError as error:
        read.rejected.append(_rejection(error, file, file.name))
    except (CsvError, TooLargeError) as error:
        read.rejected.append(_rejection(StatementError(str(error)), file, file.name))
    return read


def _found(bank: Bank, file: DroppedFile) -> Iterator[Header | Statement | StatementError | Rejection | Note]:
    if bank.system == "csv":
        yield from mapped.read_file(bank, file.path)
        return
    content = read_whole(file.path, bank.option("largest_file_mb"))
    if bank.system == "ofx":
        yield from ofx.read_statements(content, bank.currency)
    else:
        yield from _READERS[bank.system](content)


def _of_this_account(bank: Bank, statement: Statement) -> Statement | StatementError:
    for element, value, expected in (
        ("Acct/Id", statement.account_id, bank.account),
        ("Acct/Ccy", statement.currency, bank.currency),
    ):
        if value != expected and not (element == "Acct/Id" and is_account(value, expected)):
            return StatementError(
                f"belongs to {value}, but this folder is for {expected} ({bank.id})",
                element=element,
                value=value,
                key=statement.statement_id,
            )
    # However a file writes it: the account has one name in the warehouse.
    statement.account_id = bank.account
    return statement


def _rejection(error: StatementError, file: DroppedFile, origin: str) -> Rejection:
    with file.path.open("rb") as opened:
        content = opened.read(_HEAD_BYTES)
    return Rejection(error.key or file.name, error.element, error.value, error.reason, origin, content)


def _batch(newest: Sequence[Statement], read: _Read, intake: Intake) -> Batch:
    statements, entries, details = (table("bank", name) for name in ("statements", "entries", "entry_details"))
    common = {"instance": intake.instance, "loaded_at": intake.now}
    rows = [(statement, _origin(statement, read.file)) for statement in newest]
    numbered = [
        (entry, {**origin, "entry_number": number})
        for statement, origin in rows
        for number, entry in enumerate(statement.entries, 1)
    ]
    parts = [
        {**_fields(detail), **origin, "detail_number": number}
        for entry, origin in numbered
        for number, detail in enumerate(entry.details, 1)
    ]
    payloads = [entry.payload for entry, _ in numbered]
    return Batch(
        statements,
        len(read.good) + len(read.rejected),
        {
            statements: from_rows(
                statements,
                [{**_fields(item), **origin, "entry_count": len(item.entries)} for item, origin in rows],
                **common,
            ),
            entries: from_rows(
                entries, [{**_fields(entry), **origin} for entry, origin in numbered], payloads=payloads, **common
            ),
            details: from_rows(details, parts, **common),
        },
        read.rejected,
        [statement.statement_id for statement in read.good] + ([] if read.rejected else [read.file.name]),
        headers=read.header,
    )


def _origin(statement: Statement, file: DroppedFile) -> Mapping[str, Any]:
    return {
        "account_id": statement.account_id,
        "statement_id": statement.statement_id,
        "file_name": file.name,
        "file_sha256": file.sha256,
    }


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}
