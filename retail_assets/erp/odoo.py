"""Journal entries in Odoo, over JSON-RPC (16 to 18) or JSON-2 (from 19).

What Odoo does decides how this is done:

- Nothing about an entry is unique while it is a draft, and ``ref`` never is. What is unique is an external id (module,
  name), so that is where our key lives. ``load`` makes an entry and its external id in one transaction.
- ``load`` with lines adds them again, or rewrites those of a posted entry, without a word. So it only claims the key,
  without lines, and marks the external id so that no later ``load`` of ours changes the entry (Odoo's ``noupdate``);
  what it found is read, and lines are written into a draft only.
- Every call is a transaction of its own: a crash leaves drafts. One without lines is a claim, which the next attempt
  replaces, so that requests of an earlier one that arrive late find nothing any more; one with lines is complete, and
  is posted by ``finish``. Once there may be drafts, an attempt that was not answered is ``OutcomeUnknown``, so that
  nobody sends other content under the same key.
- Lines are written as "remove all, then these": on an entry that was posted meanwhile Odoo refuses that, while it would
  add lines to it.
- An entry dated in a locked period is posted all the same, in a later month and without an error. The lock dates are
  read before, and the date is compared after.
- The name of an entry is left to Odoo: the numbering of a journal goes on from any name that is given.
- A misspelt or unknown id is answered with a text about deletions, so accounts, journal and currencies are looked up
  first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

from retail_assets.erp.errors import CredentialsError, ErpRefusedError, NotOfferedError, UnexpectedAnswerError
from retail_assets.erp.protocol import (
    DocumentState,
    ErpError,
    ErpUnavailable,
    JournalEntry,
    JournalLine,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    PostedLine,
    RejectedByErp,
)
from retail_assets.http import HttpStatusError, HttpUnavailableError

_MOVE: Final = "account.move"
_LINE: Final = "account.move.line"
_EXTERNAL_ID: Final = "ir.model.data"
_ANALYTIC: Final = "account.analytic.account"
_STATES: Final[Mapping[str, DocumentState]] = {"draft": "draft", "posted": "posted", "cancel": "cancelled"}
#: Whichever of them this Odoo has; a tax lock stops no entry without taxes.
_LOCKS: Final = ("fiscalyear_lock_date", "period_lock_date", "hard_lock_date")
_LINE_COLUMNS: Final = (
    "move_id",
    "account_id",
    "analytic_distribution",
    "currency_id",
    "amount_currency",
    "debit",
    "credit",
    "display_type",
)
_TEXT_LINES: Final = frozenset({"line_section", "line_subsection", "line_note"})
_NO_CONTEXT: Final[Mapping[str, Any]] = {}
#: For ``load``: a record that is there under its external id stays as it is.
_ONLY_NEW: Final = {"mode": "update", "noupdate": True}
#: Percent of a line that its one analytic account gets.
_WHOLE: Final = 100
#: Odoo computes with floats, which hold that many digits of any decimal.
_DIGITS_OF_A_FLOAT: Final = 15
_JOURNAL_NAME: Final = "Web stores"

# Another transaction was in the way, or the database is not there: nothing was done.
_TRANSIENT: Final = ("psycopg2.", "odoo.exceptions.LockError", "odoo.exceptions.ConcurrencyError")
_SERIALIZATION: Final = "could not serialize access"
_ACCOUNT_CONSTRAINT: Final = "account_move_line_account_id_fkey"

_DEFAULT_ADVICE: Final = "Mend the cause in Odoo or in the account mapping, then post again."
_RIGHTS: Final = "Give the API user the access right Accounting: Accountant for this company."
_ADVICE: Final = {
    "builtins.ValueError": "This Odoo lacks a field that is written: check that its Accounting app is installed.",
    "odoo.exceptions.MissingError": "Something was deleted in Odoo while it was posted to: post again.",
}

_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal)


class Client(Protocol):
    """The part of ``OdooClient`` that is used here."""

    def log_in(self) -> int: ...

    def fields(self, model: str) -> Mapping[str, str]: ...

    def search_read(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        *,
        order: str = ...,
        limit: int | None = ...,
        context: Mapping[str, Any] = ...,
    ) -> list[bytes]: ...

    def change(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None,
        arguments: Mapping[str, Any],
        *,
        context: Mapping[str, Any] = ...,
    ) -> Any: ...

    def close(self) -> None: ...


Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Company:
    """``chain`` are the ids of the company and of those that it is a branch of: they share accounts and locks."""

    id: int
    name: str
    currency: str
    chain: tuple[int, ...]
    locked_until: date | None

    @property
    def context(self) -> Mapping[str, Any]:
        return {"allowed_company_ids": [self.id]}


@dataclass(frozen=True, slots=True)
class _Account:
    id: int
    currency: str | None
    is_open: bool


@dataclass(frozen=True, slots=True)
class _State:
    state: str
    posted_before: bool
    has_lines: bool

    @property
    def is_claim_only(self) -> bool:
        return self.state == "draft" and not self.has_lines and not self.posted_before


class OdooPoster:
    """Posts to one Odoo database.

    Args:
        client: signed in to the database.
        base_url: where people open Odoo.
        journal: code of the journal of every company that our entries go to.
        key_module: module name of the external ids that hold our keys.
    """

    #: Lines are written entry by entry; larger batches gain little, and lose more when one entry is refused.
    batch_size = 50

    def __init__(self, client: Client, *, base_url: str, journal: str, key_module: str = "retail_assets") -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._journal = journal
        self._key_module = key_module
        self._fields: dict[str, frozenset[str]] = {}
        self._companies_seen: dict[int, _Company] = {}
        self._accounts: dict[int, dict[str, _Account]] = {}
        self._codes: dict[int, dict[int, str]] = {}
        self._journals: dict[int, int] = {}
        self._currencies: dict[str, int] = {}
        self._cost_centres: dict[tuple[int, str], int] = {}
        self._cost_centre_codes: dict[str, str] = {}

    def check(self) -> list[str]:
        """What stands in the way of posting exactly once; ``prepare`` makes a missing journal."""
        self._reading(self._client.log_in)
        problems = []
        for model, what in ((_EXTERNAL_ID, "external ids, where our keys are kept"), (_MOVE, "journal entries")):
            try:
                self._search(model, [], ["id"], limit=1)
            except RejectedByErp as error:
                problems.append(f"{error.message}: the user must be able to read {what}")
        return problems or self._journal_problems()

    def prepare(self) -> None:
        """Make the journal in every company of the user that has a chart of accounts, if it is nowhere yet.

        Raises:
            RejectedByErp: Odoo refused, for example because the user may not make journals.
        """
        if self._journal_records():
            return
        for company in self._companies().values():
            if not self._load_accounts(company):
                continue
            values = {"name": _JOURNAL_NAME, "code": self._journal, "type": "general", "company_id": company.id}
            self._change("account.journal", "create", None, {"vals_list": [values]}, company)

    def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        """The entries that hold these keys, drafts too. One without lines is only a claim, for ``post``."""
        claims = self._claims(keys)
        states = self._states(claims.values())
        return {key: str(move) for key, move in claims.items() if move in states and not states[move].is_claim_only}

    def post(self, entries: Sequence[JournalEntry]) -> list[str]:
        """Claim the keys, fill the drafts, post them; see ``Poster.post``. Claims of an earlier attempt are replaced.

        Raises:
            RejectedByErp: also for an entry in a locked period, which Odoo would move to another month.
        """
        company = self._company(entries)
        headers = [self._header_of(entry, company) for entry in entries]
        lines = [self._lines_of(entry, company) for entry in entries]
        for entry in entries:
            _require_open(company, entry.posting_date)
        moves = self._claim(entries, headers, company)
        try:
            for move, header, replaced in zip(moves, headers, lines, strict=True):
                values = {"date": header["date"], "ref": header["ref"], "line_ids": [[5, 0, 0], *replaced]}
                self._change(_MOVE, "write", [move], {"vals": values}, company)
            self._change(_MOVE, "action_post", moves, {}, company)
        except RejectedByErp as refusal:
            self._give_back(moves, company, refusal)
            raise
        except ErpUnavailable as error:
            # There are drafts by now, so what was sent must not change any more.
            raise OutcomeUnknown(str(error)) from error
        return [str(move) for move in moves]

    def finish(self, document: str) -> None:
        """Post a complete draft; see ``Poster.finish``.

        Raises:
            RejectedByErp: also if its period was locked in the meantime.
        """
        move = int(document)
        rows = self._search(_MOVE, [["id", "=", move]], ["date", "company_id"])
        if not rows:
            raise RejectedByErp("MissingError", f"the draft {document} is gone from Odoo", "Post again.")
        company = self._company_by_id(rows[0]["company_id"][0], fresh=True)
        try:
            _require_open(company, date.fromisoformat(rows[0]["date"]))
            self._change(_MOVE, "action_post", [move], {}, company)
        except RejectedByErp as refusal:
            self._give_back([move], company, refusal)
            raise

    def read_back(self, documents: Sequence[str]) -> dict[str, PostedDocument]:
        """The entries as they are now, with their lines and the keys of their external ids."""
        moves = [int(document) for document in documents if document.isdecimal()]
        if not moves:
            return {}
        ours = [["module", "=", self._key_module], ["model", "=", _MOVE], ["res_id", "in", moves]]
        keys = {row["res_id"]: row["name"] for row in self._search(_EXTERNAL_ID, ours, ["res_id", "name"])}
        lines: dict[int, list[Record]] = defaultdict(list)
        for line in self._search(_LINE, [["move_id", "in", moves]], _LINE_COLUMNS):
            if line["display_type"] not in _TEXT_LINES:
                lines[line["move_id"][0]].append(line)
        found = {}
        for row in self._search(_MOVE, [["id", "in", moves]], ["state", "date", "company_id"]):
            company = self._company_by_id(row["company_id"][0])
            found[str(row["id"])] = PostedDocument(
                document=str(row["id"]),
                key=keys.get(row["id"]),
                company=company.name,
                posting_date=date.fromisoformat(row["date"]),
                state=_STATES[row["state"]],
                lines=tuple(self._posted(line, company) for line in lines[row["id"]]),
                line_currency="line",
            )
        return found

    def document_url(self, document: str) -> str:
        """The entry in Odoo's own user interface."""
        return f"{self._base_url}/web#id={document}&model={_MOVE}&view_type=form"

    def books_closed_until(self, company: str) -> date | None:
        """The last day on which no entry can be posted any more; None if every day is open."""
        return self._named_company(company).locked_until

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    # The entry as Odoo wants it

    def _header_of(self, entry: JournalEntry, company: _Company) -> dict[str, str]:
        if any(character.isspace() for character in entry.key):
            raise RejectedByErp(
                "KeyWithSpace", f"{entry.key!r} has a space, which no external id may have", "Change the entry id."
            )
        return {
            "id": f"{self._key_module}.{entry.key}",
            "journal_id/.id": str(self._journal_of(company)),
            "date": entry.posting_date.isoformat(),
            "ref": f"{entry.key}: {entry.memo}" if entry.memo else entry.key,
        }

    def _lines_of(self, entry: JournalEntry, company: _Company) -> list[list[Any]]:
        self._require_currencies({line.currency_code for line in entry.lines})
        return [[0, 0, self._line_of(entry, line, company)] for line in entry.lines]

    def _line_of(self, entry: JournalEntry, line: JournalLine, company: _Company) -> Record:
        account = self._account(company, line.account_code)
        if account.currency not in (None, company.currency, line.currency_code):
            raise RejectedByErp(
                "AccountCurrency",
                f"account {line.account_code} of {company.name} is kept in {account.currency} and cannot hold a line "
                f"in {line.currency_code}",
                "Map the line to an account in its own currency or to one that is kept in none.",
            )
        for amount in (line.debit, line.credit, line.base_debit, line.base_credit):
            if len(amount.normalize().as_tuple().digits) > _DIGITS_OF_A_FLOAT:
                raise RejectedByErp(
                    "AmountTooLong",
                    f"{amount} has more than the {_DIGITS_OF_A_FLOAT} digits that Odoo computes with",
                    "Post a smaller part of it, or round it.",
                )
        return {
            "account_id": account.id,
            "name": line.memo or entry.memo,
            "currency_id": self._currencies[line.currency_code],
            "amount_currency": line.debit - line.credit,
            "debit": line.base_debit,
            "credit": line.base_credit,
            # An account's default taxes would add lines of their own.
            "tax_ids": [[6, 0, []]],
            **({"analytic_distribution": self._distribution(company, line.cost_centre)} if line.cost_centre else {}),
        }

    # What Odoo has

    def _company(self, entries: Sequence[JournalEntry]) -> _Company:
        company = self._named_company(entries[0].company)
        for entry in entries:
            if entry.company != company.name:
                raise ValueError(f"{entry.key} is for {entry.company}, but {entries[0].key} is for {company.name}")
            if company.currency != entry.base_currency_code:
                raise RejectedByErp(
                    "BaseCurrency",
                    f"the books of {company.name} are in {company.currency}, the entry is in "
                    f"{entry.base_currency_code}",
                    "Correct base_currency or company of the entity in retail.yaml.",
                )
        return company

    def _named_company(self, name: str) -> _Company:
        company = self._companies().get(name)
        if company is None:
            raise RejectedByErp(
                "UnknownCompany",
                f"Odoo has no company {name} that the user may work in",
                "Correct company of the entity in retail.yaml (it is Odoo's own name), or give the user the company.",
            )
        return company

    def _company_by_id(self, identity: int, *, fresh: bool = False) -> _Company:
        if fresh or identity not in self._companies_seen:
            self._companies()
        return self._companies_seen[identity]

    def _companies(self) -> dict[str, _Company]:
        """The user's companies by name, read each time: a lock may have been set a moment ago."""
        locks = [name for name in _LOCKS if name in self._fields_of("res.company")]
        rows = {row["id"]: row for row in self._search("res.company", [], ["name", "currency_id", "parent_id", *locks])}
        companies = {}
        for row in rows.values():
            chain = [row]
            while chain[-1]["parent_id"] and chain[-1]["parent_id"][0] in rows:
                chain.append(rows[chain[-1]["parent_id"][0]])
            days = [date.fromisoformat(link[lock]) for link in chain for lock in locks if link[lock]]
            companies[row["name"]] = _Company(
                id=row["id"],
                name=row["name"],
                currency=row["currency_id"][1],
                chain=tuple(link["id"] for link in chain),
                locked_until=max(days, default=None),
            )
        self._companies_seen = {company.id: company for company in companies.values()}
        return companies

    def _account(self, company: _Company, code: str) -> _Account:
        account = self._accounts_of(company).get(code) or self._load_accounts(company).get(code)
        if account is None or not account.is_open:
            raise RejectedByErp(
                "UnknownAccount" if account is None else "DisabledAccount",
                f"{company.name} has no open account with the code {code}",
                "Create or reactivate it in Odoo, or correct the account mapping.",
            )
        return account

    def _accounts_of(self, company: _Company) -> dict[str, _Account]:
        return self._accounts[company.id] if company.id in self._accounts else self._load_accounts(company)

    def _load_accounts(self, company: _Company) -> dict[str, _Account]:
        # From series 18 on companies share accounts, and the code depends on the company.
        known = self._fields_of("account.account")
        owner = "company_ids" if "company_ids" in known else "company_id"
        columns = [name for name in ("code", "currency_id", "deprecated", "active") if name in known]
        rows = self._search("account.account", [[owner, "in", list(company.chain)]], columns, company=company)
        self._accounts[company.id] = {
            row["code"]: _Account(
                id=row["id"],
                currency=row["currency_id"][1] if row["currency_id"] else None,
                is_open=not row.get("deprecated") and row.get("active") is not False,
            )
            for row in rows
            if row["code"]
        }
        self._codes[company.id] = {account.id: code for code, account in self._accounts[company.id].items()}
        return self._accounts[company.id]

    def _distribution(self, company: _Company, code: str) -> dict[str, int]:
        """All of a line to one analytic account."""
        known = (company.id, code)
        if known not in self._cost_centres:
            owners = ["|", ["company_id", "=", False], ["company_id", "in", list(company.chain)], ["code", "=", code]]
            rows = self._search(_ANALYTIC, owners, ["code", "active"], company=company)
            found = [row["id"] for row in rows if row["active"]]
            if len(found) != 1:
                raise RejectedByErp(
                    "AmbiguousCostCentre" if found else "UnknownCostCentre",
                    f"{company.name} has {'several analytic accounts' if found else 'no analytic account'} with the "
                    f"reference {code}",
                    "Give one analytic account this reference in Odoo, or correct cost_centres.csv.",
                )
            self._cost_centres[known] = found[0]
        return {str(self._cost_centres[known]): _WHOLE}

    def _cost_centre_of(self, distribution: Any) -> str:
        """The reference of the analytic account that has all of it; as Odoo has it where that is not so."""
        if not distribution:
            return ""
        (identity, percent), *others = distribution.items()
        if others or _decimal(percent) != _WHOLE or not identity.isdecimal():
            return str(distribution)
        if identity not in self._cost_centre_codes:
            rows = self._search(_ANALYTIC, [["id", "=", int(identity)]], ["code"])
            self._cost_centre_codes[identity] = (rows[0]["code"] if rows else "") or identity
        return self._cost_centre_codes[identity]

    def _require_currencies(self, codes: Iterable[str]) -> None:
        missing = sorted(set(codes) - self._currencies.keys())
        if not missing:
            return
        # The client asks for what is archived, too.
        rows = self._search("res.currency", [["name", "in", missing], ["active", "=", True]], ["name"])
        self._currencies.update({row["name"]: row["id"] for row in rows})
        absent = sorted(set(missing) - self._currencies.keys())
        if absent:
            raise RejectedByErp(
                "UnknownCurrency",
                f"the currency {', '.join(absent)} is not active in Odoo",
                "Activate it in Odoo, under Accounting: Currencies.",
            )

    def _journal_of(self, company: _Company) -> int:
        if company.id not in self._journals:
            owners = {row["company_id"][0]: row["id"] for row in self._journal_records() if row["active"]}
            # A branch posts to its own journal if it has one, else to that of the company above it.
            found = next((owners[owner] for owner in company.chain if owner in owners), None)
            if found is None:
                raise RejectedByErp(
                    "UnknownJournal",
                    f"{company.name} has no active journal with the code {self._journal}",
                    "Create it in Odoo (type Miscellaneous), or correct journal of the ERP in retail.yaml.",
                )
            self._journals[company.id] = found
        return self._journals[company.id]

    def _journal_records(self) -> list[Record]:
        return self._search("account.journal", [["code", "=", self._journal]], ["type", "active", "company_id"])

    def _journal_problems(self) -> list[str]:
        found = [row for row in self._journal_records() if row["active"]]
        if not found:
            return [
                f"Odoo has no active journal with the code {self._journal}: create one of type Miscellaneous in each "
                "company, or name another one as journal of the ERP in retail.yaml"
            ]
        return [
            f"the journal {self._journal} of {row['company_id'][1]} is of type {row['type']}: it must be Miscellaneous "
            "(general), since others number and check their entries in ways of their own"
            for row in found
            if row["type"] != "general"
        ]

    # The way to a posted entry

    def _claims(self, keys: Sequence[str]) -> dict[str, int]:
        claims = {}
        domain = [["module", "=", self._key_module], ["name", "in", list(keys)]]
        for row in self._search(_EXTERNAL_ID, domain, ["name", "model", "res_id"]):
            if row["model"] != _MOVE:
                raise RejectedByErp(
                    "KeyClash",
                    f"the external id {self._key_module}.{row['name']} belongs to a record of {row['model']}",
                    "Name another key_module for the ERP in retail.yaml.",
                )
            claims[row["name"]] = row["res_id"]
        return claims

    def _states(self, moves: Iterable[int]) -> dict[int, _State]:
        ids = sorted(moves)
        rows = self._search(_MOVE, [["id", "in", ids]], ["state", "posted_before", "line_ids"]) if ids else []
        return {row["id"]: _State(row["state"], row["posted_before"], bool(row["line_ids"])) for row in rows}

    def _claim(
        self, entries: Sequence[JournalEntry], headers: Sequence[Mapping[str, str]], company: _Company
    ) -> list[int]:
        """A new draft without lines for each entry."""
        keys = [entry.key for entry in entries]
        left = self._claims(keys)
        states = self._require_claims_only(left)
        stale = [move for move in left.values() if move in states]
        if stale:
            # One that may not be deleted is used again.
            with suppress(RejectedByErp):
                self._change(_MOVE, "unlink", stale, {}, company)
        arguments = {"fields": list(headers[0]), "data": [list(header.values()) for header in headers]}
        answer = self._change(_MOVE, "load", None, arguments, company, _ONLY_NEW)
        ids = answer.get("ids") if isinstance(answer, dict) else None
        if isinstance(ids, list) and len(ids) == len(entries) and all(isinstance(move, int) for move in ids):
            # Somebody else may have been faster: only what is read now decides.
            self._require_claims_only(dict(zip(keys, ids, strict=True)))
            return ids
        if not isinstance(answer, dict) or ids is not False:
            raise OutcomeUnknown(f"{', '.join(keys)}: load answered {str(answer)[:200]}, which is not Odoo's answer")
        words = " ".join(" ".join(str(message.get("message")).split()) for message in answer.get("messages") or [])
        if _SERIALIZATION in words:
            raise KeyAlreadyUsed("ConcurrentClaim", "somebody else is claiming the same keys", "Look them up.")
        raise RejectedByErp("LoadRefused", words or "Odoo gives no reason", _DEFAULT_ADVICE)

    def _require_claims_only(self, claims: Mapping[str, int]) -> dict[int, _State]:
        states = self._states(claims.values())
        for key, move in claims.items():
            if move in states and not states[move].is_claim_only:
                raise KeyAlreadyUsed("KeyAlreadyUsed", f"{key} is {states[move].state} as {move}", "Look it up.")
        return states

    def _give_back(self, moves: Sequence[int], company: _Company, refusal: RejectedByErp) -> None:
        """Leave nothing behind a refusal.

        Raises:
            KeyAlreadyUsed: one of them is posted after all, by a request whose answer was lost.
            OutcomeUnknown: the drafts could not be removed.
        """
        try:
            states = self._states(moves)
            if any(state.state != "draft" for state in states.values()):
                raise KeyAlreadyUsed("KeyAlreadyUsed", refusal.message, "Look it up.") from refusal
            self._withdraw([move for move, state in states.items() if not state.posted_before], company)
        except KeyAlreadyUsed:
            raise
        except ErpError as error:
            raise OutcomeUnknown(f"{refusal}; drafts of it are left, since {error}") from error

    def _withdraw(self, drafts: Sequence[int], company: _Company) -> None:
        if not drafts:
            return
        try:
            self._change(_MOVE, "unlink", drafts, {}, company)
        except RejectedByErp:
            # The first draft of a month has a number, and cannot go once others follow: it stays as a claim.
            for move in drafts:
                self._change(_MOVE, "write", [move], {"vals": {"line_ids": [[5, 0, 0]]}}, company)

    def _posted(self, line: Record, company: _Company) -> PostedLine:
        amount = _decimal(line["amount_currency"])
        return PostedLine(
            account_code=self._code_of(line["account_id"], company),
            debit=max(amount, Decimal(0)),
            credit=max(-amount, Decimal(0)),
            currency_code=line["currency_id"][1],
            base_debit=_decimal(line["debit"]),
            base_credit=_decimal(line["credit"]),
            cost_centre=self._cost_centre_of(line["analytic_distribution"]),
        )

    def _code_of(self, account: Any, company: _Company) -> str:
        identity, shown = account
        codes = self._codes.get(company.id, {})
        if identity not in codes:
            self._load_accounts(company)
            codes = self._codes[company.id]
        return codes.get(identity, str(shown))

    # Requests, and what became of them

    def _fields_of(self, model: str) -> frozenset[str]:
        if model not in self._fields:
            self._fields[model] = frozenset(self._reading(lambda: self._client.fields(model)))
        return self._fields[model]

    def _search(
        self,
        model: str,
        domain: Sequence[Any],
        columns: Sequence[str],
        *,
        limit: int | None = None,
        company: _Company | None = None,
    ) -> list[Record]:
        context = company.context if company else {}
        rows = self._reading(lambda: self._client.search_read(model, domain, columns, limit=limit, context=context))
        return [_DECODE.decode(row) for row in rows]

    def _reading(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except NotOfferedError as error:
            raise RejectedByErp("AccessError", str(error), _RIGHTS) from error
        except ErpRefusedError as error:
            raise self._refusal(error) from error
        except HttpStatusError as error:
            raise ErpUnavailable(str(error), error.retry_after) from error
        except (HttpUnavailableError, UnexpectedAnswerError, CredentialsError) as error:
            raise ErpUnavailable(str(error)) from error

    def _change(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None,
        arguments: Mapping[str, Any],
        company: _Company,
        context: Mapping[str, Any] = _NO_CONTEXT,
    ) -> Any:
        try:
            return self._client.change(model, method, ids, arguments, context={**company.context, **context})
        except NotOfferedError as error:
            raise RejectedByErp("AccessError", str(error), _RIGHTS) from error
        except ErpRefusedError as error:
            raise self._refusal(error) from error
        except CredentialsError as error:
            raise ErpUnavailable(str(error)) from error
        except HttpStatusError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.REQUEST_TIMEOUT:
                raise OutcomeUnknown(f"{model}.{method}: {error}") from error
            raise ErpUnavailable(str(error), error.retry_after) from error
        except (HttpUnavailableError, UnexpectedAnswerError) as error:
            raise OutcomeUnknown(f"{model}.{method}: {error}") from error

    @staticmethod
    def _refusal(error: ErpRefusedError) -> RejectedByErp | ErpUnavailable:
        if not error.kind or error.kind.startswith(_TRANSIENT):
            return ErpUnavailable(str(error))
        if _ACCOUNT_CONSTRAINT in error.reason:
            # Odoo's own words are about a deletion.
            message = "an account of the entry does not exist any more"
            return RejectedByErp(
                "UnknownAccount", message, "Post again; correct the account mapping if that is no help."
            )
        return RejectedByErp(error.kind.rpartition(".")[2], error.reason, _ADVICE.get(error.kind, _DEFAULT_ADVICE))


def _require_open(company: _Company, day: date) -> None:
    if company.locked_until is not None and day <= company.locked_until:
        raise RejectedByErp(
            "LockedPeriod",
            f"{company.name} is locked up to {company.locked_until}: Odoo would post an entry of {day} in a later "
            "month without saying so",
            "Let the entry be dated in the first open period, or move the lock date in Odoo.",
        )


def _decimal(value: Any) -> Decimal:
    return Decimal(value or 0)
