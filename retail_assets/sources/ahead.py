"""Work that is done while its last result is used: Arrow, hashes and files leave the other core free for it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[tuple[Item, Done]]:
    """Each item with what ``work`` makes of it, in order; one more is worked on in another thread meanwhile.

    Items are read in the caller's thread, two before the result that is handed out. An error of ``work`` is raised in
    its place, after all results before it.
    """
    source = iter(items)
    waiting: deque[tuple[Item, Future[Done]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        while True:
            waiting.extend((item, pool.submit(work, item)) for item in islice(source, 2 - len(waiting)))
            if not waiting:
                return
            item, done = waiting.popleft()
            yield item, done.result()
