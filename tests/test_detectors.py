"""The scorecard of the detectors: what it says of what was planted, and of what was not."""

from datetime import timedelta

from benchmarks import accuracy, detectors
from benchmarks.detectors import HEADING, NOT_INJECTED, Noticed, Raised, noticed_of, section, with_section
from benchmarks.injected import Fault

NOW = detectors.AS_OF


def fault(subject: str, *, hours: float, due_after: float = 0, fault_class: str = "late") -> Fault:
    at = NOW - timedelta(hours=hours)
    return Fault(fault_class, "canary_late", subject, at, at + timedelta(hours=due_after))


def raised(subject: str, *, hours: float = 0, kind: str = "canary_late", facts: int = 1) -> Raised:
    return Raised(
        f"{kind}:{subject}", kind, frozenset({subject}), frozenset({"g:*"}), NOW - timedelta(hours=hours), facts
    )


def test_a_fault_that_is_due_and_not_found_lowers_recall_and_one_that_is_not_due_does_not() -> None:
    """A scorecard that counts only what was found, or that blames a detector for waiting as it should."""
    planted = [fault("a", hours=5), fault("b", hours=4), fault("c", hours=1, due_after=2)]
    (one,) = noticed_of([raised("a", hours=5), raised("b", kind="oversold")], planted, 1, 60)
    assert (one.planted, one.due, one.found, one.missed, one.waiting) == (3, 2, 1, ["b"], 1)
    assert (one.youngest, one.oldest_waiting) == (5, 1)
    assert float(one.recall.value) == 0.5


def test_one_exception_does_not_stand_for_more_faults_than_it_tells_of() -> None:
    """One fee that was noticed, counted for each of four that were planted."""
    planted = [fault("g:*", hours=hours) for hours in (1, 2, 3, 4)]
    (one,) = noticed_of([raised("g:month", facts=3)], planted, 1, 60)
    assert (one.due, one.found, len(one.missed)) == (4, 3, 1)


def test_types_without_an_injector_are_said_to_have_none() -> None:
    """A type of exception that nobody plants, and that no table mentions."""
    text = section([Noticed("canary that never arrives", "canary_late", 1, 4, 4, 4)], {"oversold": 2}, 3)
    with detectors.TYPES.open() as seeds:
        types = {line.partition(",")[0] for line in seeds} - {"exception_type"}
    assert all(f"`{name}`" in text for name in types)
    assert types >= NOT_INJECTED.keys()
    assert "2 `oversold`" in text
    assert "100.00% (≥ 51%)" in text


def test_each_of_the_two_benches_keeps_what_the_other_wrote() -> None:
    """The page of accuracy loses the scorecard whenever accuracy is measured, or the other way round."""
    page = with_section("# How right\n\nfirst\n", "\nsecond\n")
    assert page == f"# How right\n\nfirst\n\n{HEADING}\nsecond\n"
    assert with_section(page, "\nthird\n") == f"# How right\n\nfirst\n\n{HEADING}\nthird\n"
    assert accuracy.beside(page, "# New\n") == f"# New\n\n{HEADING}\nsecond\n"
    assert accuracy.beside("# How right\n", "# New\n") == "# New\n"
