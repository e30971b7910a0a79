"""File drops: which files of a folder are complete, and which were read before."""

import hashlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Names under which senders write before they rename: such a file is not complete yet.
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A complete file of a folder; ``sha256`` is of its content, as hexadecimal text."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name


def complete_files(folder: Path) -> list[Path]:
    """The files of a folder that their sender has finished, by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in _UNFINISHED
    )


def new_files(folder: Path, done: MutableMapping[str, str]) -> Iterator[DroppedFile]:
    """Files whose content was not read before, each content once, by name.

    Args:
        folder: where they are dropped.
        done: SHA-256 → name of what was read before, kept in the resource's dlt state. A file is noted there when the
            next one is asked for, so that one whose reading fails is read again.
    """
    for path in complete_files(folder):
        digest = sha256_of(path)
        if digest not in done:
            yield DroppedFile(path, digest)
            done[digest] = path.name


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def examine_folder(folder: Path) -> str:
    """For a doctor: how many files there are; OSError if the folder cannot be read."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return f"{len(files)} files in {folder}"
