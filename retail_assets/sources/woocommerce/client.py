"""The REST client of one store: authentication by scheme and walks that lose nothing."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from requests import Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import Store

_API: Final = "wp-json/wc/v3"
_PAGE_SIZE: Final = 100
_WALKS: Final = 3
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


@dataclass(slots=True)
class Walk:
    """Pages of one list, in order of id. ``complete`` is only known once it was walked to its end.

    ``elsewhere`` holds ids that another walk of the same load has yielded already. ``started_at`` is the store's own
    time before the first page: a change after that may have been missed.
    """

    client: "StoreClient"
    path: str
    params: Mapping[str, Any]
    elsewhere: frozenset[int | bytes] = frozenset()
    complete: bool = False
    started_at: datetime | None = None
    seen: set[int | bytes] = field(default_factory=set)

    def pages(self) -> Iterator[Page]:
        """Walk until one pass saw every record that was there when it began.

        Paging by offset loses a record at a page seam when an earlier one leaves the list meanwhile. So before a pass
        the last page is read for how many records there are and for the highest id; records that are added later have
        higher ids and do not count. A pass that saw fewer is walked again, at most three times; records seen before
        are left out. After that the walk ends with ``complete`` still false.
        """
        for _ in range(_WALKS):
            first = self._page(1)
            if not first.has_next:
                yield from self._fresh(first)
                self.complete = True
                return
            boundary = self._page(first.pages) if first.pages else None
            seen_in_this_pass: set[int | bytes] = set()
            for page in self._all_pages():
                seen_in_this_pass.update(page.identities)
                yield from self._fresh(page)
            if boundary is None or boundary.bounds(seen_in_this_pass):
                self.complete = True
                return

    def _all_pages(self) -> Iterator["_Response"]:
        number = 1
        while (page := self._page(number)).has_next:
            yield page
            number += 1
        yield page

    def _page(self, number: int) -> "_Response":
        response = self.client.get(
            self.path, {**self.params, "orderby": "id", "order": "asc", "per_page": _PAGE_SIZE, "page": number}
        )
        if self.started_at is None:
            self.started_at = _server_time(response)
        records = _records_of(response)
        return _Response(
            number,
            records,
            [_identity(record) for record in records],
            total=int(response.headers.get("X-WP-Total", 0)),
            pages=int(response.headers.get("X-WP-TotalPages", 0)),
        )

    def _fresh(self, page: "_Response") -> Iterator[Page]:
        fresh = [
            record
            for record, identity in zip(page.records, page.identities, strict=True)
            if identity not in self.seen and identity not in self.elsewhere
        ]
        self.seen.update(page.identities)
        if fresh:
            yield Page(fresh, f"GET {self.path} page {page.number}")


@dataclass(frozen=True, slots=True)
class _Response:
    """One page as answered. A store whose proxy strips the totals says 0 pages, and cannot be checked against them."""

    number: int
    records: list[bytes]
    identities: list[int | bytes]
    total: int
    pages: int

    @property
    def has_next(self) -> bool:
        return self.number < self.pages if self.pages else len(self.records) == _PAGE_SIZE

    def bounds(self, seen: set[int | bytes]) -> bool:
        """For the last page before a pass: whether the pass saw all that was there, up to this page's highest id.

        A record whose id cannot be read counts as one of them.
        """
        highest = max((identity for identity in self.identities if isinstance(identity, int)), default=0)
        there = sum(not isinstance(identity, int) or identity <= highest for identity in seen)
        return bool(self.records) and there >= self.total


class StoreClient:
    """WooCommerce's REST API of one store.

    https is used with Basic authentication; on plain http WooCommerce accepts OAuth 1.0a only, which never sends the
    secret.
    """

    def __init__(self, store: Store) -> None:
        key, secret = store.consumer_key.get_secret_value(), store.consumer_secret.get_secret_value()
        auth: AuthBase
        if store.base_url.startswith("https:"):
            auth = HTTPBasicAuth(key, secret)
        else:
            auth = OAuth1(key, secret, signature_method="HMAC-SHA256", signature_type="query")
        self._http = HttpClient(
            f"{store.base_url}/{_API}",
            auth=auth,
            requests_per_second=store.requests_per_second,
            timeout=store.timeout_seconds,
            retries=store.retries,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``/wp-json/wc/v3``."""
        return self._http.get(path, params)

    def has(self, path: str) -> bool:
        """Whether this WooCommerce knows the route (older versions lack some)."""
        try:
            self.get(path, {"per_page": 1})
        except HttpStatusError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def walk(
        self, path: str, params: Mapping[str, Any] | None = None, elsewhere: frozenset[int | bytes] = frozenset()
    ) -> Walk:
        """All records of a list, in order of id, without those whose id is in ``elsewhere``."""
        return Walk(self, path, params or {}, elsewhere)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def _identity(record: bytes) -> int | bytes:
    """The record's id; one whose id cannot be read still is one record, known by its bytes."""
    try:
        identity = _ID.decode(record).id
    except msgspec.MsgspecError:
        identity = None
    return hashlib.sha256(record).digest() if identity is None else identity


def _records_of(response: Response) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _PAGE.decode(response.content)]
    except (msgspec.MsgspecError, RecursionError) as error:
        where = response.url.split("?", 1)[0]
        start = response.text[:200]
        raise UnexpectedAnswerError(f"{where} did not answer with a JSON list ({error}); it began: {start}") from error


def _server_time(response: Response) -> datetime:
    date = response.headers.get("Date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
