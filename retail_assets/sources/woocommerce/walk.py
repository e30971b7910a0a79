"""Walks over a list that changes while it is read, and that lose nothing that was there all the time.

Pages are cut by offset, so a record that leaves the list moves all later ones forward and the next page begins too
late. Each page is therefore asked for from the last record of the page before: it must begin with an id that was seen
already. If it does not, something left, and the walk goes back until it does. By induction every record that is in the
list from the first request to the last is seen, whatever comes or goes meanwhile, and in whatever order the pages were
fetched.
"""

import codecs
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, Final

import msgspec
from requests import Response

from retail_assets.sources.woocommerce.ids import NO_IDS, Identity, IdSet

_PAGE_SIZE: Final = 100
_PATIENCE: Final = 20
_PAGE: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Identified(msgspec.Struct):
    id: int | None = None


_ID: Final = msgspec.json.Decoder(_Identified)


class UnexpectedAnswerError(Exception):
    """The store answered with something that is not WooCommerce's API."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one page, byte for byte, without those an earlier page of the same walk already held."""

    records: list[bytes]
    origin: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """One page as answered. ``total`` is None where a proxy strips it, and 0 beyond the end of the list."""

    offset: int
    records: list[bytes]
    identities: list[Identity]
    total: int | None

    @property
    def lowest(self) -> int | None:
        return min((identity for identity in self.identities if isinstance(identity, int)), default=None)

    @property
    def highest(self) -> int | None:
        return max((identity for identity in self.identities if isinstance(identity, int)), default=None)

    def is_last(self, known: IdSet) -> bool:
        """Whether nothing comes after it.

        A page may be short in the middle of a list: WooCommerce leaves out what it cannot load. So the total decides,
        and without one, whether the page brought anything new.
        """
        if self.total:
            return self.offset + _PAGE_SIZE >= self.total
        return not self.records or all(identity in known for identity in self.identities)


@dataclass(slots=True)
class Walk:
    """Pages of one list, in order of id. ``complete`` is only known once it was walked to its end.

    ``elsewhere`` holds ids that another walk of the same load has yielded already. ``started_at`` is the store's own
    time before the first page: a change after that may have been missed. ``parallel`` pages are fetched at a time.
    """

    get: Callable[[str, Mapping[str, Any]], Response]
    path: str
    params: Mapping[str, Any]
    elsewhere: IdSet = NO_IDS
    parallel: int = 1
    complete: bool = False
    started_at: datetime | None = None
    seen: IdSet = field(default_factory=IdSet)

    def pages(self) -> Iterator[Page]:
        """Walk the list once; ``complete`` stays false only if it kept shrinking under the walk without end."""
        first = self._read(0)
        if first.is_last(self.seen):
            yield from self._fresh(first)
            self.complete = True
            return
        yield from self._fresh(first)
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="pages") as pool:
            ahead = _Ahead(self._read, pool, self.parallel, first)
            # Whatever ends the walk, what was asked for ahead of it is not waited for.
            try:
                yield from self._rest(first, ahead)
            finally:
                ahead.cancel()

    def newest_first(self, is_known: Callable[[Identity], bool]) -> Iterator[Page]:
        """From the highest id down to the first page that holds a known one. New records only repeat what was seen."""
        for number in count(1):
            page = self._read(0, number, "desc")
            yield from self._fresh(page)
            if any(map(is_known, page.identities)) or len(page.records) < _PAGE_SIZE:
                self.complete = True
                return

    def _rest(self, first: _Answer, ahead: "_Ahead") -> Iterator[Page]:
        reached, steps_back, pages = first.highest, 0, 1
        while True:
            page = ahead.next()
            if page.identities == first.identities:
                yield from self._by_number()
                return
            while page.offset > 0 and (page.lowest is None or (reached is not None and page.lowest > reached)):
                steps_back += 1
                if steps_back > _PATIENCE + pages:
                    return
                page = ahead.restart(max(0, page.offset - _PAGE_SIZE))
            pages += 1
            last = page.is_last(self.seen)
            yield from self._fresh(page)
            reached = max((one for one in (reached, page.highest) if one is not None), default=None)
            if last:
                self.complete = True
                return

    def _by_number(self) -> Iterator[Page]:
        """For a store that ignores ``offset``: by page number, and again until a pass saw as many as were counted."""
        for _ in range(3):
            passed, total = IdSet(), 0
            for number in count(1):
                page = self._read(0, number)
                total = max(total, page.total or 0)
                is_empty_end = not page.records or (not page.total and page.is_last(passed))
                for identity in page.identities:
                    passed.add(identity)
                yield from self._fresh(page)
                if is_empty_end or (page.total and number * _PAGE_SIZE >= page.total):
                    break
            if len(passed) >= total:
                self.complete = True
                return

    def _read(self, offset: int, number: int | None = None, direction: str = "asc") -> _Answer:
        place = {"page": number} if number is not None else {"offset": offset} if offset else {}
        order = {"orderby": "id", "order": direction, "per_page": _PAGE_SIZE}
        response = self.get(self.path, {**self.params, **order, **place})
        if self.started_at is None:
            self.started_at = server_time(response)
        records = records_of(response)
        total = response.headers.get("X-WP-Total")
        return _Answer(
            offset if number is None else (number - 1) * _PAGE_SIZE,
            records,
            [identity_of(record) for record in records],
            int(total) if total and total.isdigit() else None,
        )

    def _fresh(self, page: _Answer) -> Iterator[Page]:
        fresh = [
            record
            for record, identity in zip(page.records, page.identities, strict=True)
            if identity not in self.seen and identity not in self.elsewhere
        ]
        for identity in page.identities:
            self.seen.add(identity)
        if fresh:
            yield Page(fresh, f"GET {self.path} from record {page.offset + 1}")


