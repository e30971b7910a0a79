"""``retail evidence``: what an auditor asks for about a month, in one file, and the proof that it is still so.

The pack holds no clock but that of the marts: the same state gives the same bytes, and whoever doubts a figure makes
the pack anew and compares.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from retail_assets.commands import CommandError
from retail_assets.commands.close_report import pages
from retail_assets.commands.evidence_content import FORMAT, Evidence
from retail_assets.commands.warehouse import reading_warehouse
from retail_assets.ops import outbox
from retail_assets.ops.canonical import canonical_json
from retail_assets.ops.periods import Period
from retail_assets.ops.store import LockHeldError, exclusive, open_store
from retail_assets.settings import Settings

MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
COVER: Final = "cover.html"

#: What a zip file can say at the least: when its entries were made is nobody's question.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_LOCK_WAIT_SECONDS: Final = 600
_CHUNK: Final = 1 << 20
_LARGEST_LIST: Final = 16 << 20
_LARGEST_PACK: Final = 8 << 30


@dataclass(frozen=True, slots=True)
class Pack:
    """The evidence of a month: its files by name, in the order of the zip, and one digest over all of them."""

    entity_code: str
    period: Period
    as_of: str
    files: Mapping[str, bytes]
    digest: str
    figures: Mapping[str, Any]

    def sums(self) -> dict[str, str]:
        """SHA-256 of each file by its name."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a pack: ``damaged`` files are not as it says itself, ``differing`` ones not as they are now."""

    path: Path
    entity_code: str
    period: str
    as_of: str
    as_of_now: str
    digest: str
    digest_now: str
    damaged: tuple[str, ...]
    differing: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.damaged and not self.differing and self.digest == self.digest_now


def gather(settings: Settings, entity_code: str, period: Period) -> Pack:
    """Make the evidence of a month; changes nothing.

    Raises:
        CommandError: there is no build yet, or somebody has been posting for the entity for too long.
    """
    entity = settings.configuration.entity(entity_code)
    operations = open_store(settings.operations_url)
    try:
        # Nobody posts between one list and the next.
        with (
            exclusive(operations, outbox.posting_lock_name(entity_code), wait_seconds=_LOCK_WAIT_SECONDS),
            reading_warehouse(settings) as warehouse,
        ):
            evidence = Evidence(settings, operations, warehouse, entity, period)
            content = evidence.files()
    except LockHeldError as error:
        raise CommandError(str(error)) from error
    finally:
        operations.dispose()
    as_of = f"{evidence.as_of:%Y-%m-%dT%H:%M:%SZ}"
    cover = pages().get_template("evidence.html.j2")
    page = cover.render(evidence=evidence, figures=evidence.figures, findings=list(findings(evidence.figures)))
    files = {COVER: page.encode(), **{name: content[name] for name in sorted(content)}}
    return _sealed(entity_code, period, as_of, files, evidence.figures)


def write(settings: Settings, pack: Pack, output: Path | None = None) -> tuple[Path, Path | None]:
    """Write a pack to ``output``, or to its own place below ``exports/evidence``.

    Returns:
        Where it is; and where the former pack of that month went, if it was another one: evidence is not written over.
    """
    path = output or settings.home / "exports" / "evidence" / f"{pack.entity_code}-{pack.period}.zip"
    content = zipped(pack)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = None
    if path.is_file():
        former = path.read_bytes()
        if former == content:
            return path, None
        aside = path.with_name(f"{path.stem}.{hashlib.sha256(former).hexdigest()[:12]}{path.suffix}")
        path.rename(aside)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path, aside


def zipped(pack: Pack) -> bytes:
    """The pack as a zip file: entries in a fixed order, without times or owners."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in pack.files.items():
            entry = zipfile.ZipInfo(f"{pack.entity_code}-{pack.period}/{name}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o100600 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def check(settings: Settings, path: Path) -> Checked:
    """Hold a pack against itself, and against what it would be if it were made now.

    Raises:
        CommandError: the file is no pack of ours, or of an entity that is not configured.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest, found, digest = _opened(path, archive)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # What is encrypted, or packed in an unknown way, is a RuntimeError.
        raise CommandError(f"{path} cannot be read as a pack of evidence: {error}") from error
    code, month = manifest["entity_code"], manifest["period"]
    known = [entity.code for entity in settings.configuration.entities]
    if code not in known:
        raise CommandError(f"{path} is of the entity {code!r}, which is not configured here: {', '.join(known)} are")
    told = {row["path"]: row["sha256"] for row in manifest["files"]}
    damaged = [name for name in sorted(told.keys() | found.keys()) if told.get(name) != found.get(name)]
    if manifest["digest"] != digest:
        damaged.append(SUMS)
    now = gather(settings, code, Period.parse(month))
    there = {name: value for name, value in now.sums().items() if name not in (MANIFEST, SUMS)}
    differing = [name for name in sorted(told.keys() | there.keys()) if told.get(name) != there.get(name)]
    return Checked(
        path, code, month, manifest["as_of"], now.as_of, digest, now.digest, tuple(damaged), tuple(differing)
    )


