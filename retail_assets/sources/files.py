"""File drops: which files of a folder are complete, and which were read before."""

import hashlib
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Names under which senders write before they rename: such a file is not complete yet.
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart")
_CHUNK: Final = 1 << 20
_SEEN: Final = "seen:"


class TooLargeError(Exception):
    """A file is larger than what may be read in one piece; says what to do."""


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A complete file of a folder; ``sha256`` is of its content, as hexadecimal text."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class Completeness:
    """What says that a file is complete, besides its name.

    ``settle_seconds``: nobody wrote to it for so long. ``done_suffix``: the suffix of the marker that its sender puts
    beside it; empty if there are none.
    """

    settle_seconds: float = 0
    done_suffix: str = ""

    @contextmanager
    def required(self) -> Iterator[None]:
        """Take only files for complete, within, that are so by this."""
        token = _REQUIRED.set(self)
        try:
            yield
        finally:
            _REQUIRED.reset(token)


_REQUIRED: Final[ContextVar[Completeness]] = ContextVar("completeness", default=Completeness())  # noqa: B039 - frozen


def complete_files(folder: Path) -> list[Path]:
    """The files of a folder that their sender has finished, by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    required = _REQUIRED.get()
    return sorted(path for path in folder.iterdir() if path.is_file() and _is_complete(path, required))


def _is_complete(path: Path, required: Completeness) -> bool:
    suffix = path.suffix.lower()
    if path.name.startswith(".") or suffix in _UNFINISHED:
        return False
    if required.done_suffix:
        if suffix == required.done_suffix.lower():
            return False
        if not path.with_name(path.name + required.done_suffix).exists():
            return False
    # By the clock that files are dated by, whatever day the run takes for today.
    return required.settle_seconds <= 0 or time.time() - path.stat().st_mtime >= required.settle_seconds


def new_files(folder: Path, done: MutableMapping[str, str], *, name_matters: bool = False) -> Iterator[DroppedFile]:
    """Files whose content was not read before, each content once, by name.

    Args:
        folder: where they are dropped.
        done: SHA-256 → name of what was read before, kept in the resource's dlt state. A file is noted there when the
            next one is asked for, so that one whose reading fails is read again. Beside it stands, under ``seen:`` and
            the name, what the file looked like, so that an unchanged one need not be hashed at each run.
        name_matters: the name says something about the content (which payout it is), so that the same content under
            another name is another file.
    """
    for path in complete_files(folder):
        looks = path.stat()
        seen, appearance = f"{_SEEN}{path.name}", f"{looks.st_size} {looks.st_mtime_ns}"
        known = done.get(seen, "").rpartition(" ")
        digest = known[2] if known[0] == appearance else sha256_of(path)
        key = f"{digest}/{path.name}" if name_matters else digest
        if key not in done:
            yield DroppedFile(path, digest)
            done[key] = path.name
        done[seen] = f"{appearance} {digest}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_whole(path: Path, megabytes: int) -> bytes:
    """A file's content, if it is not larger than that many MB: what is parsed in one piece must fit into memory.

    Raises:
        TooLargeError: it is larger; nothing was read.
    """
    size = path.stat().st_size
    if size > megabytes << 20:
        raise TooLargeError(
            f"{path.name} has {size / (1 << 20):.1f} MB, more than largest_file_mb allows ({megabytes}): ask for "
            "smaller files, or raise it"
        )
    return path.read_bytes()


def examine_folder(folder: Path) -> str:
    """For a doctor: how many files there are; OSError if the folder cannot be read."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return f"{len(files)} files in {folder}"
