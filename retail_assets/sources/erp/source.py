"""The dlt source of one ERPNext site."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import Table, table
from retail_assets.http import HttpClient
from retail_assets.settings import Erp
from retail_assets.sources.intake import Intake
from retail_assets.sources.records import convert
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

_PAGE_SIZE: Final = 1000
_CURSOR: Final = "modified"
#: Read again on every run: ``modified`` is set before the transaction commits, so a long one appears late.
OVERLAP: Final = timedelta(minutes=10)
_KEY_COLUMN: Final = "platform_ref"

#: Resource → ERPNext's DocType.
DOCTYPES: Final = {
    "accounts": "Account",
    "journal_entries": "Journal Entry",
    "gl_entries": "GL Entry",
    "sales_invoices": "Sales Invoice",
    "exchange_rates": "Currency Exchange",
}


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]


class _Head(msgspec.Struct):
    name: str
    modified: str


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_HEAD: Final = msgspec.json.Decoder(_Head)


class UnexpectedAnswerError(Exception):
    """The ERP answered with something that is not ERPNext's API."""


@dlt.source(name="erp", max_table_nesting=0)
def erp_source(erp: Erp, intake: Intake) -> Sequence[DltResource]:
    """Accounts, journal entries, ledger lines, sales invoices and exchange rates of one ERPNext site.

    Args:
        erp: address and keys.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    client = HttpClient(
        erp.base_url,
        headers={"Authorization": f"token {erp.api_key.get_secret_value()}:{erp.api_secret.get_secret_value()}"},
        requests_per_second=erp.requests_per_second,
        timeout=erp.timeout_seconds,
        retries=erp.retries,
    )

    def resource(name: str) -> DltResource:
        return dlt.resource(
            lambda: _changed(client, erp, intake, name),
            name=name,
            schema_contract=SCHEMA_CONTRACT,
            write_disposition="merge",
        )

    return tuple(resource(name) for name in DOCTYPES)


def _changed(client: HttpClient, erp: Erp, intake: Intake, name: str) -> Iterator[Any]:
    """Documents changed since the last load, by (modified, name).

    ``modified`` has microseconds and moves with every change, cancellation included, so it is followed by value: a
    document that changes meanwhile moves to the end of the list, where it is read again.
    """
    state = dlt.current.resource_state()
    contract = _contract(client, erp, name)
    intake.counts_of(name)
    for records in _pages(client, contract, DOCTYPES[name], _start(state.get(_CURSOR))):
        origin = f"{intake.instance}: {DOCTYPES[name]} from {_HEAD.decode(records[0]).name}"
        batch = convert(contract, records, instance=intake.instance, loaded_at=intake.now, origin=origin)
        yield from intake.take(batch, name)
        state[_CURSOR] = _HEAD.decode(records[-1]).modified


def _start(cursor: str | None) -> str | None:
    return None if cursor is None else (datetime.fromisoformat(cursor) - OVERLAP).isoformat(" ", "microseconds")


def _pages(client: HttpClient, contract: Table, doctype: str, cursor: str | None) -> Iterator[list[bytes]]:
    seen: set[tuple[str, str]] = set()
    start = 0
    while True:
        response = client.get(
            f"api/resource/{doctype}",
            {
                "fields": json.dumps([column.source_path for column in contract.columns]),
                "filters": json.dumps([["modified", ">=", cursor]] if cursor else []),
                "order_by": "modified asc, name asc",
                "limit_start": start,
                "limit_page_length": _PAGE_SIZE,
            },
        )
        try:
            page = [bytes(raw) for raw in _ANSWER.decode(response.content).data]
            heads = [_HEAD.decode(record) for record in page]
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"{doctype} did not answer with an ERPNext list: {error}") from error
        fresh = [record for record, head in zip(page, heads, strict=True) if (head.name, head.modified) not in seen]
        seen.update((head.name, head.modified) for head in heads)
        if fresh:
            yield fresh
        if len(page) < _PAGE_SIZE:
            return
        # Go on from the last moment seen; only a page that lies within one moment has to be paged by offset.
        moved = heads[-1].modified != cursor
        cursor, start = heads[-1].modified, 0 if moved else start + len(page)


def _contract(client: HttpClient, erp: Erp, name: str) -> Table:
    """The contract as this ERP can serve it: our key is a custom field, which may not exist yet."""
    contract = table("erp", name)
    if name != "journal_entries":
        return contract
    filters = [["dt", "=", "Journal Entry"], ["fieldname", "=", erp.key_field]]
    found = client.get("api/resource/Custom Field", {"filters": json.dumps(filters)}).json()["data"]
    columns = tuple(
        dataclasses.replace(column, path=erp.key_field) if column.name == _KEY_COLUMN else column
        for column in contract.columns
        if found or column.name != _KEY_COLUMN
    )
    return dataclasses.replace(contract, columns=columns)
