"""The intake's promises with a Postgres operations store; what it refuses depends on no database."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from benchmarks.intake import killed
from retail_assets.ops import inbox
from retail_assets.ops.inbox import NewEvent, identity
from retail_assets.ops.store import open_store, writing
from tests.webhooks.service import BODY, NOW, RunningIntake, running_intake


@pytest.fixture(scope="module")
def intake(postgres: Callable[..., str]) -> Iterator[RunningIntake]:
    """An intake with its inbox on Postgres."""
    with running_intake(postgres()) as intake:
        yield intake


def test_an_event_is_there_once_when_it_is_acknowledged(intake: RunningIntake) -> None:
    """Its bytes, or that it came before, were kept by SQLite only; and in one transaction a repeat broke the others."""
    assert [intake.send().status_code for _ in range(2)] == [200, 200]
    (waiting,) = inbox.unsorted(intake.engine, limit=10)
    assert (waiting.body, waiting.received_at) == (BODY, NOW)
    others = [threading.Thread(target=intake.send, args=(b"another",)) for _ in range(8)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert sorted(event["state"] for event in intake.events()) == ["received", "received"]


def test_a_store_that_stands_still_is_given_up_in_time(intake: RunningIntake) -> None:
    """Postgres waits for a lock for ever, and every sender with it; SQLite gives up by itself."""
    with intake.engine.connect() as holder:
        holder.execute(text("lock table webhook_inbox in access exclusive mode"))
        started = time.monotonic()
        answer = intake.send(b"held up")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert time.monotonic() - started < 15
    assert intake.send(b"held up").status_code == 200


def test_two_intakes_never_wait_for_each_other(postgres: Callable[..., str]) -> None:
    """Both got the same storm in another order: each waited for the other's event, and one transaction was lost."""
    url = postgres()
    failures: list[Exception] = []
    together = threading.Barrier(2)

    def put(backwards: bool) -> None:
        engine = open_store(url)
        try:
            for number in range(15):
                events = [_event(b"%d %d" % (number, each)) for each in range(60)]
                together.wait(20)
                with writing(engine) as connection:
                    inbox.put(connection, events[::-1] if backwards else events)
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=put, args=(backwards,)) for backwards in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_was_acknowledged_outlives_the_process(postgres: Callable[..., str]) -> None:
    """It was acknowledged before the server had it, and lost with the process."""
    acked, missing = killed(1, postgres())
    assert acked > 10
    assert missing == 0


def _event(body: bytes) -> NewEvent:
    digest = hashlib.sha256(body)
    name = identity("cedar_us", None, digest.digest())
    return NewEvent("cedar_us", name, None, digest.hexdigest(), "order.updated", NOW, "0" * 32, body)
