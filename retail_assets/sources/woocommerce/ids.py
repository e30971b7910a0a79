"""Sets of ids that stay small: a walk over a million orders must not need a hundred megabytes to remember them."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

Identity = int | bytes
"""A record's id; of a record whose id cannot be read, the hash of its bytes."""


class IdSet:
    """A set of ids: eight bytes each while they come in ascending order, as walks by id bring them."""

    __slots__ = ("_ascending", "_others")

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self._ascending = array("q")
        self._others: set[Identity] = set()
        for identity in identities:
            self.add(identity)

    def add(self, identity: Identity) -> None:
        if isinstance(identity, int) and (not self._ascending or identity > self._ascending[-1]):
            try:
                self._ascending.append(identity)
                return
            except OverflowError:  # more than 64 bits: no id of WooCommerce's, but it must not stop the walk
                pass
        if identity not in self:
            self._others.add(identity)

    def __contains__(self, identity: object) -> bool:
        if identity in self._others:
            return True
        if not isinstance(identity, int):
            return False
        place = bisect_left(self._ascending, identity)
        return place < len(self._ascending) and self._ascending[place] == identity

    def __len__(self) -> int:
        return len(self._ascending) + len(self._others)

    def __iter__(self) -> Iterator[Identity]:
        yield from self._ascending
        yield from self._others


NO_IDS: Final = IdSet()
