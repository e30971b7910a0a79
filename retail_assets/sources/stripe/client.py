"""The REST client of one Stripe account: cursor-paged lists, newest first."""

import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from requests import Response

from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import Gateway

_PAGE_SIZE: Final = 100
_FIRST_WAIT_SECONDS: Final = 0.5


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


class _Identified(msgspec.Struct):
    id: str


_LIST: Final = msgspec.json.Decoder(_List)
_ID: Final = msgspec.json.Decoder(_Identified)


class UnexpectedAnswerError(Exception):
    """The gateway answered with something that is not Stripe's API."""


class StripeClient:
    """Stripe's API of one account, read only.

    ``requests`` counts what was asked, without what was asked again. Stripe's limit holds for each endpoint, so a
    client for each list may use it up.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.requests = 0
        self._retries = gateway.retries
        self._http = HttpClient(
            f"{gateway.base_url}/v1",
            headers={
                "Authorization": f"Bearer {gateway.secret('api_key')}",
                "Stripe-Version": gateway.option("api_version"),
            },
            requests_per_second=gateway.requests_per_second,
            timeout=gateway.timeout_seconds,
            retries=gateway.retries,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``/v1``.

        Raises:
            HttpStatusError: Stripe refused it, also after all retries where asking again may help: 429 and 5xx as for
                any server, and what Stripe itself calls worth it (409, a lock that another request held, or the header
                ``Stripe-Should-Retry``, as its own SDKs do).
            HttpUnavailableError: there was no complete answer.
        """
        self.requests += 1
        for attempt in range(self._retries):
            try:
                return self._http.get(path, params)
            except HttpStatusError as error:
                if not _worth_another_try(error):
                    raise
                time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)
        return self._http.get(path, params)

    def pages(
        self, path: str, params: Mapping[str, Any] | None = None, after: str | None = None
    ) -> Iterator[tuple[list[bytes], str]]:
        """All objects of a list as (records, origin) pages, newest first, each byte for byte as received.

        The cursor is the last object seen, so that objects which are created meanwhile shift nothing.

        Args:
            after: id of the object behind which to begin; None for the newest.

        Raises:
            UnexpectedAnswerError: the answer is no list, or says that there is more but brings nothing new.
        """
        while True:
            cursor = {"starting_after": after} if after else {}
            response = self.get(path, {**(params or {}), "limit": _PAGE_SIZE, **cursor})
            try:
                page = _LIST.decode(response.content)
                records = [bytes(raw) for raw in page.data]
                last = _ID.decode(records[-1]).id if records else None
            except msgspec.MsgspecError as error:
                raise UnexpectedAnswerError(f"GET {path} did not answer with a Stripe list: {error}") from error
            if records:
                yield records, f"GET {path}" + (f" after {after}" if after else "")
            if not page.has_more:
                return
            if last is None or last == after:
                raise UnexpectedAnswerError(f"GET {path} says that it has more after {after}, but brings nothing new")
            after = last

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def _worth_another_try(error: HttpStatusError) -> bool:
    """Statuses that the HTTP client does not retry by itself; it has retried 429 and 5xx already."""
    if error.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or error.status >= 500:
        return False
    advice = {name.lower(): value for name, value in error.headers.items()}.get("stripe-should-retry")
    return advice == "true" or (advice is None and error.status == HTTPStatus.CONFLICT)
