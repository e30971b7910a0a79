"""One page of a list, also where a single record, a slow host or a chatty PHP keeps the store from showing it.

A page that keeps failing while the store answers otherwise is asked for in smaller pieces, down to one record; a record
that fails alone is left out and named. Since the list may move between two pieces, the ids are listed once more
afterwards: only if they are those that were read is the page taken.
"""

import codecs
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from requests import Response

from retail_assets.http import HttpStatusError, HttpUnavailableError
from retail_assets.sources.woocommerce.ids import Identity

#: What PHP answers that runs out of memory or time over a page, or dies of one record.
BROKEN_STATUSES: Final = (
    HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT,
)  # fmt: skip
_ASKED_AGAIN: Final = 2
_PAUSE_SECONDS: Final = 0.5
#: So often a page is read in pieces until the list holds still meanwhile.
_TRIES: Final = 5
#: Of a page with more records than these that cannot be shown, the store is to be mended, not the records.
_MOST_UNREADABLE: Final = 25
#: Pages read in pieces before a whole one is tried again: each try on a slow host costs a time-out.
_PAGES_IN_PIECES: Final = 20
_LONGEST_NOTICE: Final = 10_000
_LONGEST_REASON: Final = 200
_PAGE: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PHP_NOTICE: Final = re.compile(
    rb"\b(Notice|Warning|Deprecated|Strict Standards)(</b>)?: .{1,2000}? on line ", re.DOTALL
)
_LIST: Final = re.compile(rb"\[\s*[{\]]")

Get = Callable[[str, Mapping[str, Any]], Response]


class _Identified(msgspec.Struct):
    id: int | None = None


_ID: Final = msgspec.json.Decoder(_Identified)


