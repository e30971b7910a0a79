"""The dlt source of one Stripe account."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import dlt
import msgspec
from dlt.sources import DltResource

from retail_assets.contracts import table
from retail_assets.settings import Gateway
from retail_assets.sources.intake import Intake, merge_item
from retail_assets.sources.records import convert, from_rows
from retail_assets.sources.schema import compute as pc
from retail_assets.sources.stripe.client import StripeClient, UnexpectedAnswerError
from retail_assets.sources.warehouse import SCHEMA_CONTRACT

# Lists can be filtered by creation only, but objects change after that: a balance transaction becomes available,
# a charge is refunded or disputed, a payout fails up to five business days later and gets its bank reference up to ten
# days later, a dispute is decided after months. So each list is read again that far back.
LOOKBACK: Final = {
    "balance_transactions": timedelta(days=30),
    "charges": timedelta(days=120),
    "refunds": timedelta(days=60),
    "disputes": timedelta(days=180),
    "payouts": timedelta(days=30),
}
_CURSOR: Final = "created"
_LISTED: Final = "listed_payouts"
_BALANCE_READS: Final = 5


class _Money(msgspec.Struct):
    amount: int
    currency: str


class _Balance(msgspec.Struct):
    available: list[_Money]
    pending: list[_Money]


class _Payout(msgspec.Struct):
    id: str
    automatic: bool | None = None
    reconciliation_status: str | None = None
    balance_transaction: str | None = None


class _Identified(msgspec.Struct):
    id: str


_BALANCE: Final = msgspec.json.Decoder(_Balance)
_PAYOUT: Final = msgspec.json.Decoder(_Payout)
_ID: Final = msgspec.json.Decoder(_Identified)


@dlt.source(name="stripe", max_table_nesting=0)
def stripe_source(gateway: Gateway, intake: Intake) -> Sequence[DltResource]:
    """Balance transactions (with the balance they add up to), charges, refunds, disputes and payouts of one account.

    Args:
        gateway: address and key.
        intake: counts what comes in and quarantines what breaks its contract.
    """
    client = StripeClient(gateway)

    def resource(name: str, rows: Any) -> DltResource:
        return dlt.resource(rows, name=name, schema_contract=SCHEMA_CONTRACT, write_disposition="merge")

    return (
        resource("balance_transactions", lambda: _ledger(client, intake)),
        resource("charges", lambda: _recent(client, intake, "charges")),
        resource("refunds", lambda: _recent(client, intake, "refunds")),
        resource("disputes", lambda: _recent(client, intake, "disputes")),
        resource("payouts", lambda: _payouts(client, intake)),
    )


def _recent(client: StripeClient, intake: Intake, name: str, seen: set[bytes] | None = None) -> Iterator[Any]:
    """Objects created since the last load, less the look-back of their kind."""
    state = dlt.current.resource_state()
    contract = table("stripe", name)
    intake.counts_of(name)
    newest = state.get(_CURSOR)
    for records, origin in client.pages(name, _since(state.get(_CURSOR), LOOKBACK[name])):
        fresh = [record for record in records if seen is None or record not in seen]
        if seen is not None:
            seen.update(fresh)
        batch = convert(
            contract, fresh, instance=intake.instance, loaded_at=intake.now, origin=f"{intake.instance}: {origin}"
        )
        rows = batch.tables.get(contract)
        if rows is not None and rows.num_rows:
            newest = max(newest or 0, pc.max(rows.column("created")).as_py())
        yield from intake.take(batch, name)
    if newest is not None:
        state[_CURSOR] = newest


def _ledger(client: StripeClient, intake: Intake) -> Iterator[Any]:
    """The ledger lines and the balance they must add up to, read such that no line falls between the two."""
    contract = table("stripe", "balances")
    seen: set[bytes] = set()
    before = _balance(client)
    for _ in range(_BALANCE_READS):
        yield from _recent(client, intake, "balance_transactions", seen)
        after = _balance(client)
        if after == before:
            break
        before = after
    else:
        intake.counts_of("balance_transactions").notes.append(
            f"the balance moved during each of {_BALANCE_READS} reads: the roll-forward may show lines in flight"
        )
    rows = [{"currency": currency, **amounts} for currency, amounts in sorted(before.items())]
    if rows:
        yield merge_item(contract, from_rows(contract, rows, instance=intake.instance, loaded_at=intake.now))


def _balance(client: StripeClient) -> dict[str, dict[str, int]]:
    response = client.get("balance")
    try:
        balance = _BALANCE.decode(response.content)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"GET balance did not answer with a Stripe balance: {error}") from error
    amounts: dict[str, dict[str, int]] = {}
    for kind, parts in (("available", balance.available), ("pending", balance.pending)):
        for money in parts:
            amounts.setdefault(money.currency, {"available": 0, "pending": 0})[kind] += money.amount
    return amounts


def _payouts(client: StripeClient, intake: Intake) -> Iterator[Any]:
    """Payouts, and for each automatic one the lines it holds, listed once Stripe says that it can."""
    state = dlt.current.resource_state()
    contract = table("stripe", "payouts")
    intake.counts_of("payouts")
    lines = table("stripe", "payout_transactions")
    listed: set[str] = set(state.get(_LISTED, []))
    in_reach: set[str] = set()
    newest = state.get(_CURSOR)
    for records, origin in client.pages("payouts", _since(state.get(_CURSOR), LOOKBACK["payouts"])):
        batch = convert(
            contract, records, instance=intake.instance, loaded_at=intake.now, origin=f"{intake.instance}: {origin}"
        )
        yield from intake.take(batch, "payouts")
        rows = batch.tables.get(contract)
        if rows is None or not rows.num_rows:
            continue
        newest = max(newest or 0, pc.max(rows.column("created")).as_py())
        for payout in map(_PAYOUT.decode, rows.column("_payload").to_pylist()):
            in_reach.add(payout.id)
            if payout.id in listed or not payout.automatic or payout.reconciliation_status != "completed":
                continue
            members = [
                {"payout_id": payout.id, "balance_transaction_id": member} for member in _members(client, payout)
            ]
            if members:
                yield merge_item(lines, from_rows(lines, members, instance=intake.instance, loaded_at=intake.now))
            listed.add(payout.id)
    if newest is not None:
        state[_CURSOR] = newest
        # Payouts beyond the look-back are not read again, so only those within it have to be remembered.
        state[_LISTED] = sorted(listed & in_reach)


def _members(client: StripeClient, payout: _Payout) -> Iterator[str]:
    """Ids of a payout's balance transactions; Stripe's list holds the payout's own line too, which is no member."""
    for records, _ in client.pages("balance_transactions", {"payout": payout.id}):
        for record in records:
            identity = _ID.decode(record).id
            if identity != payout.balance_transaction:
                yield identity


def _since(cursor: int | None, lookback: timedelta) -> Mapping[str, int]:
    return {} if cursor is None else {"created[gte]": cursor - int(lookback.total_seconds())}
