"""The one HTTP client of sources and posters: retries, rate limits, and credentials that stay with their host."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import MaxRetryError
from urllib3.util.retry import Retry

#: Methods that change nothing and may therefore be sent again without a look-up.
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_RETRIED_STATUSES: Final = (408, 425, 429, 500, 502, 503, 504)
_RETRIES: Final = 5
_LONGEST_WAIT_SECONDS: Final = 60
_LONGEST_RETRY_AFTER_SECONDS: Final = 600
_CONNECT_TIMEOUT_SECONDS: Final = 10.0
_MOST_CONNECTIONS: Final = 16
#: Of one answer, unpacked; a page of a hundred orders has less than a megabyte.
_MOST_BYTES: Final = 256 << 20
#: From the first byte to the last: a server that drips would hold a load for ever, as each drip comes in time.
_LONGEST_ANSWER_SECONDS: Final = 1800
_READ_BYTES: Final = 1 << 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class HttpError(Exception):
    """A request failed for good; the message names the address without its query, since that may hold credentials."""


class HttpUnavailableError(HttpError):
    """No complete answer, after all retries: connection refused or lost, time-out, truncated body."""


class HttpStatusError(HttpError):
    """The server answered with a status of 400 or more, to a safe request even after all retries."""

    def __init__(self, status: int, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status} from {url}: {body[:300].decode('utf-8', 'replace')}")
        self.status = status
        self.url = url
        self.body = body
        self.headers = headers

    @property
    def retry_after(self) -> float | None:
        """How many seconds the server asked to be left alone, if it said so."""
        seconds = self.headers.get("Retry-After", "")
        return float(seconds) if seconds.isascii() and seconds.isdecimal() else None


class EndlessAnswerError(HttpError):
    """An answer is larger, or takes longer, than any that is meant for us."""


class ForeignHostError(HttpError):
    """A link or redirect led to another host than the configured one."""


@dataclass(slots=True)
class Traffic:
    """Counts the requests of every client that is made while it is watching, retries included."""

    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the clients that are made within."""
        token = _TRAFFIC.set(self)
        try:
            yield
        finally:
            _TRAFFIC.reset(token)

    def add(self, requests: int) -> None:
        """Count requests, from any thread."""
        with self._lock:
            self.requests += requests


_TRAFFIC: Final[ContextVar[Traffic | None]] = ContextVar("traffic", default=None)


class HostQuota:
    """How often one host may be asked, by all clients and threads of this process together.

    The lowest rate that any client of the host declares holds for all. A host that answered with ``Retry-After`` is
    left alone for that long by all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rate: Fraction | None = None
        self._sent: deque[float] = deque(maxlen=1)
        self._rests_until = 0.0

    def tighten(self, per_second: float) -> None:
        """Allow no more than ``per_second`` requests a second, below one included."""
        rate = Fraction(per_second).limit_denominator(1000)
        with self._lock:
            if self._rate is None or rate < self._rate:
                self._rate = rate
                # 5/2 a second are five in any two seconds: bursts are fine, more than that in the window is not.
                self._sent = deque(self._sent, maxlen=rate.numerator)

    def rest(self, seconds: float) -> None:
        """Send nothing for so long."""
        with self._lock:
            self._rests_until = max(self._rests_until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._rests_until)
            if self._rate is not None:
                if len(self._sent) == self._rate.numerator:
                    turn = max(turn, self._sent[0] + self._rate.denominator)
                self._sent.append(turn)
        if turn > now:
            time.sleep(turn - now)


_QUOTAS: Final[dict[str, HostQuota]] = {}
_QUOTAS_LOCK: Final = threading.Lock()


def _quota_of(base_url: str) -> HostQuota:
    parts = urlsplit(base_url)
    host = parts.netloc.lower()
    if parts.hostname in _LOOPBACK:
        # The simulated retailer serves many hosts from one: each has the first part of the path to itself.
        host += "/" + parts.path.lstrip("/").partition("/")[0]
    with _QUOTAS_LOCK:
        return _QUOTAS.setdefault(host, HostQuota())


class _ConsiderateRetry(Retry):
    """Retries that keep the host's other clients waiting as well when it says ``Retry-After``."""

    quota: ClassVar[HostQuota]

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        seconds = self.get_retry_after(response)
        if seconds:
            self.quota.rest(seconds)
        return super().sleep_for_retry(response)


