"""The one HTTP client, against a real server on loopback."""

import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth1
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from retail_assets import http as http_module
from retail_assets.http import (
    EndlessAnswerError,
    ForeignHostError,
    HttpClient,
    HttpError,
    HttpStatusError,
    HttpUnavailableError,
    Traffic,
    fetch_ordered,
)
from tests.support.server import running

CANARY = "canary-7f3a91"


@dataclass
class Recorder:
    """A server whose answers a test prescribes path by path; it keeps every request."""

    answers: dict[str, list[Response]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def app(self) -> Starlette:
        async def answer(request: Request) -> Response:
            body = await request.body()
            self.requests.append((request.method, request.url.path, dict(request.headers), body))
            queue = self.answers.get(request.url.path, [])
            return (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else PlainTextResponse("fine")

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "HEAD", "POST", "PUT"])])

    @property
    def count(self) -> Counter[tuple[str, str]]:
        return Counter((method, path) for method, path, *_ in self.requests)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[tuple[Recorder, str]]:
    """One server for the module, since starting and stopping takes longer than a test."""
    recorder = Recorder()
    with running(recorder.app()) as url:
        yield recorder, url


@pytest.fixture(autouse=True)
def forgotten_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotas are the process's: a test must not wait for what an earlier one sent."""
    monkeypatch.setattr(http_module, "_QUOTAS", {})


@pytest.fixture
def server(shared_server: tuple[Recorder, str]) -> tuple[Recorder, str]:
    """A recording server that knows nothing of earlier tests, and its address."""
    recorder, _ = shared_server
    recorder.answers.clear()
    recorder.requests.clear()
    return shared_server


@contextmanager
def client(url: str, **options: object) -> Iterator[HttpClient]:
    """A client that is closed afterwards."""
    made = HttpClient(url, **options)  # pyright: ignore[reportArgumentType]
    try:
        yield made
    finally:
        made.close()


@contextmanager
def raw_server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends exactly these bytes, one connection each, and closes: what no framework would send."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            for answer in answers:
                while True:
                    try:
                        connection, _ = listener.accept()
                        break
                    except TimeoutError:
                        if over.is_set():
                            return
                with connection:
                    connection.settimeout(5)
                    received.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
        finally:
            over.set()
            thread.join(timeout=10)
            assert not thread.is_alive()


