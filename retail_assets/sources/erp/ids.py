"""Sets of ids that fit into a load's state: whole numbers as ranges, names as they are."""

from collections.abc import Iterable, Iterator

Encoded = list[str]


def encode(ids: Iterable[str]) -> Encoded:
    """Ids as a short list: ``["1-1525", "1527", "=Cash - TC"]``; what is no plain number has a ``=`` in front."""
    numbers: set[int] = set()
    names: set[str] = set()
    for identity in ids:
        # Only what comes back as it was: 007 and other scripts' digits are names.
        if identity.isascii() and identity.isdigit() and str(int(identity)) == identity:
            numbers.add(int(identity))
        else:
            names.add(identity)
    return [*_ranges(sorted(numbers)), *(f"={name}" for name in sorted(names))]


def decode(encoded: Iterable[str]) -> set[str]:
    """What ``encode`` was given."""
    ids: set[str] = set()
    for part in encoded:
        if part.startswith("="):
            ids.add(part[1:])
            continue
        first, _, last = part.partition("-")
        ids.update(map(str, range(int(first), int(last or first) + 1)))
    return ids


def _ranges(numbers: list[int]) -> Iterator[str]:
    start = end = None
    for number in numbers:
        if end is not None and number == end + 1:
            end = number
            continue
        if start is not None:
            yield str(start) if start == end else f"{start}-{end}"
        start = end = number
    if start is not None:
        yield str(start) if start == end else f"{start}-{end}"
