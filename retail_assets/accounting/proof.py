"""Re-checking certificates from the stored texts alone: hashes and integers, nothing of what made them.

Neither the models nor the code that builds entries and certificates is used here, so that a mistake in them is not
made twice.
"""

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from retail_assets.ops.audit import AuditEntry
from retail_assets.ops.certificates import Certificate

_NAMED_IN_BOTH: Final = ("document", "entry_id", "revision", "kind", "erp_id", "payload_hash", "content_hash", "run_id")
_ISSUED_FILE: Final = "issued.jsonl"
#: gross - fees - refunds - disputes + reserves + other + residual (and what was not listed) = net.
_FOOTING: Final = {
    "gross": 1,
    "fees": -1,
    "refunds": -1,
    "disputes": -1,
    "reserves": 1,
    "other": 1,
    "residual": 1,
    "unlisted": 1,
}


@dataclass
class Chain:
    """What the audit log says of postings, approvals and certificates, by its sequence."""

    postings: dict[str, list[AuditEntry]] = field(default_factory=lambda: defaultdict(list))
    approved: dict[str, list[AuditEntry]] = field(default_factory=lambda: defaultdict(list))
    issued: dict[str, AuditEntry] = field(default_factory=dict)

    def add(self, entry: AuditEntry) -> None:
        """Note an entry, if it is of one of these."""
        if entry.action == "posting.posted":
            self.postings[entry.content()["entity_code"]].append(entry)
        elif entry.action == "approval.approved":
            self.approved[entry.content()["subject"]].append(entry)
        elif entry.action == "certificate.issued":
            self.issued[entry.subject] = entry


def check(
    certificates: Iterable[Certificate], chain: Chain, payloads: Mapping[str, str], folder: Path | None
) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the certificates: code, certificate or posting key, and in words.

    Args:
        payloads: what was sent for each posting key, as the outbox has it.
        folder: where their files are; one that is missing there is not looked for.
    """
    there = {each.certificate_id: each for each in certificates}
    for certificate_id in chain.issued.keys() - there.keys():
        yield "certificate_missing", certificate_id, "the audit log tells of it, but it is gone"
    in_order: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for certificate_id, each in there.items():
        if hashlib.sha256(each.body.encode()).hexdigest() != certificate_id:
            yield "certificate_changed", certificate_id, "its body is not what its id is the hash of"
            continue
        body = json.loads(each.body)
        if problem := _against_chain(each, body, chain.issued.get(certificate_id)):
            yield "certificate_changed", certificate_id, problem
            continue
        in_order[each.entity_code].append((certificate_id, body))
        path = folder / f"{certificate_id}.json" if folder else None
        if path and path.is_file() and path.read_bytes() != each.body.encode():
            yield "certificate_changed", certificate_id, f"{path} is not the certificate that was issued"
        for problem in _body_problems(body, chain, payloads):
            yield "certificate_wrong", certificate_id, problem
    if folder and (folder / _ISSUED_FILE).is_file():
        yield from _against_file(folder / _ISSUED_FILE, chain)
    for entity_code, bodies in in_order.items():
        bodies.sort(key=lambda item: item[1]["audit_from"])
        yield from _coverage_problems(bodies, chain.postings.get(entity_code, []))


def _against_chain(certificate: Certificate, body: Mapping[str, Any], issued: AuditEntry | None) -> str | None:
    if issued is None:
        return "the audit log does not tell of it"
    details = issued.content()
    # Certificates of format 1 have no root.
    same = details.get("postings_root") == body.get("postings_root") and all(
        details[name] == body[name] for name in ("entity_code", "run_id", "audit_from", "audit_to", "previous")
    )
    if not same or (certificate.entity_code, certificate.run_id) != (body["entity_code"], body["run_id"]):
        return "it and the audit log differ"
    return None


def _against_file(path: Path, chain: Chain) -> Iterator[tuple[str, str, str]]:
    """Proofs of single postings end at the hashes in this file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            certificate_id, entry_hash = (json.loads(line)[name] for name in ("certificate_id", "entry_hash"))
        except (ValueError, KeyError, TypeError):
            yield "certificate_changed", str(path), f"line {number} is not what was written there"
            continue
        issued = chain.issued.get(certificate_id)
        if issued is None or issued.entry_hash != entry_hash:
            yield "certificate_changed", certificate_id, f"line {number} of {path} and the audit log differ"


