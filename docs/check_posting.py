"""Check a proof that `retail prove` wrote; needs Python and nothing else.

    python check_posting.py proof.json HASH [sent.json]

HASH is the entry_hash of the certificate in your copy of exports/certificates/issued.jsonl; proof.json names it at
issued.subject. The third argument is what was sent to the ERP, if you have it and want to know that it is that.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def root(posting: dict, position: int, count: int, path: list[bytes]) -> bytes:
    """Up the tree from the posting (RFC 6962, 2.1.1); the last of an odd row goes up alone."""
    node, last, steps = sha256(b"\x00" + canonical(posting)), count - 1, iter(path)
    while last > 0:
        if position % 2:
            node = sha256(b"\x01" + next(steps, b"") + node)
        elif position < last:
            node = sha256(b"\x01" + node + next(steps, b""))
        position, last = position // 2, last // 2
    return node if next(steps, None) is None else b""


def check(proof: dict, head: str, sent: bytes | None) -> str:
    issued, posting = proof["issued"], proof["posting"]
    fields = [issued[name] for name in ("seq", "at", "actor", "action", "subject", "details", "previous_hash")]
    if sha256(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()).hex() != head:
        return "the audit entry is not the one whose hash you have"
    if issued["action"] != "certificate.issued" or not 0 <= proof["position"] < proof["postings"]:
        return "the audit entry is not about a certificate"
    path = [base64.b64decode(node, validate=True) for node in proof["path"]]
    found = root(posting, proof["position"], proof["postings"], path).hex()
    if found != json.loads(issued["details"])["postings_root"]:
        return "the certificate does not have this posting"
    if sent is not None and sha256(sent).hex() != posting["payload_hash"]:
        return "what you have is not what was sent"
    return ""


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_bytes())
    problem = check(given, sys.argv[2], Path(sys.argv[3]).read_bytes() if len(sys.argv) > 3 else None)
    posting = given["posting"]
    sys.stdout.write((problem or f"{posting['posting_key']} was posted as {posting['document']}") + "\n")
    sys.exit(bool(problem))
