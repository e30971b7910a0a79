"""Group commit: one thread writes down what all requests wait for, many events in a transaction."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from retail_assets.ops.inbox import NewEvent

#: Events of one transaction; what comes meanwhile makes the next.
_MOST_TOGETHER: Final = 256


@dataclass(slots=True, eq=False)
class Lane:
    """The events of one source that wait to be written down."""

    waiting: deque[tuple[NewEvent, asyncio.Future[bool]]] = field(default_factory=deque)


class Writer:
    """Writes events down in turns: as many lanes as there are get the same share of a transaction.

    Args:
        commit: makes events durable, all or none; it is called in the writer's own thread.
        committed: told of every transaction, with whether it held and the error if not.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[NewEvent]], None],
        committed: Callable[[Sequence[NewEvent], Exception | None], None],
    ) -> None:
        self._commit = commit
        self._committed = committed
        self._lanes: list[Lane] = []
        self._ready = threading.Condition(threading.Lock())
        self._waiting = 0
        self._is_idle = False
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)

    @property
    def waiting(self) -> int:
        """Events that wait to be written down."""
        return self._waiting

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def lane(self) -> Lane:
        """A lane of its own; to be asked for before the start."""
        lane = Lane()
        self._lanes.append(lane)
        return lane

    def start(self) -> None:
        """Start the thread; called in the event loop that the requests run in."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Write down what waits and end the thread."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join()

    def write(self, lane: Lane, event: NewEvent) -> "asyncio.Future[bool]":
        """Have an event written down; the future tells whether it is durable."""
        assert self._loop is not None
        settled: asyncio.Future[bool] = self._loop.create_future()
        with self._ready:
            lane.waiting.append((event, settled))
            self._waiting += 1
            if self._is_idle:
                self._ready.notify()
        return settled

    def _run(self) -> None:
        assert self._loop is not None
        while batch := self._next():
            events = [event for event, _ in batch]
            failure: Exception | None = None
            try:
                self._commit(events)
            except Exception as error:  # noqa: BLE001 - told to whoever watches, and the senders are asked to come again
                failure = error
            self._loop.call_soon_threadsafe(_settle, batch, failure is None)
            self._committed(events, failure)

    def _next(self) -> "list[tuple[NewEvent, asyncio.Future[bool]]]":
        """The next transaction: one event of each lane in turn; empty when the thread is to end."""
        with self._ready:
            while not self._waiting and not self._stopping:
                self._is_idle = True
                self._ready.wait()
            self._is_idle = False
            batch: list[tuple[NewEvent, asyncio.Future[bool]]] = []
            lanes = [lane.waiting for lane in self._lanes if lane.waiting]
            while lanes and len(batch) < _MOST_TOGETHER:
                for lane in lanes:
                    batch.append(lane.popleft())
                lanes = [lane for lane in lanes if lane]
            self._waiting -= len(batch)
            return batch


def _settle(batch: "list[tuple[NewEvent, asyncio.Future[bool]]]", is_durable: bool) -> None:
    for _, settled in batch:
        # Of a sender that has gone meanwhile the future is cancelled.
        if not settled.done():
            settled.set_result(is_durable)
