"""Orders whose ``gift_cards`` are another plugin's, in another shape than WooCommerce Gift Cards gives them.

What of them can be read is taken, the rest is only in the payload: an order is not refused for what a plugin adds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import pyarrow as pa

from retail_assets.contracts import Table
from retail_assets.ops.quarantine import Rejection
from retail_assets.sources.records import Batch, convert

_MEMBER: Final = "gift_cards"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_readable_cards(batch: Batch, **how: Any) -> Batch:
    """The batch with the orders that were refused only for their gift cards, with those of the cards that are good.

    Args:
        how: what the records were converted with: ``instance``, ``loaded_at``, ``origin``.
    """
    refused = [one for one in batch.rejected if (one.field or "").startswith(_MEMBER)]
    if not refused:
        return batch
    mended = [_mended(batch.contract, one, how) for one in refused]
    good = [one for one in mended if not one.rejected]
    # With other faults besides, the order stays refused; they are named then.
    faults = {id(old): new.rejected[0] for old, new in zip(refused, mended, strict=True) if new.rejected}
    rejected = [faults.get(id(one), one) for one in batch.rejected if id(one) in faults or one not in refused]
    tables = {
        table: pa.concat_tables([part.tables[table] for part in (batch, *good) if table in part.tables])
        for table in {table: None for part in (batch, *good) for table in part.tables}
    }
    keys = [*batch.loaded_keys, *(key for part in good for key in part.loaded_keys)]
    return replace(batch, tables=tables, rejected=rejected, loaded_keys=keys)


def _mended(contract: Table, refused: Rejection, how: Mapping[str, Any]) -> Batch:
    """One order with its readable cards, under the payload that came."""
    members = _MEMBERS.decode(refused.payload)
    cards = members.pop(_MEMBER)
    good = [card for card in _objects(cards) if not _converted(contract, members, [card], how).rejected]
    batch = _converted(contract, members, good, how)
    if batch.rejected:
        return replace(batch, rejected=[replace(batch.rejected[0], payload=refused.payload)])
    rows = batch.tables[contract]
    kept = {"_payload": refused.payload.decode(), "_payload_sha256": refused.payload_sha256}
    for name, text in kept.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array([text], pa.string()))
    return replace(batch, tables={**batch.tables, contract: rows})


def _converted(
    contract: Table, members: Mapping[str, msgspec.Raw], cards: Sequence[msgspec.Raw], how: Mapping[str, Any]
) -> Batch:
    shown = (
        {**members, _MEMBER: msgspec.Raw(b"[" + b",".join(bytes(card) for card in cards) + b"]")} if cards else members
    )
    return convert(contract, [msgspec.json.encode(shown)], **how)


def _objects(cards: msgspec.Raw) -> Iterator[msgspec.Raw]:
    for kind in (list[msgspec.Raw], dict[str, msgspec.Raw]):
        try:
            found = msgspec.json.decode(cards, type=kind)
        except msgspec.MsgspecError:
            continue
        for card in found.values() if isinstance(found, dict) else found:
            if bytes(card).lstrip().startswith(b"{"):
                yield card
        return
