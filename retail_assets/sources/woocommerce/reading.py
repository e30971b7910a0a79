"""A read of one resource that may take several portions, and goes on where it was interrupted.

Between portions the resource's state says how far the read is. It only holds for the very same lists: if the filters
are others by then (a plugin brought a new order status, a whole read became due), the read begins anew. What the read
as a whole leads to - the cursor, the first load's record - counts from its first portion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from retail_assets.sources.intake import Intake
from retail_assets.sources.woocommerce.client import StoreClient
from retail_assets.sources.woocommerce.ids import NO_IDS, Identity
from retail_assets.sources.woocommerce.walk import Mark, Walk

_PORTION: Final = "portion"


def is_interrupted(state: Mapping[str, Any]) -> bool:
    """Whether a resource's read was left in the middle."""
    return _PORTION in state


class Reading:
    """One read of a resource: a walk for each of ``filters``, one after another.

    Over all portions: ``newest`` is the latest change seen, ``refused`` how many records went to quarantine, ``noted``
    what the resource itself wants to remember (JSON). ``walks`` are those of this portion, ``number`` which of all the
    last of them is.
    """

    def __init__(
        self,
        client: StoreClient,
        intake: Intake,
        resource: str,
        state: dict[str, Any],
        path: str,
        filters: Sequence[Mapping[str, Any]],
    ) -> None:
        self._client = client
        self._intake = intake
        self._resource = resource
        self._state = state
        self._path = path
        self._filters = [dict(one) for one in filters]
        saved: dict[str, Any] = state.get(_PORTION, {})
        if (saved.get("path"), saved.get("filters")) != (path, self._filters):
            saved = {}
        self._saved = saved
        self.number = -1
        self._was_stable: bool = saved.get("is_stable", True)
        self._listed_before: int = saved.get("listed_before", 0)
        self._started: datetime | None = _moment(saved.get("started_at"))
        self.newest: datetime | None = _moment(saved.get("newest"))
        self.refused: int = saved.get("refused", 0)
        self.noted: dict[str, Any] = saved.get("noted", {})
        self.walks: list[Walk] = []

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on from an earlier portion, so that its walks do not know all that was read."""
        return bool(self._saved)

    @property
    def listed(self) -> int:
        """How many records the lists have shown."""
        return self._listed_before + sum(walk.listed for walk in self.walks)

    @property
    def complete(self) -> bool:
        """Whether every walk so far came to its end."""
        return self._was_stable and bool(self.walks) and all(walk.complete for walk in self.walks)

    @property
    def highest(self) -> int | None:
        """The highest id of all."""
        reached = [walk.left.reached for walk in self.walks if walk.left is not None and walk.left.reached is not None]
        return max([*reached, *(identity for identity in self.seen() if isinstance(identity, int))], default=None)

    @property
    def started_at(self) -> datetime | None:
        """The store's own time before the first page of all."""
        moments = (self._started, *(walk.started_at for walk in self.walks))
        return min((moment for moment in moments if moment is not None), default=None)

    def __contains__(self, identity: object) -> bool:
        return any(identity in walk.seen for walk in self.walks)

    def seen(self) -> Iterator[Identity]:
        """What came in this portion."""
        for walk in self.walks:
            yield from walk.seen

    def each(self, is_needed: Callable[[int], bool] = lambda _: True) -> Iterator[Walk]:
        """The walks that are still to be made, the first of them from where it was left.

        Args:
            is_needed: asked with the number of each walk that was not begun yet; the first that is not ends the read.
        """
        begun = self._saved.get("walk", 0)
        for number in range(begun, len(self._filters)):
            is_left = self.is_resumed and number == begun
            if not is_left and not is_needed(number):
                return
            self.number = number
            elsewhere = self.walks[0].seen if self.walks else NO_IDS
            left = _mark(self._saved) if is_left else None
            self.walks.append(self._client.walk(self._path, self._filters[number], elsewhere, left))
            yield self.walks[-1]

    def saw(self, latest: datetime | None) -> None:
        """Note the latest change of some records."""
        self.newest = max((moment for moment in (self.newest, latest) if moment is not None), default=None)

    def stops(self, mark: Mark | None) -> bool:
        """After each page: whether the portion is full. Then the place is noted, and the resource is to return.

        Args:
            mark: where the walk was behind that page; it may have gone on meanwhile.
        """
        walk = self.walks[-1]
        if mark is None or not self._intake.portion_full():
            return False
        self._state[_PORTION] = {
            "path": self._path,
            "filters": self._filters,
            "walk": self.number,
            "offset": mark.offset,
            "reached": mark.reached,
            "seam": list(mark.seam),
            "listed": mark.listed,
            "walk_started_at": _text(mark.started_at),
            "is_stable": self._was_stable and all(one.complete for one in self.walks[:-1]),
            "listed_before": self.listed - walk.listed,
            "started_at": _text(self.started_at),
            "newest": _text(self.newest),
            "refused": self.refused,
            "noted": self.noted,
        }
        self._intake.more(self._resource)
        return True

    def finish(self) -> None:
        """The read is over, whatever came of it: the next one begins anew."""
        self._state.pop(_PORTION, None)


def _mark(saved: Mapping[str, Any]) -> Mark:
    seam, started = tuple(saved["seam"]), _moment(saved["walk_started_at"])
    return Mark(saved["offset"], saved["reached"], seam, saved["listed"], started)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