TRUNCATED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n[1, 2"
COMPLETE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n[1, 2]"


def test_too_many_requests_waits_as_long_as_told(server: tuple[Recorder, str]) -> None:
    """A quota answer failed the load, or was repeated at once until the store blocked us."""
    recorder, url = server
    recorder.answers["/orders"] = [Response(status_code=429, headers={"Retry-After": "1"}), PlainTextResponse("ok")]
    with client(url) as http:
        started = time.monotonic()
        assert http.get("orders").text == "ok"
        assert time.monotonic() - started >= 1
    assert recorder.count["GET", "/orders"] == 2


def test_a_server_error_is_read_again(server: tuple[Recorder, str]) -> None:
    """One 503 of a store that restarts stopped a load of hours."""
    recorder, url = server
    recorder.answers["/orders"] = [Response(status_code=503), PlainTextResponse("ok")]
    with client(url) as http:
        assert http.get("orders").text == "ok"


def test_each_attempt_is_signed_anew(server: tuple[Recorder, str]) -> None:
    """WooCommerce took the retry after a 502 for a replay: 401, nonce has already been used, and the load was over."""
    recorder, url = server
    recorder.answers["/orders"] = [Response(status_code=502), Response(status_code=504), PlainTextResponse("ok")]
    with client(url, auth=OAuth1("ck", "cs", signature_type="auth_header")) as http:
        assert http.get("orders").text == "ok"
        assert http.requests == 3
    signatures = [headers["authorization"] for _, _, headers, _ in recorder.requests]
    assert len(set(signatures)) == 3
    assert all(signature.count("oauth_nonce=") == 1 for signature in signatures)


def test_signed_requests_end_as_others_do(server: tuple[Recorder, str]) -> None:
    """A store with a signature was asked for ever, or a write with one was sent twice."""
    recorder, url = server
    recorder.answers["/orders"] = [PlainTextResponse("down", 503)]
    with client(url, retries=1, auth=HTTPBasicAuth("ck", "cs")) as http:
        for method, sent in (("GET", 2), ("POST", 1)):
            with pytest.raises(HttpStatusError, match="HTTP 503"):
                http.request(method, "orders")
            assert recorder.count[method, "/orders"] == sent
    nobody = "http://127.0.0.1:9"
    with client(nobody, retries=1, auth=HTTPBasicAuth("ck", "cs")) as http, pytest.raises(HttpUnavailableError):
        http.get("orders")


def test_retries_end(server: tuple[Recorder, str]) -> None:
    """A store that stays down was asked for ever, or its last answer passed for a good one."""
    recorder, url = server
    recorder.answers["/orders"] = [PlainTextResponse("down for maintenance", 503)]
    with client(url, retries=1) as http, pytest.raises(HttpStatusError, match="HTTP 503") as caught:
        http.get("orders")
    assert caught.value.status == 503
    assert recorder.count["GET", "/orders"] == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_are_not_repeated(server: tuple[Recorder, str], status: int) -> None:
    """A wrong key was tried over and over: firewalls lock such clients out."""
    recorder, url = server
    recorder.answers["/orders"] = [PlainTextResponse("no", status)]
    with client(url) as http, pytest.raises(HttpStatusError) as caught:
        http.get("orders")
    assert caught.value.status == status
    assert len(recorder.requests) == 1


def test_a_truncated_body_is_read_again() -> None:
    """A page whose connection broke off was taken for the whole page, and its tail of orders never loaded."""
    with raw_server(TRUNCATED, COMPLETE) as (url, received), client(url) as http:
        assert http.get("orders").json() == [1, 2]
    assert len(received) == 2


def test_a_body_that_stays_truncated_is_an_error() -> None:
    """After the last retry the incomplete page was loaded after all."""
    with (
        raw_server(TRUNCATED, TRUNCATED) as (url, _),
        client(url, retries=1) as http,
        pytest.raises(HttpUnavailableError, match="broke off 2 times"),
    ):
        http.get("orders")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_write_is_sent_once(server: tuple[Recorder, str], method: str) -> None:
    """A journal entry was posted again after a time-out or 503 although the first one had been booked."""
    recorder, url = server
    recorder.answers["/journal"] = [PlainTextResponse("?", 503, headers={"Retry-After": "0"})]
    with client(url) as http, pytest.raises(HttpStatusError):
        http.request(method, "journal", data=b"{}")
    assert recorder.count == {(method, "/journal"): 1}


@pytest.mark.parametrize(
    "answer", [TRUNCATED, b"", b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"]
)
def test_a_write_without_an_answer_is_sent_once(answer: bytes) -> None:
    """The connection broke after the ERP had committed, and the entry was sent a second time."""
    with raw_server(answer, COMPLETE) as (url, received), client(url) as http, pytest.raises(HttpError):
        http.request("POST", "journal", data=b"{}")
    assert len(received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_to_another_host_are_refused(server: tuple[Recorder, str], status: int) -> None:
    """A redirect carried the consumer secret to whoever the store pointed at."""
    recorder, url = server
    with running((thief := Recorder()).app()) as elsewhere:
        target = f"{elsewhere}/orders?token={CANARY}"
        recorder.answers["/orders"] = [Response(status_code=status, headers={"Location": target})]
        with (
            client(url, auth=HTTPBasicAuth("key", CANARY)) as http,
            pytest.raises(ForeignHostError, match="base_url") as caught,
        ):
            http.get("orders")
    assert not thief.requests
    assert CANARY not in str(caught.value)


def test_links_to_another_host_are_refused(server: tuple[Recorder, str]) -> None:
    """A next-link of a page led the client, and its key, to another host."""
    recorder, url = server
    port = url.rsplit(":", 1)[1]
    with client(url, auth=HTTPBasicAuth("key", CANARY)) as http:
        for link in (
            "http://127.0.0.1:1/orders?page=2",
            "https://evil.example/orders?page=2",
            f"https://127.0.0.1:{port}/orders",
            f"http://127.0.0.1:{port}@evil.example/orders",
            f"http://localhost:{port}/orders",
            f"http://127.0.0.1:{port}0/orders",
            f"http://127.0.0.1:{port}.evil.example/orders",
        ):
            with pytest.raises(ForeignHostError):
                http.get(link)
        assert http.get(f"{url}/orders?page=2").text == "fine"
        assert http.get("//evil.example/orders").text == "fine"
    assert [path for _, path, *_ in recorder.requests] == ["/orders", "/evil.example/orders"]


def test_errors_hold_no_secret(server: tuple[Recorder, str]) -> None:
    """The signed query of a failed request, or the key itself, appeared in a log."""
    recorder, url = server
    recorder.answers["/orders"] = [PlainTextResponse("no", 401)]
    messages = []
    with client(url, auth=HTTPBasicAuth("key", CANARY), headers={"X-Token": CANARY}, retries=0) as http:
        for path in ("orders", f"orders?consumer_secret={CANARY}", f"{url}/orders?oauth_signature={CANARY}"):
            with pytest.raises(HttpStatusError) as refused:
                http.request("GET", path, params={"consumer_secret": CANARY})
            messages += [str(refused.value), repr(refused.value), refused.value.url]
    with client("http://127.0.0.1:9", retries=0) as http, pytest.raises(HttpUnavailableError) as lost:
        http.get("orders", {"consumer_secret": CANARY})
    with raw_server(TRUNCATED) as (raw_url, _), client(raw_url, retries=0) as http, pytest.raises(HttpError) as broken:
        http.get("orders", {"consumer_secret": CANARY})
    with client("https://shop.example", retries=0) as http, pytest.raises(ForeignHostError) as foreign:
        http.get(f"https://evil.example/?consumer_secret={CANARY}")
    messages += [str(error.value) for error in (lost, broken, foreign)]
    assert not [message for message in messages if CANARY in message]
    assert all("/orders" in message or "evil.example" in message for message in messages)


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_has_a_largest_size(
    server: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """A store that was taken over answered without end, or a kilobyte unpacked to a gigabyte: the memory was full."""
    recorder, url = server
    monkeypatch.setattr(http_module, "_MOST_BYTES", 1 << 20)
    body = gzip.compress(b"x" * (8 << 20)) if packed else b"x" * (2 << 20)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    recorder.answers["/orders"] = [Response(body, headers=headers)]
    recorder.answers["/page"] = [Response(gzip.compress(b"page"), headers={"Content-Encoding": "gzip"})]
    with client(url) as http:
        with pytest.raises(EndlessAnswerError, match="1 MB"):
            http.get("orders")
        assert http.get("page").text == "page"
    assert recorder.count["GET", "/orders"] == 1


def test_an_answer_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte came in time, and the load lasted for ever."""
    monkeypatch.setattr(http_module, "_LONGEST_ANSWER_SECONDS", 0)
    with (
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine") as (url, _),
        client(url, retries=0) as http,
        pytest.raises(EndlessAnswerError, match="0 seconds"),
    ):
        http.get("orders")


@pytest.mark.parametrize("auth", [None, HTTPBasicAuth("ck", "cs")])
@pytest.mark.parametrize("retries", [0, 1])
def test_connection_refused_says_so(auth: HTTPBasicAuth | None, retries: int) -> None:
    """A store that is down ended the load with a library's stack trace, or with "too many error responses"."""
    with (
        client("http://127.0.0.1:9", retries=retries, auth=auth) as http,
        pytest.raises(HttpUnavailableError, match="Connection refused"),
    ):
        http.get("orders")


def test_no_answer_in_time_is_unavailable() -> None:
    """A store that accepts and then says nothing held the load for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with client(url, timeout=0.2, retries=0) as http, pytest.raises(HttpUnavailableError, match="no answer"):
            http.get("orders")


def test_the_rate_limit_holds(server: tuple[Recorder, str]) -> None:
    """The configured quota was ignored, and the store's firewall shut us out."""
    recorder, url = server
    with client(url, requests_per_second=5) as http:
        started = time.monotonic()
        while time.monotonic() - started < 1.2:
            http.get("orders")
    assert 1 <= len(recorder.requests) <= 2 * 5 * 1.2


@pytest.mark.parametrize("limit", [0.5, 2.5, 1000])
def test_every_rate_that_settings_allow_works(server: tuple[Recorder, str], limit: float) -> None:
    """A limit below one request a second, which settings accept, broke the limiter."""
    recorder, url = server
    with client(url, requests_per_second=limit) as http:
        assert http.get("orders").text == "fine"
    assert len(recorder.requests) == 1


def test_two_clients_of_a_host_share_its_quota(server: tuple[Recorder, str]) -> None:
    """Two instances on one host each kept the quota, and together sent twice as much as it allows."""
    recorder, url = server
    with client(url, requests_per_second=4) as first, client(url, requests_per_second=50) as second:
        started = time.monotonic()
        for _ in range(4):
            first.get("orders")
            second.get("orders")
        assert time.monotonic() - started >= 1
    assert len(recorder.requests) == 8


def test_threads_share_the_quota(server: tuple[Recorder, str]) -> None:
    """With several requests under way at once each thread kept a rate of its own."""
    _, url = server
    with client(url, requests_per_second=4) as http:
        started = time.monotonic()
        assert len(list(fetch_ordered(http, [("orders", None)] * 9, workers=4))) == 9
        assert time.monotonic() - started >= 2


def test_a_host_that_asks_for_rest_gets_it_from_all(server: tuple[Recorder, str]) -> None:
    """One client honoured Retry-After while the others of the same host went on asking."""
    recorder, url = server
    recorder.answers["/busy"] = [Response(status_code=429, headers={"Retry-After": "1"}), PlainTextResponse("ok")]
    with client(url) as first, client(url) as second:
        asking = threading.Thread(target=first.get, args=("busy",))
        asking.start()
        while not recorder.requests:
            time.sleep(0.01)
        time.sleep(0.1)
        started = time.monotonic()
        second.get("orders")
        assert time.monotonic() - started >= 0.5
        asking.join()


def test_answers_come_in_order(server: tuple[Recorder, str]) -> None:
    """Pages that were fetched at once were loaded as they came, and the walk's checkpoint passed the missing ones."""
    recorder, url = server
    for number in range(20):
        recorder.answers[f"/{number}"] = [PlainTextResponse(str(number))]
    taken: list[int] = []

    def wanted() -> Iterator[tuple[str, None]]:
        for number in range(20):
            assert number - len(taken) <= 4, "requests run far ahead of whoever takes the answers"
            yield str(number), None

    with client(url) as http:
        for answer in fetch_ordered(http, wanted(), workers=3):
            taken.append(int(answer.text))
    assert taken == list(range(20))


def test_a_failed_answer_ends_the_rest(server: tuple[Recorder, str]) -> None:
    """A page that failed in another thread was left out without a word."""
    recorder, url = server
    recorder.answers["/3"] = [PlainTextResponse("no", 403)]
    with client(url) as http:
        answers = fetch_ordered(http, ((str(number), None) for number in range(100)), workers=2)
        assert [next(answers).text for _ in range(3)] == ["fine"] * 3
        with pytest.raises(HttpStatusError, match="/3"):
            next(answers)
    assert len(recorder.requests) <= 7


def test_requests_are_counted_with_their_retries(server: tuple[Recorder, str]) -> None:
    """What a load costs the store's quota was not known: retries were left out."""
    recorder, url = server
    recorder.answers["/orders"] = [Response(status_code=503), PlainTextResponse("ok")]
    traffic = Traffic()
    with traffic.watching(), client(url) as http:
        http.get("orders")
        http.get("refunds")
        assert http.requests == traffic.requests == len(recorder.requests) == 3
    with client(url) as other:
        other.get("orders")
    assert traffic.requests == 3


def test_netrc_does_not_replace_the_key(
    server: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A netrc entry of the machine replaced the Authorization header that the caller had set."""
    recorder, url = server
    netrc = tmp_path_factory.mktemp("netrc") / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr("retail_assets.http._LOOPBACK", frozenset())  # as if it were a host on the network
    with client(url, headers={"Authorization": "Bearer ours"}) as http:
        http.get("orders")
    assert recorder.requests[0][2]["authorization"] == "Bearer ours"


def test_a_proxy_of_the_environment_does_not_see_loopback(
    server: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests to a service on this machine, key included, went through the company's proxy."""
    recorder, url = server
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with client(url, retries=0) as http:
        assert http.get("orders").text == "fine"
    assert len(recorder.requests) == 1
