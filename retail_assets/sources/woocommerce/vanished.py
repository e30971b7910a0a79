"""Products and customers that the store has no more: a whole read does not show them, and the store says so itself.

What is held is compared page by page, so that a read in portions need not remember all that it has seen: only what was
not where it should have been.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from retail_assets.sources.woocommerce.client import BrokenRecordError, StoreClient
from retail_assets.sources.woocommerce.ids import Identity
from retail_assets.sources.woocommerce.sweep import Deletion

#: Each deletion is proved by asking for the record; of more than these the rest waits for the next whole read.
_MOST_PROVED: Final = 2_000
_HIGHEST: Final = 2**63 - 1


class Vanished:
    """Looks for the ids that are held and no page of a whole read shows.

    Args:
        held: ids in the warehouse without a tombstone, in ascending order.
        noted: what an earlier portion of the read remembered; kept up to date.
    """

    def __init__(self, held: Sequence[int], noted: dict[str, Any]) -> None:
        self._held = array("q", held)
        self._noted = noted
        self._reached: int = noted.get("reached", 0)
        self._missing: set[int] = set(noted.get("missing", ()))

    def look_at(self, identities: Iterable[Identity]) -> None:
        """Compare one page, in order of id."""
        shown = {identity for identity in identities if isinstance(identity, int)}
        highest = max(shown, default=self._reached)
        self._missing |= self._between(self._reached, highest)
        self._missing -= shown
        self._reached = max(self._reached, highest)
        self._noted |= {"reached": self._reached, "missing": sorted(self._missing)[: 2 * _MOST_PROVED]}

    def proved(self, client: StoreClient, path: str) -> Iterator[tuple[int, bytes | None]]:
        """After the last page: each missing id with None if the store says that there is no such record, or with it.

        A trashed product is in no list, but it is there.
        """
        missing = self._missing | self._between(self._reached, _HIGHEST)
        for record_id in sorted(missing)[:_MOST_PROVED]:
            try:
                yield record_id, client.record(path, record_id)
            except BrokenRecordError:
                continue

    def _between(self, above: int, up_to: int) -> set[int]:
        return set(self._held[bisect_right(self._held, above) : bisect_right(self._held, up_to)])


def tombstone(resource: str, record_id: int, *, is_deleted: bool = True) -> Deletion:
    """The tombstone of a record that belongs to no order, or its withdrawal."""
    return Deletion(resource, record_id, 0, "itself", None, is_deleted)
