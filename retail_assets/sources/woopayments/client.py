"""The part of a store's REST API that the WooPayments plugin adds: lists by page number, with counts beside them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from requests import Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from retail_assets.http import HttpClient
from retail_assets.settings import Gateway

_PAGE_SIZE: Final = 100
_WALKS: Final = 3


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    total_count: int | None = None


class _Summary(msgspec.Struct):
    count: int


_LIST: Final = msgspec.json.Decoder(_List)
_SUMMARY: Final = msgspec.json.Decoder(_Summary)


class UnexpectedAnswerError(Exception):
    """The store answered with something that is not the plugin's API."""


class Walk:
    """One list, oldest first, walked by page number until it saw as many records as the plugin counts.

    Paging by number loses a record when one before it leaves the list, or when records of one second change places
    between two pages. So the unique records are compared with the count of the list's summary, and the list is walked
    again if there are fewer. ``complete`` says at the end whether that succeeded.
    """

    def __init__(self, client: "WooPaymentsClient", path: str, sort: str, key: str, filters: Mapping[str, str]) -> None:
        self.complete = False
        self._client = client
        self._path = path
        self._query = {**filters, "sort": sort, "direction": "asc", "pagesize": _PAGE_SIZE}
        self._filters = filters
        self._identities = msgspec.json.Decoder(msgspec.defstruct("Identified", [(key, str | int | None, None)]))
        self._key = key
        self._seen: set[str | int | bytes] = set()

    def pages(self) -> Iterator[tuple[list[bytes], str]]:
        """Pages as (records not seen before, origin).

        Raises:
            UnexpectedAnswerError: the answer is no list of the plugin's.
        """
        for _ in range(_WALKS):
            expected = self._client.count(self._path, self._filters)
            yield from self._pass()
            if len(self._seen) >= expected:
                self.complete = True
                return

    def _pass(self) -> Iterator[tuple[list[bytes], str]]:
        of_this_pass: set[str | int | bytes] = set()
        number = 1
        while True:
            records = self._client.page(self._path, {**self._query, "page": number})
            identified = [(self._identity(record), record) for record in records]
            # Not a short page but one without anything new ends the list: the server may cap the size of pages.
            if not {identity for identity, _ in identified} - of_this_pass:
                return
            fresh = [record for identity, record in identified if identity not in self._seen]
            of_this_pass.update(identity for identity, _ in identified)
            self._seen |= of_this_pass
            if fresh:
                yield fresh, f"GET payments/{self._path} page {number}"
            number += 1

    def _identity(self, record: bytes) -> str | int | bytes:
        """The record's key; one whose key cannot be read still is one record, known by its bytes."""
        try:
            identity = getattr(self._identities.decode(record), self._key)
        except msgspec.MsgspecError:
            identity = None
        return record if identity is None else identity


class WooPaymentsClient:
    """The plugin's API of one store, read only.

    As for the store itself, https is used with Basic authentication; on plain http WooCommerce accepts OAuth 1.0a only.
    """

    def __init__(self, gateway: Gateway) -> None:
        key, secret = gateway.secret("consumer_key"), gateway.secret("consumer_secret")
        auth: AuthBase
        if gateway.base_url.startswith("https:"):
            auth = HTTPBasicAuth(key, secret)
        else:
            auth = OAuth1(key, secret, signature_method="HMAC-SHA256", signature_type="query")
        self.requests = 0
        self._http = HttpClient(
            f"{gateway.base_url}/wp-json/wc/v3/payments",
            auth=auth,
            requests_per_second=gateway.requests_per_second,
            timeout=gateway.timeout_seconds,
            retries=gateway.retries,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``/wp-json/wc/v3/payments``."""
        self.requests += 1
        return self._http.get(path, params)

    def page(self, path: str, params: Mapping[str, Any]) -> list[bytes]:
        """The records of one page, each byte for byte as received."""
        response = self.get(path, params)
        try:
            return [bytes(raw) for raw in _LIST.decode(response.content).data]
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(
                f"GET payments/{path} did not answer with a WooPayments list: {error}"
            ) from error

    def count(self, path: str, filters: Mapping[str, str]) -> int:
        """How many records a list has, by its summary."""
        response = self.get(f"{path}/summary", filters)
        try:
            return _SUMMARY.decode(response.content).count
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(
                f"GET payments/{path}/summary did not answer with a WooPayments summary: {error}"
            ) from error

    def walk(self, path: str, sort: str, key: str, filters: Mapping[str, str]) -> Walk:
        """All records of a list that pass the filters."""
        return Walk(self, path, sort, key, filters)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()
