"""The REST client of one Klarna account's Settlements API: lists by size and offset."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from requests.auth import HTTPBasicAuth

from retail_assets.http import HttpClient
from retail_assets.settings import Gateway

#: Klarna's largest page.
_PAGE_SIZE: Final = 500


class _Pagination(msgspec.Struct):
    count: int | None = None
    total: int | None = None


_LIST: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RECORDS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PAGINATION: Final = msgspec.json.Decoder(_Pagination)


class UnexpectedAnswerError(Exception):
    """The gateway answered with something that is not Klarna's API."""


class KlarnaClient:
    """Klarna's Settlements API of one account, read only."""

    def __init__(self, gateway: Gateway) -> None:
        self.http = HttpClient(
            f"{gateway.base_url}/settlements/v1",
            auth=HTTPBasicAuth(gateway.option("username"), gateway.secret("password")),
            requests_per_second=gateway.requests_per_second,
            timeout=gateway.timeout_seconds,
            retries=gateway.retries,
        )

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[tuple[list[bytes], str]]:
        """All records of a list, which is called as its path is, as (records, origin) pages, byte for byte.

        Raises:
            UnexpectedAnswerError: the answer is no such list, or ends before the total that it tells.
        """
        offset = 0
        while True:
            response = self.http.get(path, {**params, "size": _PAGE_SIZE, "offset": offset})
            try:
                members = _LIST.decode(response.content)
                records = [bytes(raw) for raw in _RECORDS.decode(members[path])]
                total = _PAGINATION.decode(members["pagination"]).total if "pagination" in members else None
            except (msgspec.MsgspecError, KeyError) as error:
                raise UnexpectedAnswerError(f"GET {path} did not answer with a list of {path}: {error}") from error
            if records:
                yield records, f"GET {path} from {offset}"
            offset += len(records)
            if (total is None and len(records) < _PAGE_SIZE) or (total is not None and offset >= total):
                return
            if not records:
                raise UnexpectedAnswerError(f"GET {path} says that it has {total} records, but ends after {offset}")

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()
