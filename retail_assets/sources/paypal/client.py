"""PayPal's reporting API of one account, read only: tokens, pages, and what its errors mean."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth

from retail_assets.http import HttpClient, HttpStatusError, HttpUnavailableError
from retail_assets.settings import Gateway

_PAGE_SIZE: Final = 500
_SECONDS_BEFORE_EXPIRY: Final = 60
_PASSING_TROUBLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_SECONDS: Final = 600
_TOO_LARGE: Final = (b"RESULTSET_TOO_LARGE", b"Result set size is greater than the maximum limit")
_NOT_AVAILABLE: Final = b"Data for the given start date is not available"


class UnexpectedAnswerError(Exception):
    """The answer is not that of PayPal's reporting API, or contradicts itself."""


class TooManyTransactionsError(Exception):
    """A window holds more transactions than PayPal lists for one query; ask for a shorter one."""


class NotAvailableError(Exception):
    """PayPal has no data for the start of a window: not yet (it takes up to three hours), or not any more."""


class Page(msgspec.Struct):
    """One page of a window; ``last_refreshed_datetime`` is up to when PayPal has all transactions."""

    transaction_details: list[msgspec.Raw] = []
    total_items: int | None = None
    total_pages: int | None = None
    account_number: str | None = None
    last_refreshed_datetime: str | None = None


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = 0


_PAGE: Final = msgspec.json.Decoder(Page)
_TOKEN: Final = msgspec.json.Decoder(_Token)


class _Bearer(AuthBase):
    """Signs with the token that holds at that moment."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token()}"
        return r


class PayPalClient:
    """The reporting API of one account.

    The token is fetched when first needed, kept until shortly before it expires, and fetched anew when PayPal refuses
    it.
    """

    def __init__(self, gateway: Gateway) -> None:
        common: dict[str, Any] = {
            "requests_per_second": gateway.requests_per_second,
            "timeout": gateway.timeout_seconds,
            "retries": gateway.retries,
        }
        basic = HTTPBasicAuth(gateway.secret("client_id"), gateway.secret("client_secret"))
        self._login = HttpClient(gateway.base_url, auth=basic, **common)
        self._http = HttpClient(gateway.base_url, auth=_Bearer(self._current_token), **common)
        self._retries = gateway.retries
        self._token: str | None = None
        self._expires_at = 0.0

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``/v1/reporting``.

        Raises:
            TooManyTransactionsError: RESULTSET_TOO_LARGE.
            NotAvailableError: there is no data for the start date.
            HttpStatusError: any other refusal.
        """
        for attempt in (1, 2):
            try:
                return self._http.get(f"v1/reporting/{path}", params)
            except HttpStatusError as error:
                if error.status == HTTPStatus.UNAUTHORIZED and attempt == 1:
                    self._token = None  # PayPal may withdraw a token before it expires.
                    continue
                if any(words in error.body for words in _TOO_LARGE):
                    raise TooManyTransactionsError(str(error)) from error
                if _NOT_AVAILABLE in error.body:
                    raise NotAvailableError(str(error)) from error
                raise
        raise AssertionError("unreachable: the second attempt returns or raises")

    def pages(self, start: datetime, end: datetime) -> Iterator[tuple[Page, str]]:
        """The balance-affecting transactions begun between two moments (both included), as (page, origin).

        Only those: the same list with all records holds some transactions twice under one id, once with and once
        without effect on the balance, and nothing in them says which is which.

        Raises:
            UnexpectedAnswerError: the answer is no list, or lacks pages that it announced.
        """
        number, pages = 1, 0
        while True:
            params = {
                "start_date": rfc3339(start),
                "end_date": rfc3339(end),
                "fields": "all",
                "balance_affecting_records_only": "Y",
                "page_size": _PAGE_SIZE,
                "page": number,
            }
            response = self.get("transactions", params)
            origin = f"transactions {params['start_date']} to {params['end_date']}, page {number}"
            try:
                page = _PAGE.decode(response.content)
            except msgspec.MsgspecError as error:
                raise UnexpectedAnswerError(f"{origin}: PayPal did not answer with a list: {error}") from error
            if number > 1 and not page.transaction_details:
                raise UnexpectedAnswerError(f"{origin} of {pages} is empty")
            yield page, origin
            pages = max(pages, page.total_pages or 0)
            if number >= pages:
                return
            number += 1

    def close(self) -> None:
        """Give the connections back."""
        self._login.close()
        self._http.close()

    def _current_token(self) -> str:
        if self._token is None or time.monotonic() >= self._expires_at:
            asked_at = time.monotonic()
            answer = self._new_token()
            try:
                token = _TOKEN.decode(answer.content)
            except msgspec.MsgspecError as error:
                raise UnexpectedAnswerError(f"POST v1/oauth2/token did not answer with a token: {error}") from error
            self._token = token.access_token
            self._expires_at = asked_at + max(token.expires_in - _SECONDS_BEFORE_EXPIRY, 1)
        return self._token

    def _new_token(self) -> Response:
        """Asking for a token changes nothing, so it may be repeated like a GET."""
        for attempt in range(self._retries + 1):
            wait = min(2.0**attempt / 2, _LONGEST_WAIT_SECONDS)
            try:
                return self._login.request(
                    "POST",
                    "v1/oauth2/token",
                    data=b"grant_type=client_credentials",
                    headers={"Content-Type": "application/x-www-form-urlencoded"},
                )
            except HttpStatusError as error:
                if error.status not in _PASSING_TROUBLE or attempt == self._retries:
                    raise
                after = error.headers.get("Retry-After", "")
                wait = min(float(after), _LONGEST_WAIT_SECONDS) if after.isdigit() else wait
            except HttpUnavailableError:
                if attempt == self._retries:
                    raise
            time.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")


def rfc3339(moment: datetime) -> str:
    """The form PayPal wants: seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_rfc3339(text: str | None) -> datetime | None:
    """``2026-01-06T00:00:30+0000`` (as PayPal writes it, or with a colon or Z) in UTC; None if it is no such time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None
