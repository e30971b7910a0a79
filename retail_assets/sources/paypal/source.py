"""The dlt sources of a PayPal account: by Transaction Search, or from report files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.sources import DltResource

from retail_assets.contracts import Table, table
from retail_assets.ops.quarantine import Rejection
from retail_assets.settings import Gateway
from retail_assets.sources.csvfiles import CsvError
from retail_assets.sources.files import DroppedFile, new_files
from retail_assets.sources.intake import Intake
from retail_assets.sources.paypal.client import PayPalClient
from retail_assets.sources.paypal.layout import Kind, Layout, ReportError, read_layout
from retail_assets.sources.paypal.reports import Report, contract_of
from retail_assets.sources.paypal.transactions import RESOURCE, Walk
from retail_assets.sources.records import Batch

_KINDS: Final[dict[Kind, str]] = {"settlement": "report_lines", "transactions": "report_transactions"}
_FILES: Final = "files"
_VERSIONS: Final = "versions"


@dlt.source(name="paypal", max_table_nesting=0)
def paypal_source(gateway: Gateway, intake: Intake) -> Sequence[DltResource]:
    """Balance-affecting transactions of one account, and the balances they add up to.

    Args:
        gateway: address, credentials, how far back to read.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    client = PayPalClient(gateway)

    def transactions() -> Iterator[Any]:
        yield from Walk(gateway, client, intake, dlt.current.resource_state()).run()

    return (intake.resource(RESOURCE, transactions),)


@dlt.source(name="paypal", max_table_nesting=0)
def paypal_reports_source(gateway: Gateway, folder: Path, intake: Intake) -> Sequence[DltResource]:
    """Settlement (STL) and transaction detail reports (TRR) from every file of ``folder`` that was not loaded before.

    Of a report that was delivered more than once the version made last holds: its rows replace the older ones,
    in whatever order the files arrive. A file that is no report goes to quarantine and is tried again on the next run.
    """

    def resource(kind: Kind) -> DltResource:
        return intake.resource(_KINDS[kind], lambda: _reports(gateway, folder, intake, kind))

    return resource("settlement"), resource("transactions")


def _reports(gateway: Gateway, folder: Path, intake: Intake, kind: Kind) -> Iterator[Any]:
    state = dlt.current.resource_state()
    done: dict[str, str] = state.setdefault(_FILES, {})
    versions: dict[str, list[Any]] = state.setdefault(_VERSIONS, {})
    resource = _KINDS[kind]
    notes = intake.counts_of(resource).notes
    # Two readings: within one load the rows of two versions could not be told apart.
    seen: dict[str, str] = dict(done)
    found: list[tuple[DroppedFile, Layout]] = []
    before = set(versions)
    for file in new_files(folder, seen):
        layout = _layout(file, intake, kind)
        if layout is None:
            continue
        found.append((file, layout))
        version = list(layout.version)
        versions[layout.report_id] = max(version, versions.get(layout.report_id, version))
    for file, layout in found:
        if list(layout.version) != versions[layout.report_id]:
            holds = versions[layout.report_id][-1]
            notes.append(f"{file.name}: an older version of report {layout.report_id}; the one in {holds} holds")
            done[file.sha256] = file.name
            continue
        report = Report(layout, file.sha256, gateway.option("account_id"), layout.report_id in before)
        try:
            for batch in report.batches(instance=intake.instance, loaded_at=intake.now):
                yield from intake.take(batch, resource)
        except CsvError as error:
            yield from intake.take(_refused(file, contract_of(layout), str(error)), resource)
            continue
        finally:
            notes.extend(report.notes)
        done[file.sha256] = file.name


def _layout(file: DroppedFile, intake: Intake, kind: Kind) -> Layout | None:
    """What a file is; None if it is not for this resource. What is no report is the settlement resource's to refuse."""
    try:
        layout = read_layout(file.path)
    except ReportError as error:
        if kind == "settlement":
            batch = _refused(file, contract_of_kind(kind), str(error))
            list(intake.take(batch, _KINDS[kind]))
        return None
    return layout if layout.kind == kind else None


def _refused(file: DroppedFile, contract: Table, reason: str) -> Batch:
    """A file as one rejected record; of a large one the beginning is kept, as the file itself stays in the folder."""
    with file.path.open("rb") as content:
        payload = content.read(1 << 20)
    return Batch(contract, 1, {}, [Rejection(file.name, None, None, reason, file.name, payload)])


def contract_of_kind(kind: Kind) -> Table:
    """The contract of the body rows of one kind of report."""
    return table("paypal", _KINDS[kind])
