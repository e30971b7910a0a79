"""That one document was posted, in a proof small enough for a mail: RFC 6962's Merkle tree over a certificate.

The proof holds the posting, the path from it to the root of its certificate's postings, and the audit entry that says
the certificate was issued with that root. Its reader needs a copy of ``issued.jsonl``, where that entry's hash was
written when it was issued, and nothing else of ours.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Engine

from retail_assets.ops import certificates
from retail_assets.ops.canonical import canonical_json

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_FORMAT: Final = 1


class NotCertifiedError(Exception):
    """No certificate with a tree of its postings has the document."""


def postings_root(postings: Sequence[Mapping[str, Any]]) -> str:
    """The root over the postings in their order, in lower-case hexadecimal (RFC 6962, 2.1)."""
    return _levels(postings)[-1][0].hex()


def prove(engine: Engine, posting_key: str) -> dict[str, Any]:
    """The proof that a document was posted, as a JSON-like value.

    Args:
        posting_key: the key it has at the ERP, for example ``line/stripe_us:txn_1#1``.

    Raises:
        NotCertifiedError: it was not posted, not certified yet, or certified before proofs existed.
    """
    for certificate in certificates.rows(engine):
        body = json.loads(certificate.body)
        found = [at for at, posting in enumerate(body["postings"]) if posting["posting_key"] == posting_key]
        if not found:
            continue
        if "postings_root" not in body:
            raise NotCertifiedError(
                f"{posting_key} is in certificate {certificate.certificate_id}, which is older than these proofs: "
                "give its reader the whole certificate"
            )
        issued = certificates.issued_entry(engine, certificate.certificate_id)
        return {
            "format": _FORMAT,
            "posting": body["postings"][found[0]],
            "position": found[0],
            "postings": len(body["postings"]),
            "path": [base64.b64encode(node).decode() for node in _path(_levels(body["postings"]), found[0])],
            "issued": {
                name: getattr(issued, name)
                for name in ("seq", "at", "actor", "action", "subject", "details", "previous_hash")
            },
        }
    raise NotCertifiedError(
        f"{posting_key} is in no certificate: retail plan shows whether it is posted, and the next run that posts for "
        "its entity certifies it"
    )


def _levels(postings: Sequence[Mapping[str, Any]]) -> list[list[bytes]]:
    """The tree from its leaves up; a node without a neighbour is carried up as it is, as the RFC's split has it."""
    levels = [[_hash(_LEAF + canonical_json(posting).encode()) for posting in postings]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_hash(_NODE + below[at] + below[at + 1]) for at in range(0, len(below) - 1, 2)]
        levels.append([*above, *below[len(above) * 2 :]])
    return levels


def _path(levels: Sequence[Sequence[bytes]], position: int) -> list[bytes]:
    path = []
    for level in levels[:-1]:
        if (neighbour := position ^ 1) < len(level):
            path.append(level[neighbour])
        position //= 2
    return path


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