class _SigningAdapter(HTTPAdapter):
    """Retries by the same rules, each attempt signed anew.

    WooCommerce remembers the nonces of OAuth's signatures and refuses a request that it has seen before, also one that
    it failed to answer.
    """

    def __init__(self, auth: AuthBase, retry: Retry) -> None:
        super().__init__(pool_maxsize=_MOST_CONNECTIONS)
        self._auth = auth
        self._retry = retry

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        retry = self._retry
        while True:
            try:
                response = super().send(self._auth(request.copy()), *arguments, **named)
            except (requests.ConnectionError, requests.Timeout):
                if request.method not in _SAFE_METHODS or not retry.total:
                    raise
                retry = retry.increment(request.method, request.url)
                retry.sleep()
                continue
            raw: BaseHTTPResponse = response.raw
            raw.retries = retry
            if not retry.is_retry(request.method or "", response.status_code, "Retry-After" in response.headers):
                return response
            try:
                retry = retry.increment(request.method, request.url, response=raw)
            except MaxRetryError:
                return response
            raw.drain_conn()
            retry.sleep(raw)


class HttpClient:
    """A client bound to one base URL; credentials never leave its host.

    Safe requests (GET, HEAD) are retried on connection errors, 429 and 5xx with growing, jittered waits, or as long as
    ``Retry-After`` says. Anything else is sent exactly once: whether to send it again is the caller's decision.

    Args:
        base_url: address every path is appended to.
        headers: sent with each request.
        auth: signs each request.
        requests_per_second: client-side limit, shared with all clients of the same host; None for none.
        timeout: seconds to wait for an answer.
        retries: how often a safe request is sent again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        requests_per_second: float | None = None,
        timeout: float = 60,
        retries: int = _RETRIES,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._origin = _origin(self.base_url)
        self._timeout = (_CONNECT_TIMEOUT_SECONDS, timeout)
        self._requests = 0
        self._traffic = _TRAFFIC.get()
        self._lock = threading.Lock()
        self._quota = _quota_of(self.base_url)
        if requests_per_second:
            self._quota.tighten(requests_per_second)
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": "retail-assets", "Accept": "application/json", **(headers or {})})
        # Without an auth of its own, requests would let a netrc entry replace the Authorization header; signing is the
        # adapter's.
        self._session.auth = _unchanged
        # A proxy or netrc entry of the environment must not see, or replace, a store's credentials on loopback.
        self._session.trust_env = urlsplit(self.base_url).hostname not in _LOOPBACK
        retry = type("Retry", (_ConsiderateRetry,), {"quota": self._quota})(
            total=retries,
            allowed_methods=_SAFE_METHODS,
            status_forcelist=_RETRIED_STATUSES,
            backoff_factor=0.5,
            backoff_max=_LONGEST_WAIT_SECONDS,
            backoff_jitter=0.5,
            retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
            respect_retry_after_header=True,
            raise_on_status=False,
        )
        adapter = (
            _SigningAdapter(auth, retry) if auth else HTTPAdapter(max_retries=retry, pool_maxsize=_MOST_CONNECTIONS)
        )
        # Other hosts are refused before anything is sent; an own spelling of the host (IDN) must not lose the retries.
        self._session.mount(f"{urlsplit(self.base_url).scheme}://", adapter)
        self._retries = retries

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request and return the complete answer.

        Args:
            path: appended to the base URL, or an absolute URL on the same host.

        Raises:
            HttpStatusError: the server refused it.
            HttpUnavailableError: there was no complete answer.
            EndlessAnswerError: it does not come to an end.
            ForeignHostError: the URL, or a redirect, leads to another host.
        """
        url = path if "://" in path else f"{self.base_url}/{path.lstrip('/')}"
        self._require_own_host(url)
        where = f"{method} {url.split('?', 1)[0]}"
        response = self._send(
            method,
            url,
            where,
            params=dict(params) if params else None,
            json=json,
            data=data,
            headers=dict(headers) if headers else None,
        )
        if response.is_redirect:
            raise ForeignHostError(
                f"{where} redirects to {response.headers['Location'].split('?', 1)[0]}: "
                "put the final address into base_url"
            )
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise HttpStatusError(response.status_code, where, response.content, response.headers)
        return response

    def _send(self, method: str, url: str, where: str, **arguments: Any) -> requests.Response:
        # urllib3 retries up to the headers; an answer whose body breaks off is ours to ask for again.
        attempts = self._retries + 1 if method in _SAFE_METHODS else 1
        for attempt in range(1, attempts + 1):
            self._quota.wait()
            retried = 0
            try:
                response = self._session.request(
                    method, url, timeout=self._timeout, allow_redirects=False, stream=True, **arguments
                )
                history = getattr(response.raw, "retries", None)
                retried = len(history.history) if history is not None else 0
                # What requests itself would put there, had it a limit.
                response._content = _whole(response, where)
                return response
            except (ChunkedEncodingError, ContentDecodingError) as error:
                if attempt == attempts:
                    raise HttpUnavailableError(
                        f"{where}: the answer broke off {attempts} times: {_cause(error)}"
                    ) from None
            except requests.RequestException as error:
                # Without its cause: that one's text repeats the address with its query, and so the keys in it.
                raise HttpUnavailableError(f"no answer from {where}: {_cause(error)}") from None
            finally:
                self._count(1 + retried)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> requests.Response:
        """``request("GET", …)``."""
        return self.request("GET", path, params=params)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries included."""
        return self._requests

    def _count(self, requests: int) -> None:
        with self._lock:
            self._requests += requests
        if self._traffic is not None:
            self._traffic.add(requests)

    def _require_own_host(self, url: str) -> None:
        if _origin(url) != self._origin:
            raise ForeignHostError(
                f"{url.split('?', 1)[0]} is not on {self._origin}, the host of the configured base_url"
            )


def fetch_ordered(
    client: HttpClient, wanted: Iterable[tuple[str, Mapping[str, Any] | None]], *, workers: int = 2
) -> Iterator[requests.Response]:
    """Answers to GETs in the order in which they were wanted, several under way at once.

    Only for an API that bears it. The host's rate limit holds for all of them together. An answer that failed raises
    when it is its turn; those behind it are given up.

    Args:
        wanted: (path, params) of each request; taken from as answers are, so it may be long.
        workers: requests under way at once, and answers waiting to be taken, at most.
    """
    waiting: deque[Future[requests.Response]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
    try:
        for path, params in wanted:
            waiting.append(pool.submit(client.get, path, params))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _whole(response: requests.Response, where: str) -> bytes:
    """The body of an answer, as far as it comes to an end."""
    deadline = time.monotonic() + _LONGEST_ANSWER_SECONDS
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(_READ_BYTES):
        size += len(piece)
        if size > _MOST_BYTES or time.monotonic() > deadline:
            response.close()
            limit = f"{_MOST_BYTES >> 20} MB" if size > _MOST_BYTES else f"{_LONGEST_ANSWER_SECONDS} seconds"
            raise EndlessAnswerError(f"{where}: the answer is not over after {limit}")
        pieces.append(piece)
    return b"".join(pieces)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/".lower()


def _cause(error: BaseException) -> str:
    """The innermost reason in words; the outer ones repeat the URL with its query."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {str(error).split('?', 1)[0]}"