class _Ahead:
    """The pages after ``first``, each from the last record of the one before, a few of them asked for in advance."""

    def __init__(self, read: Callable[[int], _Answer], pool: ThreadPoolExecutor, parallel: int, first: _Answer) -> None:
        self._read = read
        self._pool = pool
        self._parallel = parallel
        self._total = first.total
        self._offset = 0
        self._asked: deque[Future[_Answer]] = deque()

    def next(self) -> _Answer:
        """The next page."""
        while len(self._asked) < self._parallel:
            following = self._offset + _PAGE_SIZE - 1
            # Without a total nobody knows whether there is a page to be asked for in advance.
            if self._asked and (self._total is None or following >= self._total):
                break
            self._offset = following
            self._asked.append(self._pool.submit(self._read, following))
        return self._asked.popleft().result()

    def restart(self, offset: int) -> _Answer:
        """The page at ``offset``; the walk goes on from there."""
        self.cancel()
        self._offset = offset
        return self._read(offset)

    def cancel(self) -> None:
        for future in self._asked:
            future.cancel()
        self._asked.clear()


def identity_of(record: bytes) -> Identity:
    """The record's id; one whose id cannot be read still is one record, known by its bytes."""
    try:
        identity = _ID.decode(record).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        identity = None
    return hashlib.sha256(record).digest() if identity is None else identity


def body_of(response: Response) -> bytes:
    """The answer as sent, but for a byte order mark: one PHP file saved with it puts it before all that a shop says."""
    return response.content.removeprefix(codecs.BOM_UTF8)


def records_of(response: Response) -> list[bytes]:
    """The records of a list, byte for byte.

    Raises:
        UnexpectedAnswerError: it is no JSON list: a maintenance page, a PHP warning, an error object.
    """
    try:
        return [bytes(raw) for raw in _PAGE.decode(body_of(response))]
    except (msgspec.MsgspecError, RecursionError) as error:
        where = response.url.split("?", 1)[0]
        start = response.text[:200]
        raise UnexpectedAnswerError(f"{where} did not answer with a JSON list ({error}); it began: {start}") from error


def server_time(response: Response) -> datetime:
    """The store's own clock."""
    date = response.headers.get("Date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
