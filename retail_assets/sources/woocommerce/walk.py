"""Walks over a list that changes while it is read, and that lose nothing that was there all the time.

Pages are cut by offset, so a record that leaves the list moves all later ones forward and the next page begins too
late. Each page is therefore asked for from the last record of the page before: it must begin with an id that was seen
already. If it does not, something left, and the walk goes back until it does. By induction every record that is in the
list from the first request to the last is seen, whatever comes or goes meanwhile, and in whatever order the pages were
fetched.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from itertools import count
from typing import Any, Final

from requests import Response

from retail_assets.sources.woocommerce.ids import NO_IDS, Identity, IdSet
from retail_assets.sources.woocommerce.pages import Answer, Get, PageReader, Unreadable

_PAGE_SIZE: Final = 100
_PATIENCE: Final = 20


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one page, byte for byte, without those an earlier page of the same walk already held.

    ``unreadable`` are those that the store fails to show; ``notice`` is what PHP said before the list.
    """

    records: list[bytes]
    origin: str
    identities: Sequence[Identity] = ()
    unreadable: Sequence[Unreadable] = ()
    notice: str | None = None

    def joined(self, other: "Page") -> "Page":
        """Both as one, under the first's origin."""
        return Page(
            [*self.records, *other.records],
            self.origin,
            [*self.identities, *other.identities],
            [*self.unreadable, *other.unreadable],
            self.notice or other.notice,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a walk was left, for another to go on from.

    ``offset``: where the next page is to begin, with a record of ``seam``, the ids of the last page. ``reached``: the
    highest id so far. ``listed``: how many records there were so far.
    """

    offset: int
    reached: int | None
    seam: tuple[int, ...]
    listed: int
    started_at: datetime | None


@dataclass(slots=True)
class Walk:
    """Pages of one list, in order of id. ``complete`` is only known once it was walked to its end.

    ``elsewhere`` holds ids that another walk of the same load has yielded already. ``started_at`` is the store's own
    time before the first page: a change after that may have been missed. ``parallel`` pages are fetched at a time.
    ``left`` is where an earlier walk over the same list was left: this one goes on from there, and what it yields and
    has ``seen`` begins there; ``listed`` counts the records from the very beginning. After each page ``mark`` says
    where that is now; None where it cannot be gone on with.
    """

    get: Get
    probe: Get
    path: str
    params: Mapping[str, Any]
    elsewhere: IdSet = NO_IDS
    parallel: int = 1
    left: Mark | None = None
    complete: bool = False
    started_at: datetime | None = None
    mark: Mark | None = None
    seen: IdSet = field(default_factory=IdSet)
    listed: int = 0
    _reader: PageReader | None = None

    def __post_init__(self) -> None:
        if self.left is not None:
            self.started_at = self.left.started_at
            self.seen = IdSet(self.left.seam)
            self.listed = self.left.listed

    def pages(self) -> Iterator[Page]:
        """Walk the list once; ``complete`` stays false only if it kept shrinking under the walk without end."""
        first = self._first()
        is_last = self._is_last(first, self.seen)
        yield from self._fresh(first)
        if is_last:
            self.complete = True
            return
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="pages") as pool:
            ahead = _Ahead(self._read, pool, self.parallel, first)
            # Whatever ends the walk, what was asked for ahead of it is not waited for.
            try:
                yield from self._rest(first, ahead)
            finally:
                ahead.cancel()

    def gathered(self, records: int) -> Iterator[tuple[Page, Mark | None]]:
        """As ``pages``, joined until each has so many records, with the mark behind it."""
        page: Page | None = None
        for more in self.pages():
            page = more if page is None else page.joined(more)
            if len(page.records) >= records:
                yield page, self.mark
                page = None
        if page is not None:
            yield page, self.mark

    def newest_first(self, is_known: Callable[[Identity], bool]) -> Iterator[Page]:
        """From the highest id down to the first page that holds a known one. New records only repeat what was seen."""
        for number in count(1):
            page = self._pages.by_number(number, "desc", in_pieces=True)
            yield from self._fresh(page)
            if any(map(is_known, page.identities)) or len(page.records) + len(page.unreadable) < _PAGE_SIZE:
                self.complete = True
                return

    def _first(self) -> Answer:
        """The page to begin with: the list's first, or the one that begins where an earlier walk was left."""
        if self.left is None:
            return self._read(0)
        offset, step = self.left.offset, _PAGE_SIZE
        while True:
            page = self._read(offset)
            if not _begins_too_late(page, self.left.reached):
                return page
            # Much may have left the list meanwhile. Too far back costs time only.
            offset, step = max(0, offset - step), step * 2

    def _rest(self, first: Answer, ahead: "_Ahead") -> Iterator[Page]:
        reached = _higher(first.highest, self.left.reached if self.left else None)
        steps_back, pages = 0, 1
        while True:
            page = ahead.next()
            if page.identities and page.identities == first.identities:
                yield from self._by_number()
                return
            step = 1
            while _begins_too_late(page, reached):
                steps_back += 1
                if steps_back > _PATIENCE + pages:
                    return
                page = ahead.restart(max(0, page.offset - step))
                step = min(2 * step, _PAGE_SIZE)
            pages += 1
            last = self._is_last(page, self.seen)
            reached = _higher(reached, page.highest)
            yield from self._fresh(page)
            if last:
                self.complete = True
                return

    def _by_number(self) -> Iterator[Page]:
        """For a store that ignores ``offset``: by page number, and again until a pass saw as many as were counted."""
        for _ in range(3):
            passed, total = IdSet(), 0
            for number in count(1):
                page = self._pages.by_number(number)
                total = max(total, page.total or 0)
                is_empty_end = not page.records or (not page.total and self._is_last(page, passed))
                for identity in page.identities:
                    passed.add(identity)
                yield from self._fresh(page, is_numbered=True)
                if is_empty_end or (page.total and number * _PAGE_SIZE >= page.total):
                    break
            if len(passed) >= total:
                self.complete = True
                return

    @property
    def _pages(self) -> PageReader:
        if self._reader is None:
            self._reader = PageReader(
                self.get, self.probe, self.path, self.params, size=_PAGE_SIZE, heard=self._note_time
            )
        return self._reader

    def _note_time(self, response: Response) -> None:
        if self.started_at is None:
            self.started_at = server_time(response)

    def _read(self, offset: int) -> Answer:
        return self._pages.by_offset(offset)

    def _is_last(self, page: Answer, known: IdSet) -> bool:
        """Whether nothing comes after a page.

        A page may be short in the middle of a list: WooCommerce leaves out what it cannot load. So the total decides,
        and without one, whether the page brought anything new.
        """
        if page.total:
            return page.offset + _PAGE_SIZE >= page.total
        return all(identity in known for identity in (*page.identities, *map(_identity, page.unreadable)))

    def _fresh(self, page: Answer, *, is_numbered: bool = False) -> Iterator[Page]:
        fresh = [
            (record, identity)
            for record, identity in zip(page.records, page.identities, strict=True)
            if identity not in self.seen and identity not in self.elsewhere
        ]
        unreadable = [one for one in page.unreadable if _identity(one) not in self.seen]
        before = self.left.reached if self.left else None
        for identity in (*page.identities, *map(_identity, unreadable)):
            is_behind = before is not None and isinstance(identity, int) and identity <= before
            self.listed += identity not in self.seen and not is_behind
            self.seen.add(identity)
        if is_numbered:
            self.mark = None
        else:
            former = self.mark or self.left
            self.mark = Mark(
                page.offset + _PAGE_SIZE - 1,
                _higher(former.reached if former else None, page.highest),
                tuple(identity for identity in page.identities if isinstance(identity, int)),
                self.listed,
                self.started_at,
            )
        if fresh or unreadable:
            yield Page(
                [record for record, _ in fresh],
                f"GET {self.path} from record {page.offset + 1}",
                [identity for _, identity in fresh],
                unreadable,
                page.notice,
            )


def _identity(one: Unreadable) -> Identity:
    return sha256(f"record {one.place}".encode()).digest() if one.identity is None else one.identity


def _begins_too_late(page: Answer, reached: int | None) -> bool:
    """Whether the page begins behind what was seen, so that a record between them may have been passed over."""
    return page.offset > 0 and (page.lowest is None or (reached is not None and page.lowest > reached))


def _higher(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)


class _Ahead:
    """The pages after ``first``, each from the last record of the one before, a few of them asked for in advance."""

    def __init__(self, read: Callable[[int], Answer], pool: ThreadPoolExecutor, parallel: int, first: Answer) -> None:
        self._read = read
        self._pool = pool
        self._parallel = parallel
        self._total = first.total
        self._offset = first.offset
        self._asked: deque[Future[Answer]] = deque()

    def next(self) -> Answer:
        """The next page."""
        while len(self._asked) < self._parallel:
            following = self._offset + _PAGE_SIZE - 1
            # Without a total nobody knows whether there is a page to be asked for in advance.
            if self._asked and (self._total is None or following >= self._total):
                break
            self._offset = following
            self._asked.append(self._pool.submit(self._read, following))
        return self._asked.popleft().result()

    def restart(self, offset: int) -> Answer:
        """The page at ``offset``; the walk goes on from there."""
        self.cancel()
        self._offset = offset
        return self._read(offset)

    def cancel(self) -> None:
        for future in self._asked:
            future.cancel()
        self._asked.clear()


def server_time(response: Response) -> datetime:
    """The store's own clock."""
    date = response.headers.get("Date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