def findings(figures: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know before relying on the figures; nothing if there is nothing."""
    for row in figures["control_totals"]:
        if row["difference_amount"]:
            amount = f"{row['difference_amount']:f} {row['currency_code']}"
            yield f"{row['step']}, {row['instance_id']}: the entries are {amount} off the records"
    gaps = [row for row in figures["completeness"] if row["completeness_status"] == "gap"]
    if gaps:
        names = sorted({f"{row['instance_id']} {row['resource']}" for row in gaps})
        yield f"{len(gaps)} stretches of time have gaps: {', '.join(names)}"
    refused = sum(row["status"] == "open" for row in figures["quarantine"])
    if refused:
        yield f"{refused} records of the entity's sources are refused and not in the figures"
    held = sum(row["entry_count"] for row in figures["journal_totals"] if row["posting_status"] != "ready")
    if held:
        yield f"{held} entries of the month are held and not in the books"
    if any(row["not_posted_amount"] for row in figures["trial_balance"]):
        accounts = [row["account_code"] for row in figures["trial_balance"] if row["not_posted_amount"]]
        yield f"the journal is not what is posted on {len(accounts)} accounts: {', '.join(accounts)}"
    bad = [row for row in figures["postings"] if row["attested_state"] not in ("equal", None)]
    if bad:
        yield f"{len(bad)} documents are not as they were posted, or could not be read back"
    unproved = sum(row["state"] == "posted" and row["certificate_id"] is None for row in figures["postings"])
    if unproved:
        yield f"{unproved} posted documents are in no certificate yet"
    if figures["versions"]["commit"] is None:
        yield "the code is in no git repository here: only the hash of the models says which it was"


def pack_as_dict(pack: Pack, path: Path, aside: Path | None) -> dict[str, Any]:
    """For scripts."""
    return {
        "entity_code": pack.entity_code,
        "period": str(pack.period),
        "as_of": pack.as_of,
        "file": path,
        "former_file": aside,
        "digest": pack.digest,
        "files": pack.sums(),
        "findings": list(findings(pack.figures)),
    }


def checked_as_dict(checked: Checked) -> dict[str, Any]:
    """For scripts."""
    return {
        "file": checked.path,
        "entity_code": checked.entity_code,
        "period": checked.period,
        "equal": checked.ok,
        "as_of": checked.as_of,
        "as_of_now": checked.as_of_now,
        "digest": checked.digest,
        "digest_now": checked.digest_now,
        "damaged": list(checked.damaged),
        "differing": list(checked.differing),
    }


def print_pack(console: Console, pack: Pack, path: Path, aside: Path | None) -> None:
    """Where the pack is, what it is known by, and what its reader must know."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    figures = pack.figures
    say(f"Evidence of {pack.entity_code}, {pack.period}, as of {pack.as_of}: {len(pack.files)} files")
    entries = sum(row["entry_count"] for row in figures["journal_totals"])
    say(
        f"  {entries} journal entries, {len(figures['postings'])} documents, "
        f"{len(figures['certificates'])} certificates, {len(figures['exceptions'])} exceptions, "
        f"{len(figures['models'])} models"
    )
    for line in findings(figures):
        say(f"  ! {line}")
    say(f"{path} (digest {pack.digest})")
    if aside is not None:
        say(f"The former pack, which was another one, is now {aside.name}")


def print_checked(console: Console, checked: Checked) -> None:
    """Equal, or which files are not, and why that may be."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    for name in checked.damaged:
        say(f"  changed since it was made: {name}")
    for name in checked.differing:
        say(f"  not the same now: {name}")
    subject = f"{checked.path.name} ({checked.entity_code}, {checked.period}, as of {checked.as_of})"
    if checked.ok:
        say(f"{subject} is equal to what is made of it now: digest {checked.digest}")
        return
    say(f"{subject} is not equal: {len(checked.damaged)} files were changed, {len(checked.differing)} differ now")
    if checked.as_of != checked.as_of_now:
        say(
            f"The marts are as of {checked.as_of_now}: what came in between differs. To compare like with like, "
            f"restore that day's backup and run `retail --as-of {checked.as_of} run --no-load` first."
        )


def _sealed(entity_code: str, period: Period, as_of: str, files: dict[str, bytes], figures: Mapping[str, Any]) -> Pack:
    """The same files with their list of hashes, as ``sha256sum -c`` reads it, and the manifest."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    listed = "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()
    digest = hashlib.sha256(listed).hexdigest()
    manifest = {
        "format": FORMAT,
        "entity_code": entity_code,
        "period": str(period),
        "as_of": as_of,
        "digest": digest,
        "files": [{"path": name, "bytes": len(files[name]), "sha256": value} for name, value in sums.items()],
    }
    text = json.dumps(json.loads(canonical_json(manifest)), indent=2) + "\n"
    return Pack(entity_code, period, as_of, {**files, SUMS: listed, MANIFEST: text.encode()}, digest, figures)


def _opened(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, str], str]:
    """The manifest of a pack, the hash that each of its files has, and that of its list of hashes."""
    entries = archive.infolist()
    names = {entry.filename.partition("/")[2]: entry for entry in entries}
    # Of two entries with one name each program shows another one; no more is read than an entry says it has.
    if len(names) < len(entries) or sum(entry.file_size for entry in entries) > _LARGEST_PACK:
        raise CommandError(f"{path} is no pack of evidence: it has two files of one name, or more than 8 GB")
    if MANIFEST not in names or names[MANIFEST].file_size > _LARGEST_LIST:
        raise CommandError(f"{path} is no pack of evidence: it has no {MANIFEST}")
    try:
        manifest = json.loads(archive.read(names[MANIFEST]))
        if manifest["format"] != FORMAT:
            raise CommandError(f"{path} is of format {manifest['format']}, which this version does not read")
        Period.parse(manifest["period"])
        _ = [(row["path"], row["sha256"]) for row in manifest["files"]], manifest["digest"], manifest["as_of"]
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{path} is no pack of evidence: its {MANIFEST} cannot be read ({error})") from error
    sums = {name: _sum(archive, entry) for name, entry in names.items() if name != MANIFEST}
    return manifest, sums, sums.pop(SUMS, "")


def _sum(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    digest = hashlib.sha256()
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