def _coverage_problems(
    bodies: list[tuple[str, dict[str, Any]]], postings: list[AuditEntry]
) -> Iterator[tuple[str, str, str]]:
    """Each posting must be in exactly one certificate, whose stretches of the audit log follow one another."""
    reached, previous = 0, None
    for certificate_id, body in bodies:
        if body["audit_from"] != reached or body["previous"] != previous:
            yield "certificate_missing", certificate_id, f"it does not go on from certificate {previous or 'none'}"
        reached, previous = body["audit_to"], certificate_id
    seen: dict[str, str] = {}
    for certificate_id, body in bodies:
        for posting in body["postings"]:
            other = seen.setdefault(posting["posting_key"], certificate_id)
            if other != certificate_id:
                yield "certificate_wrong", posting["posting_key"], f"it is in two certificates: {other} has it as well"
    for entry in postings:
        if entry.seq > reached:
            message = "it is posted and in no certificate yet: the next run that posts for the entity issues it"
            yield "posting_uncertified", entry.subject, message


def _body_problems(body: Mapping[str, Any], chain: Chain, payloads: Mapping[str, str]) -> Iterator[str]:
    postings = chain.postings.get(body["entity_code"], [])
    first, last = (bisect_right(postings, body[end], key=lambda entry: entry.seq) for end in ("audit_from", "audit_to"))
    if "postings_root" in body:
        leaves = [json.dumps(p, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for p in body["postings"]]
        if _root([hashlib.sha256(b"\0" + leaf.encode()).digest() for leaf in leaves]).hex() != body["postings_root"]:
            yield "its root is not that of its postings"
    covered = {entry.subject: entry for entry in postings[first:last]}
    named = {posting["posting_key"]: posting for posting in body["postings"]}
    for key in covered.keys() ^ named.keys():
        where = "the audit log" if key in covered else "the certificate"
        yield f"only {where} says that {key} was posted in its stretch"
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    limit = _limit(body)
    for key in covered.keys() & named.keys():
        details = covered[key].content()
        changed = [name for name in _NAMED_IN_BOTH if details.get(name) != named[key].get(name)]
        if changed:
            yield f"it and the audit log differ about {key} in {', '.join(changed)}"
        payload = payloads.get(key)
        if payload is None or hashlib.sha256(payload.encode()).hexdigest() != named[key]["payload_hash"]:
            yield f"what was sent as {key} is not what the outbox has of it"
            continue
        debits = credits_ = 0
        for line in json.loads(payload)["lines"]:
            debit, credit = (_units(line[side], body["decimals"]) for side in ("base_debit", "base_credit"))
            debits, credits_ = debits + debit, credits_ + credit
            totals[line["account_code"]][0] += debit
            totals[line["account_code"]][1] += credit
        if debits != credits_:
            yield f"{key} is out of balance: {debits} is debited and {credits_} credited"
        if limit is not None and debits > limit and not _is_approved(named[key], covered[key].seq, debits, body, chain):
            yield f"{key} is above the limit of {limit} and was posted without an approval"
    if {account: tuple(sides) for account, sides in totals.items()} != {
        account: tuple(sides) for account, sides in body["totals"].items()
    }:
        yield "its totals are not those of what was posted"
    for settlement in body["settlements"]:
        yield from _footing_problems(settlement)


def _root(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1: the left side has the largest power of two that is smaller than the number of leaves."""
    if len(hashes) < 2:
        return hashes[0] if hashes else b""
    left = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(hashes[:left]) + _root(hashes[left:])).digest()


def _footing_problems(settlement: Mapping[str, Any]) -> Iterator[str]:
    key = settlement["settlement_key"]
    footed = sum(sign * settlement[name] for name, sign in _FOOTING.items())
    if footed != settlement["net"]:
        yield f"{key} does not foot: its parts come to {footed}, its net is {settlement['net']}"
    if settlement["bank"] is not None and settlement["net"] + settlement["bank_difference"] != settlement["bank"]:
        yield f"{key} does not agree with the bank: {settlement['net']} and {settlement['bank']}"


def _limit(body: Mapping[str, Any]) -> int | None:
    limit = body["rules"]["approval_limit"]
    return None if limit is None else _units(limit, body["decimals"], cut=True)


def _is_approved(posting: Mapping[str, Any], seq: int, total: int, body: Mapping[str, Any], chain: Chain) -> bool:
    """Whether somebody had approved this very document, for at least this amount, before it was posted."""
    for entry in chain.approved.get(posting["entry_id"], []):
        details = entry.content()
        first_words = f"{posting['kind']} {posting['posting_key']} of "
        named = any(line.startswith(first_words) for line in details["summary"].splitlines())
        enough = details["kind"] == "write_off" or _units(details["amount"], body["decimals"]) >= total
        if named and enough and entry.seq < seq:
            return True
    return False


def _units(amount: str, decimals: int, *, cut: bool = False) -> int:
    """``"12.5"`` with two decimals as 1250, by its digits; more decimals than that are refused, or cut off."""
    whole, _, part = amount.partition(".")
    if len(part) > decimals and not cut:
        raise ValueError(f"{amount} has more than {decimals} decimals")
    sign = -1 if whole.startswith("-") else 1
    return sign * (int(whole.lstrip("-")) * 10**decimals + int(part[:decimals].ljust(decimals, "0") or "0"))
