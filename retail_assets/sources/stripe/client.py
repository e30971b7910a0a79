"""The REST client of one Stripe account: cursor-paged lists, newest first."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from requests import Response

from retail_assets.http import HttpClient
from retail_assets.settings import Gateway

#: The shapes that the contracts were written against.
API_VERSION: Final = "2026-10-28.endive"
#: Stripe's documented default per endpoint.
_REQUESTS_PER_SECOND: Final = 25
_PAGE_SIZE: Final = 100


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
    """Stripe's API of one account, read only."""

    def __init__(self, gateway: Gateway) -> None:
        self._http = HttpClient(
            f"{gateway.base_url}/v1",
            headers={
                "Authorization": f"Bearer {gateway.api_key.get_secret_value()}",
                "Stripe-Version": API_VERSION,
            },
            requests_per_second=gateway.requests_per_second or _REQUESTS_PER_SECOND,
            timeout=gateway.timeout_seconds,
            retries=gateway.retries,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``/v1``."""
        return self._http.get(path, params)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[tuple[list[bytes], str]]:
        """All objects of a list as (records, origin) pages, newest first, each byte for byte as received.

        Raises:
            UnexpectedAnswerError: the answer is no list, or says that there is more but brings nothing new.
        """
        after: str | None = None
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
