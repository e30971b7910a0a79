"""Work ahead of its use."""

import threading
from collections.abc import Iterator

import pytest

from retail_assets.sources.ahead import ahead


def test_results_come_in_order_with_their_items() -> None:
    """A result handed out beside another item would load rows under a wrong checkpoint."""
    assert list(ahead(lambda item: item * 2, range(7))) == [(item, item * 2) for item in range(7)]


def test_nothing_comes_of_nothing() -> None:
    """An empty list of pages waits for no result."""
    assert list(ahead(str, [])) == []


def test_the_next_is_worked_on_while_the_last_is_used() -> None:
    """If the next began only when it is asked for, the second core would be idle."""
    begun = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            begun.set()
        return item

    results = ahead(work, range(3))
    next(results)
    assert begun.wait(10)


def test_items_are_read_in_the_callers_thread_and_not_far_ahead() -> None:
    """dlt's state belongs to a thread, and pages that pile up would take memory without bound."""
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            assert threading.current_thread() is threading.main_thread()
            read.append(item)
            yield item

    results = ahead(str, items())
    next(results)
    assert len(read) <= 2
    next(results)
    assert len(read) <= 3


def test_an_error_comes_in_its_place() -> None:
    """What was converted before a fault is kept, and the fault is not lost in another thread."""

    def work(item: int) -> int:
        if item == 2:
            raise ValueError("page 2")
        return item

    results = ahead(work, range(4))
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="page 2"):
        next(results)
