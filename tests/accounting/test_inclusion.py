"""The proof of a single posting, checked by the script that an auditor runs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from retail_assets.accounting.inclusion import NotCertifiedError, postings_root, prove
from retail_assets.accounting.verify import verify
from retail_assets.ops import outbox
from retail_assets.ops.certificates import Certificate
from retail_assets.ops.store import reading, writing
from retail_assets.settings import Settings
from tests.accounting.test_proof import anchor, certified, settings

__all__ = ["certified", "settings"]

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check_posting.py"


def checked(proof: dict[str, Any], head: str, folder: Path, sent: str | None = None) -> tuple[int, str]:
    """What the script says, run as an auditor does."""
    (folder / "proof.json").write_text(json.dumps(proof), encoding="utf-8")
    command = [sys.executable, "-I", str(SCRIPT), str(folder / "proof.json"), head]
    if sent is not None:
        (folder / "sent.json").write_text(sent, encoding="utf-8")
        command.append(str(folder / "sent.json"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip() or done.stderr


def head_of(settings: Settings) -> str:
    """The hash of the newest certificate, as the auditor's copy has it."""
    lines = (anchor(settings).with_name("certificates") / "issued.jsonl").read_text().splitlines()
    return json.loads(lines[-1])["entry_hash"]


def test_every_posting_of_a_certificate_can_be_proved(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings, tmp_path: Path
) -> None:
    """A tree that is not full is where such proofs go wrong: seven postings, each with its own path."""
    certified(dict.fromkeys("abcdefg", "1"))
    for name in "abcdefg":
        proof = prove(sqlite_store, f"{name}#1")
        status, said = checked(proof, head_of(settings), tmp_path)
        assert (status, said) == (0, f"{name}#1 was posted as {proof['posting']['document']}")
    assert [len(prove(sqlite_store, f"{name}#1")["path"]) for name in "ag"] == [3, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda proof: proof["posting"].update(document="X"), "does not have this posting"),
        (lambda proof: proof.update(position=1), "does not have this posting"),
        (lambda proof: proof.update(postings=2), "does not have this posting"),
        (lambda proof: proof["path"].pop(), "does not have this posting"),
        (lambda proof: proof["path"].append(proof["path"][0]), "does not have this posting"),
        (lambda proof: proof["issued"].update(details=proof["issued"]["details"] + " "), "not the one whose hash"),
        (lambda proof: proof["issued"].update(seq=1), "not the one whose hash"),
    ],
)
def test_what_is_changed_in_a_proof_is_found(
    certified: Callable[..., Certificate],
    sqlite_store: Engine,
    settings: Settings,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    """A proof that holds whatever it says."""
    certified({"a": "1", "b": "2", "c": "3"})
    proof = prove(sqlite_store, "a#1")
    change(proof)
    status, found = checked(proof, head_of(settings), tmp_path)
    assert status == 1
    assert said in found


def test_what_was_sent_is_held_against_the_proof(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings, tmp_path: Path
) -> None:
    """That some document was posted under a key says nothing of its lines."""
    certified({"a": "1", "b": "2"})
    with reading(sqlite_store) as connection:
        sent = outbox.histories(connection, ["a"])["a"][0].payload
    proof = prove(sqlite_store, "a#1")
    assert checked(proof, head_of(settings), tmp_path, sent)[0] == 0
    status, said = checked(proof, head_of(settings), tmp_path, sent.replace("1", "2", 1))
    assert (status, said) == (1, "what you have is not what was sent")


def test_a_proof_fits_into_two_kilobytes(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """A path as long as the certificate would be the certificate: with a hundred thousand postings it has 17 steps."""
    certified({"line/stripe_us:txn_3MqRxY2eZvKYlo2C1aBcDeFg": "1"})
    proof = prove(sqlite_store, "line/stripe_us:txn_3MqRxY2eZvKYlo2C1aBcDeFg#1")
    proof["path"] = ["A" * 44] * 17
    assert len(json.dumps(proof, separators=(",", ":"))) <= 2048


def test_a_document_that_was_not_certified_has_no_proof(
    certified: Callable[..., Certificate], sqlite_store: Engine
) -> None:
    """An empty proof that nobody can check, instead of a word on what to do."""
    certified({"a": "1"})
    with pytest.raises(NotCertifiedError, match="in no certificate: retail plan"):
        prove(sqlite_store, "b#1")


def test_an_edited_list_of_hashes_is_found(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """Proofs would end at a hash that somebody put there."""
    certified({"a": "1"})
    path = anchor(settings).with_name("certificates") / "issued.jsonl"
    path.write_text(path.read_text().replace(head_of(settings), "0" * 64) + "not a line\n")
    found = [problem.message for problem in verify(sqlite_store, anchor(settings), {})]
    assert any("line 1 of" in message and "differ" in message for message in found)
    assert any("line 2 is not what was written there" in message for message in found)


def test_a_forged_root_is_found(
    certified: Callable[..., Certificate], sqlite_store: Engine, settings: Settings
) -> None:
    """The root in the certificate is what proofs end at: verify makes it anew, by other code."""
    made = certified({"a": "1", "b": "2", "c": "3"})
    body = json.loads(made.body)
    assert postings_root(body["postings"]) == body["postings_root"]
    with writing(sqlite_store) as connection:
        connection.execute(text("DROP TRIGGER IF EXISTS audit_log_no_update"))
        for table, column in (("audit_log", "details"), ("certificates", "body")):
            connection.execute(
                text(f"UPDATE {table} SET {column} = replace({column}, :root, :other)"),
                {"root": body["postings_root"], "other": "0" * 64},
            )
    codes = {problem.code for problem in verify(sqlite_store, anchor(settings), {})}
    assert {"certificate_changed", "audit_entry_changed"} <= codes
