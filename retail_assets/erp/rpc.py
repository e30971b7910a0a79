"""POST requests that only read: unlike others they may be sent again."""

import random
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import requests

from retail_assets.http import HttpClient, HttpStatusError, HttpUnavailableError

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 60.0
_LONGEST_RETRY_AFTER_SECONDS: Final = 600.0


def post(
    client: HttpClient, path: str, body: Any, *, retries: int, headers: Mapping[str, str], is_login: bool = False
) -> requests.Response:
    """Send a call that changes nothing, again after a lost answer, 429 or 5xx, or as ``Retry-After`` says.

    Args:
        is_login: a 429 that does not say when to come back is a block after wrong passwords: asking again prolongs it.

    Raises:
        HttpStatusError, HttpUnavailableError: as of the last attempt.
    """
    for attempt in range(retries + 1):
        try:
            return client.request("POST", path, json=body, headers=headers)
        except HttpUnavailableError:
            if attempt == retries:
                raise
            wait = _growing(attempt)
        except HttpStatusError as error:
            if attempt == retries or error.status not in _RETRIED:
                raise
            asked = error.retry_after
            if is_login and error.status == HTTPStatus.TOO_MANY_REQUESTS and asked is None:
                raise
            wait = min(asked or _growing(attempt), _LONGEST_RETRY_AFTER_SECONDS)
        time.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _growing(attempt: int) -> float:
    wait = _FIRST_WAIT_SECONDS * 2**attempt * (1 + random.random() / 2)  # noqa: S311 - jitter, no secret
    return min(wait, _LONGEST_WAIT_SECONDS)
