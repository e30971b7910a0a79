"""Work that is done while its last result is used: Arrow, hashes and files leave the other core free for it."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeVar

# Each of Arrow's many short calls gives the interpreter away, and gets it back only after this long from a thread that
# is at work in it; Python's own 5 ms cost more than the calls.
_SWITCH_SECONDS: Final = 0.001

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[tuple[Item, Done]]:
    """Each item with what ``work`` makes of it, in order; one more is worked on in another thread meanwhile.

    Items are read in the caller's thread, two before the result that is handed out. An error of ``work`` is raised in
    its place, after all results before it.
    """
    source = iter(items)
    waiting: deque[tuple[Item, Future[Done]]] = deque()
    with _switching_fast(), ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        while True:
            waiting.extend((item, pool.submit(work, item)) for item in islice(source, 2 - len(waiting)))
            if not waiting:
                return
            item, done = waiting.popleft()
            yield item, done.result()


@contextmanager
def _switching_fast() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
