"""The REST client of one Mollie account: HAL lists, newest first, paged by links."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from retail_assets.http import HttpClient
from retail_assets.settings import Gateway

_PAGE_SIZE: Final = 250


class _Link(msgspec.Struct):
    href: str


class _Links(msgspec.Struct):
    next: _Link | None = None


class _Page(msgspec.Struct):
    embedded: dict[str, list[msgspec.Raw]] = msgspec.field(name="_embedded")
    links: _Links = msgspec.field(name="_links", default_factory=_Links)


_PAGE: Final = msgspec.json.Decoder(_Page)


class UnexpectedAnswerError(Exception):
    """The gateway answered with something that is not Mollie's API."""


class MollieClient:
    """Mollie's API of one account, read only."""

    def __init__(self, gateway: Gateway) -> None:
        self.http = HttpClient(
            f"{gateway.base_url}/v2",
            headers={"Authorization": f"Bearer {gateway.secret('api_key')}", "Accept": "application/hal+json"},
            requests_per_second=gateway.requests_per_second,
            timeout=gateway.timeout_seconds,
            retries=gateway.retries,
        )

    def get(self, path: str) -> bytes:
        """The body of one object below ``/v2``."""
        return self.http.get(path).content

    def pages(self, path: str, name: str, params: Mapping[str, Any] | None = None) -> Iterator[tuple[list[bytes], str]]:
        """All objects of a list as (records, origin) pages, each record byte for byte as received.

        Args:
            name: what the list calls its records (``payments``, ``balance_transactions``, …).

        Raises:
            UnexpectedAnswerError: the answer is no such list, or a link leads back to a page that was read.
            ForeignHostError: a link leads to another host; the token is not sent there.
        """
        seen: set[str] = set()
        response = self.http.get(path, {**(params or {}), "limit": _PAGE_SIZE})
        while True:
            try:
                page = _PAGE.decode(response.content)
                records = [bytes(raw) for raw in page.embedded[name]]
            except (msgspec.MsgspecError, KeyError) as error:
                raise UnexpectedAnswerError(f"GET {path} did not answer with a list of {name}: {error}") from error
            yield records, f"GET {path}, page {len(seen) + 1}"
            following = page.links.next.href if page.links.next else None
            if following is None:
                return
            if following in seen:
                raise UnexpectedAnswerError(f"GET {path}: the link to the next page leads back to one that was read")
            seen.add(following)
            response = self.http.get(following)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()