class UnexpectedAnswerError(Exception):
    """The store answered with something that is not WooCommerce's API."""

    #: Whether a whole list follows after what PHP had to say.
    follows_notice = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that the store fails to show. ``identity``: its id, if the list of ids tells; ``place``: from 1."""

    identity: int | None
    place: int
    reason: str

    @property
    def name(self) -> str:
        """How to speak of it."""
        return f"record {self.place}" if self.identity is None else f"record {self.place} (id {self.identity})"


@dataclass(frozen=True, slots=True)
class Answer:
    """One page as answered. ``total`` is None where a proxy strips it, and 0 beyond the end of the list."""

    offset: int
    records: list[bytes]
    identities: list[Identity]
    total: int | None
    size: int
    unreadable: Sequence[Unreadable] = ()
    notice: str | None = None

    @property
    def lowest(self) -> int | None:
        """The lowest id."""
        return min(self._ids(), default=None)

    @property
    def highest(self) -> int | None:
        """The highest id."""
        return max(self._ids(), default=None)

    def _ids(self) -> Iterator[int]:
        return (identity for identity in self.identities if isinstance(identity, int))


class PageReader:
    """Pages of one list, ``size`` records each.

    Args:
        get: asks with all of the client's retries.
        probe: asks with few of them: what fails here is asked for in another way at once.
        heard: told of every answer.
    """

    def __init__(
        self,
        get: Get,
        probe: Get,
        path: str,
        params: Mapping[str, Any],
        *,
        size: int,
        heard: Callable[[Response], None],
    ) -> None:
        self._get = get
        self._probe = probe
        self._path = path
        self._params = params
        self._size = size
        self._heard = heard
        self._whole = {None: size, "id": size}
        self._in_a_row = 0
        self._bears_notices = False

    def by_offset(self, offset: int) -> Answer:
        """The page that begins with record ``offset``, from 0, in ascending order of id.

        Raises:
            HttpError: the store does not answer, or too many of its records cannot be shown.
            UnexpectedAnswerError: it answers with something else.
        """
        if self._whole[None] < self._size:
            return self._in_pieces(offset, "asc", None)
        place = {"offset": offset} if offset else {}
        return self._patiently(offset, "asc", place, in_pieces=True)

    def by_number(self, number: int, direction: str = "asc", *, in_pieces: bool = False) -> Answer:
        """Page ``number``, from 1; ``in_pieces``: the store is known to heed offsets."""
        return self._patiently((number - 1) * self._size, direction, {"page": number}, in_pieces=in_pieces)

    def _patiently(self, offset: int, direction: str, place: Mapping[str, Any], *, in_pieces: bool) -> Answer:
        try:
            return self._ask(self._get, offset, self._size, direction, place)
        except (HttpStatusError, HttpUnavailableError, UnexpectedAnswerError) as error:
            failure = error
        for attempt in range(1, _ASKED_AGAIN + 1):
            if not isinstance(failure, UnexpectedAnswerError):
                break
            if not failure.follows_notice:
                self._require_life(failure)
            time.sleep(_PAUSE_SECONDS)
            # PHP that still speaks first will do so on every page.
            self._bears_notices = self._bears_notices or (failure.follows_notice and attempt == _ASKED_AGAIN)
            try:
                return self._ask(self._get, offset, self._size, direction, place)
            except (HttpStatusError, HttpUnavailableError, UnexpectedAnswerError) as error:
                failure = error
        if not (in_pieces and _may_be_the_page(failure)):
            raise failure
        self._require_life(failure)
        return self._in_pieces(offset, direction, failure)

    def _ask(
        self, get: Get, offset: int, size: int, direction: str, place: Mapping[str, Any], fields: str | None = None
    ) -> Answer:
        order = {"orderby": "id", "order": direction, "per_page": size}
        only = {"_fields": fields} if fields else {}
        response = get(self._path, {**self._params, **order, **place, **only})
        notice: str | None = None
        try:
            records = records_of(response)
        except UnexpectedAnswerError as error:
            spoken = after_notice(body_of(response), size)
            error.follows_notice = spoken is not None
            if spoken is None or not self._bears_notices:
                raise
            notice, records = spoken
        self._heard(response)
        total = response.headers.get("X-WP-Total")
        return Answer(
            offset,
            records,
            [identity_of(record) for record in records],
            int(total) if total and total.isdigit() else None,
            size,
            notice=notice,
        )

    def _require_life(self, failure: Exception) -> None:
        """Raise ``failure`` unless the store answers something smaller: then it is the page and not the store."""
        # The first or the last of the top list: either of them may be the very record.
        for direction in ("asc", "desc"):
            try:
                order = {"orderby": "id", "order": direction, "per_page": 1, "_fields": "id"}
                records_of(self._probe(self._path.partition("/")[0], order))
                return
            except (HttpStatusError, HttpUnavailableError, UnexpectedAnswerError):
                continue
        raise failure

    def _in_pieces(self, offset: int, direction: str, failure: Exception | None) -> Answer:
        for _ in range(_TRIES):
            pieces = list(self._pieces(offset, self._size, direction, failure))
            listed = list(self._pieces(offset, self._size, direction, None, "id"))
            page = _joined(offset, self._size, pieces, listed)
            if page is not None:
                self._remember(pieces, listed, page)
                return page
            failure = None
        raise UnexpectedAnswerError(
            f"{self._path}: records from {offset + 1} on cannot be read at once, and the list did not hold still for "
            "reading them one by one"
        )

    def _pieces(
        self, offset: int, size: int, direction: str, failure: Exception | None, fields: str | None = None
    ) -> Iterator[Answer]:
        """The records from ``offset`` on, halved where they cannot be had together; with ``failure`` they cannot."""
        whole = self._whole[fields]
        if failure is None and size > whole:
            for start in range(0, size, whole):
                yield from self._pieces(offset + start, min(whole, size - start), direction, None, fields)
            return
        if failure is None:
            try:
                # The verdict over a single record takes all retries.
                get = self._get if size == 1 else self._probe
                yield self._ask(get, offset, size, direction, {"offset": offset}, fields)
                return
            except (HttpStatusError, HttpUnavailableError, UnexpectedAnswerError) as error:
                if not _may_be_the_page(error):
                    raise
                failure = error
                self._require_life(error)
        if size == 1:
            reason = str(failure)[:_LONGEST_REASON]
            yield Answer(offset, [], [], None, 1, [Unreadable(None, offset + 1, reason)])
            return
        first = size - size // 2
        found = 0
        for start, part in ((offset, first), (offset + first, size - first)):
            for piece in self._pieces(start, part, direction, None, fields):
                found += len(piece.unreadable)
                if found > _MOST_UNREADABLE:
                    raise failure
                yield piece

    def _remember(self, pieces: Sequence[Answer], listed: Sequence[Answer], page: Answer) -> None:
        """Ask for the next pages as this one could be had; after some, whole again."""
        self._in_a_row += 1
        if page.unreadable or self._in_a_row >= _PAGES_IN_PIECES:
            self._whole, self._in_a_row = {None: self._size, "id": self._size}, 0
        else:
            self._whole = {None: max(piece.size for piece in pieces), "id": max(piece.size for piece in listed)}


def _may_be_the_page(error: Exception) -> bool:
    return error.status in BROKEN_STATUSES if isinstance(error, HttpStatusError) else True


def _joined(offset: int, size: int, pieces: Sequence[Answer], listed: Sequence[Answer]) -> Answer | None:
    """The pieces as one page; None if the list moved between them: then one may be missing."""
    records = [record for piece in pieces for record in piece.records]
    identities = [identity for piece in pieces for identity in piece.identities]
    unreadable = [one for piece in pieces for one in piece.unreadable]
    read = {identity for identity in identities if isinstance(identity, int)}
    shown = {identity for piece in listed for identity in piece.identities if isinstance(identity, int)}
    # What was added meanwhile comes last, and the next page, or the next walk, brings it.
    missed = sorted(shown - read)
    if read - shown or sum(identity < max(read, default=identity + 1) for identity in missed) > len(unreadable):
        return None
    if len(missed) == len(unreadable):
        unreadable = [
            Unreadable(identity, one.place, one.reason) for identity, one in zip(missed, unreadable, strict=True)
        ]
    totals = [piece.total for piece in (*pieces, *listed) if piece.total is not None]
    notices = [piece.notice for piece in pieces if piece.notice]
    return Answer(
        offset, records, identities, max(totals, default=None), size, unreadable, notices[0] if notices else None
    )


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


def after_notice(body: bytes, most: int) -> tuple[str, list[bytes]] | None:
    """What PHP said before a list, and the list's records: None unless all after the notice is one list of records.

    Only PHP's own notices and warnings are borne: after a fatal error, or in another page, no list is to be trusted.
    """
    for begins in _LIST.finditer(body, 0, _LONGEST_NOTICE):
        said = body[: begins.start()]
        if not _PHP_NOTICE.search(said):
            continue
        try:
            records = [bytes(raw) for raw in _PAGE.decode(body[begins.start() :])]
        except (msgspec.MsgspecError, RecursionError):
            continue
        if b"Fatal error" in said or len(records) > most:
            return None
        if not all(isinstance(identity_of(record), int) for record in records):
            return None
        return said.decode("utf-8", "replace").strip()[:_LONGEST_REASON], records
    return None
