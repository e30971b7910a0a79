"""The dlt source of one bank account: statement files in a folder."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Bank
from retail_assets.sources.bank.camt import Statement, StatementError, read_statements
from retail_assets.sources.files import complete_files
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import Batch, from_rows
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_FILES: Final = "files"
_VERSIONS: Final = "versions"


@dlt.source(name="bank", max_table_nesting=0)
def bank_source(bank: Bank, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """Statements and their entries from every file of ``folder`` that was not loaded before.

    A file or statement that cannot be trusted goes to quarantine and is tried again on the next run; the others load.
    Of a statement that a bank sent twice the version made last holds, in whatever order the files arrive.
    """

    def statements() -> Iterator[Any]:
        yield from _statements(bank, folder, intake)

    return (dlt.resource(statements, name="statements", schema_contract=SCHEMA_CONTRACT, write_disposition="merge"),)


def _statements(bank: Bank, folder: Path, intake: Intake) -> Iterator[Any]:
    state = dlt.current.resource_state()
    loaded: dict[str, str] = state.setdefault(_FILES, {})
    versions: dict[str, list[str]] = state.setdefault(_VERSIONS, {})
    intake.counts_of("statements")
    # Two readings, so that only keys are held: within one load rows of two versions could not be told apart.
    for path, _, good, _ in _new_files(bank, folder, loaded):
        for statement in good:
            key, version = _version(statement, path)
            versions[key] = max(version, versions.get(key, version))
    for path, digest, good, rejected in _new_files(bank, folder, loaded):
        newest = [statement for statement in good if _is_newest(statement, path, versions)]
        for statement in good:
            if statement not in newest:
                holds = versions[_version(statement, path)[0]][1]
                note = f"{path.name}: statement {statement.statement_id} is an older version; the one in {holds} holds"
                intake.counts_of("statements").notes.append(note)
        received = len(good) + len(rejected)
        yield from intake.take(_batch(newest, received, rejected, path, digest, intake), "statements")
        if not rejected:
            loaded[digest] = path.name


def _new_files(
    bank: Bank, folder: Path, loaded: Mapping[str, str]
) -> Iterator[tuple[Path, str, list[Statement], list[Rejection]]]:
    seen: set[str] = set()
    for path in complete_files(folder):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in loaded and digest not in seen:
            seen.add(digest)
            yield path, digest, *_read(bank, path, content)


def _version(statement: Statement, path: Path) -> tuple[str, list[str]]:
    """The key of a statement, and what orders its versions (lists and texts: dlt keeps them as JSON)."""
    made_at = statement.created_at.isoformat() if statement.created_at else ""
    return f"{statement.account_id}/{statement.statement_id}", [made_at, path.name]


def _is_newest(statement: Statement, path: Path, versions: Mapping[str, list[str]]) -> bool:
    key, version = _version(statement, path)
    return versions[key] == version


def _read(bank: Bank, path: Path, content: bytes) -> tuple[list[Statement], list[Rejection]]:
    good: list[Statement] = []
    rejected: list[Rejection] = []
    try:
        for number, statement in enumerate(read_statements(content), 1):
            if isinstance(statement, Statement):
                statement = _of_this_account(bank, statement)
            if isinstance(statement, Statement):
                good.append(statement)
            else:
                rejected.append(_rejected(statement, path, f"{path.name}, statement {number}", content))
    except StatementError as error:
        rejected.append(_rejected(error, path, path.name, content))
    return good, rejected


def _of_this_account(bank: Bank, statement: Statement) -> Statement | StatementError:
    for element, value, expected in (
        ("Acct/Id", statement.account_id, bank.account),
        ("Acct/Ccy", statement.currency, bank.currency),
    ):
        if value != expected:
            return StatementError(
                f"belongs to {value}, but this folder is for {expected} ({bank.id})",
                element=element,
                value=value,
                key=statement.statement_id,
            )
    return statement


def _rejected(error: StatementError, path: Path, origin: str, content: bytes) -> Rejection:
    return Rejection(error.key or path.name, error.element, error.value, error.reason, origin, content)


def _batch(
    good: list[Statement], received: int, rejected: list[Rejection], path: Path, digest: str, intake: Intake
) -> Batch:
    statements, entries = table("bank", "statements"), table("bank", "entries")
    common = {"instance": intake.instance, "loaded_at": intake.now}
    statement_rows = [
        {
            **{name: value for name, value in _fields(statement).items() if name != "entries"},
            "entry_count": len(statement.entries),
            "file_name": path.name,
            "file_sha256": digest,
        }
        for statement in good
    ]
    entry_rows = [
        {
            **_fields(entry),
            "account_id": statement.account_id,
            "statement_id": statement.statement_id,
            "entry_number": number,
            "file_name": path.name,
        }
        for statement in good
        for number, entry in enumerate(statement.entries, 1)
    ]
    payloads = [entry.xml for statement in good for entry in statement.entries]
    return Batch(
        statements,
        received,
        {
            statements: from_rows(statements, statement_rows, **common),
            entries: from_rows(entries, entry_rows, payloads=payloads, **common),
        },
        rejected,
        [statement.statement_id for statement in good] + ([] if rejected else [path.name]),
    )


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}
