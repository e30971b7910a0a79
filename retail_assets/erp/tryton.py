"""Journal entries in Tryton 8.0, over its JSON-RPC.

What Tryton does decides how this is done:

- A move is created as a draft and then posted: two calls. Between them a crash leaves drafts, which are finished.
- Nothing is unique out of the box. The key lives in a field that a small module of ours brings (``tryton_modules``),
  with a constraint of the database; whether it holds is tried before anything is posted.
- On SQLite it posts what does not balance, so entries are added up here.
- A date needs an open period. A line has its own currency; base amounts are taken as sent.
- Errors come with HTTP 200. Only a ``UserError`` is a refusal; anything else may have come after the commit.
- Amounts travel as decimals in text, digit for digit.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from retail_assets.erp.errors import (
    CredentialsError,
    ErpRefusedError,
    NotOfferedError,
    UnexpectedAnswerError,
)
from retail_assets.erp.protocol import (
    ErpUnavailable,
    JournalEntry,
    JournalLine,
    KeyAlreadyUsed,
    OutcomeUnknown,
    PostedDocument,
    PostedLine,
    RejectedByErp,
)
from retail_assets.erp.tryton_client import TrytonClient
from retail_assets.http import HttpStatusError, HttpUnavailableError

_MOVE: Final = "model.account.move"
_MODULE_ADVICE: Final = "activate the module platform_ref that retail-assets ships (docs/erp.md)"
_DEFAULT_ADVICE: Final = "Mend the cause in Tryton or in the account mapping, then post again."
_LINE_FIELDS: Final = ("account", "debit", "credit", "second_currency", "amount_second_currency")
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Company:
    id: int
    name: str
    currency: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class _Account:
    id: int
    code: str
    second_currency: int | None
    party_required: bool
    is_payable: bool


@dataclass(frozen=True, slots=True)
class _Chart:
    """A company's accounts: the code of each, and those that can be posted to, by code."""

    codes: Mapping[int, str]
    usable: Mapping[str, Sequence[_Account]]


@dataclass(frozen=True, slots=True)
class _Period:
    id: int
    first: date
    last: date
    state: str


class TrytonPoster:
    """Posts to one Tryton database.

    Args:
        client: signed in with login and password: the key of a user application cannot post in batches.
        web_address: of the database in the web client.
        key_field: the field of account.move that holds our key.
        journal: code of the journal that entries are posted to.
        customer: Tryton wants a party on accounts that say so; this one stands for all customers of the web stores,
            whose names have no place in the ledger.
    """

    #: As measured: 200 in one call are slower, and with 50 the look-up and the read-back of each call weigh more.
    batch_size = 100

    def __init__(
        self,
        client: TrytonClient,
        *,
        web_address: str,
        key_field: str = "platform_ref",
        journal: str = "WEB",
        customer: str = "Web Customers",
    ) -> None:
        self._client = client
        self._web_address = web_address
        self._key_field = key_field
        self._journal_code = journal
        self._customer = customer
        self._companies: dict[int, _Company] = {}
        self._currencies: dict[str, int] = {}
        self._charts: dict[int, _Chart] = {}
        self._periods: dict[int, list[_Period]] = {}
        self._journal: int | None = None
        self._party: int | None = None

    def check(self) -> list[str]:
        """What stands in the way of posting exactly once: the key field and its constraint, above all.

        The constraint is tried: two moves with one key in one call, which leaves nothing where it holds.
        """
        if not self._has_key_field():
            return [f"Tryton has no field {self._key_field} on account.move: {_MODULE_ADVICE}"]
        problems = []
        if self._find_journal() is None:
            problems.append(f"Tryton has no journal with the code {self._journal_code}: create it, of type General")
        if self._find_party() is None:
            problems.append(
                f"Tryton has no party {self._customer}, the party of receivables from web stores: create it"
            )
        return problems or self._constraint_problems()

    def prepare(self) -> None:
        """Create the journal and the party that stands for all; the key field needs our module in Tryton itself.

        Raises:
            RejectedByErp: the module is not activated, or Tryton refused.
        """
        if self._find_journal() is None:
            journal = {"name": "Web Stores", "code": self._journal_code, "type": "general"}
            self._change("model.account.journal.create", [journal], {})
        if self._find_party() is None:
            self._change("model.party.party.create", [{"name": self._customer}], {})
        problems = self.check()
        if problems:
            raise RejectedByErp("NotReady", "; ".join(problems), "See the section on Tryton in docs/erp.md.")

    def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        """The moves with these keys, drafts as well."""
        if not keys:
            return {}
        rows = self._records("account.move", [[self._key_field, "in", list(keys)]], [self._key_field], {})
        return {row[self._key_field]: str(row["id"]) for row in rows}

    def post(self, entries: Sequence[JournalEntry]) -> list[str]:
        """Create drafts in one call and post them in another; see ``Poster.post``. Refused drafts are removed."""
        context = {"company": self._company(entries[0].company).id}
        try:
            ids = self._change(f"{_MOVE}.create", [self._move(entry) for entry in entries], context)
        except RejectedByErp:
            # An account or a period may have changed since it was read.
            self._forget()
            raise
        self._post(ids, context)
        return [str(identity) for identity in ids]

    def finish(self, document: str) -> None:
        """Post a draft; see ``Poster.finish``."""
        self._post([int(document)], {})

    def read_back(self, documents: Sequence[str]) -> dict[str, PostedDocument]:
        """The moves as they are now, with their lines, in one call."""
        ids = [int(document) for document in documents]
        names = [*("company", "date", "state", self._key_field), *(f"lines.{name}" for name in _LINE_FIELDS)]
        found = self._records("account.move", [["id", "in", ids]], names, {})
        return {str(row["id"]): self._posted(row) for row in found}

    def document_url(self, document: str) -> str:
        """The document in Tryton's web client."""
        return f"{self._web_address}/model/account.move/{document}"

    def books_closed_until(self, company: str) -> date | None:
        """The last day before the first open period; None if nothing is closed before it."""
        periods = self._load_periods(self._company(company))
        first_open = min((period.first for period in periods if period.state == "open"), default=date.max)
        return max((period.last for period in periods if period.last < first_open), default=None)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    # What is sent

    def _post(self, ids: Sequence[int], context: Mapping[str, Any]) -> None:
        try:
            self._change(f"{_MOVE}.post", ids, context)
        except RejectedByErp as refused:
            self._forget()
            self._remove(ids, context, refused)
            raise
        except ErpUnavailable as error:
            raise OutcomeUnknown(f"drafts {ids} may not have been posted: {error}") from error

    def _remove(self, ids: Sequence[int], context: Mapping[str, Any], refused: RejectedByErp) -> None:
        try:
            self._change(f"{_MOVE}.delete", ids, context)
        except (RejectedByErp, ErpUnavailable) as error:
            # Posted after all, when a proxy delivered the request twice; or still drafts. Looking up tells.
            raise OutcomeUnknown(f"refused, but drafts {ids} could not be removed: {refused}; {error}") from error

    def _move(self, entry: JournalEntry) -> dict[str, Any]:
        company = self._company(entry.company)
        if company.currency_code != entry.base_currency_code:
            raise RejectedByErp(
                "BaseCurrency",
                f"the books of {company.name} are in {company.currency_code}, the entry is in "
                f"{entry.base_currency_code}",
                "Correct base_currency or company of the entity in retail.yaml.",
            )
        balance = sum((line.base_debit - line.base_credit for line in entry.lines), _ZERO)
        if balance:
            raise RejectedByErp(
                "Unbalanced", f"{entry.key} is out of balance by {balance} {company.currency_code}", _DEFAULT_ADVICE
            )
        return {
            "company": company.id,
            "journal": self._find_journal(),
            "period": self._period(company, entry.posting_date).id,
            "date": entry.posting_date,
            "description": entry.memo,
            self._key_field: entry.key,
            "lines": [["create", [self._line(company, line) for line in entry.lines]]],
        }

    def _line(self, company: _Company, line: JournalLine) -> dict[str, Any]:
        account = self._account(company, line.account_code)
        values: dict[str, Any] = {
            "account": account.id,
            "debit": line.base_debit,
            "credit": line.base_credit,
            "description": line.memo,
        }
        if line.cost_centre:
            raise RejectedByErp(
                "CostCentre",
                f"a line on account {account.code} has the cost centre {line.cost_centre}, which a Tryton without its "
                "module for analytic accounts cannot hold",
                "Take the rows of this entity out of cost_centres.csv.",
            )
        currency = None if line.currency_code == company.currency_code else self._currency(line.currency_code)
        if account.second_currency not in (None, currency):
            raise RejectedByErp(
                "AccountCurrency",
                f"account {account.code} cannot hold a line in {line.currency_code}: it has another second currency",
                "Clear the account's second currency in Tryton, or map the line to another account.",
            )
        if currency is not None:
            values |= {"second_currency": currency, "amount_second_currency": line.debit - line.credit}
        if account.party_required:
            values["party"] = self._party_of(account)
        return values

    def _party_of(self, account: _Account) -> int | None:
        if account.is_payable:
            raise RejectedByErp(
                "PartyRequired",
                f"account {account.code} is a payable, so Tryton wants a supplier on every line",
                "Clear Party Required of the account in Tryton, or map the role to another account.",
            )
        return self._find_party()

    # What is read back

    def _posted(self, row: Mapping[str, Any]) -> PostedDocument:
        company = self._companies_by_id()[row["company"]]
        codes, lines = self._chart(company).codes, row["lines."]
        if any(line["account"] not in codes for line in lines):
            codes = self._load_chart(company).codes
        return PostedDocument(
            document=str(row["id"]),
            key=row[self._key_field],
            company=company.name,
            posting_date=row["date"],
            state=row["state"],
            lines=tuple(self._posted_line(company, line, codes.get(line["account"], "")) for line in lines),
            line_currency="line",
        )

    def _posted_line(self, company: _Company, line: Mapping[str, Any], account_code: str) -> PostedLine:
        debit, credit = line["debit"], line["credit"]
        foreign, code = line["amount_second_currency"], company.currency_code
        if line["second_currency"] is not None:
            code = self._currency_code(line["second_currency"])
            debit, credit = max(foreign, _ZERO), max(-foreign, _ZERO)
        return PostedLine(account_code, debit, credit, code, line["debit"], line["credit"])

    # What Tryton has: looked up once, and again when something is missing

    def _company(self, name: str) -> _Company:
        for companies in (self._companies_by_id, self._load_companies):
            found = [company for company in companies().values() if company.name == name]
            if found:
                break
        if len(found) != 1:
            how_many = "several companies" if found else "no company"
            raise RejectedByErp(
                "AmbiguousCompany" if found else "UnknownCompany",
                f"Tryton shows {how_many} {name} to our user",
                "Correct company of the entity in retail.yaml (the name of its party), or give the user this company "
                "and the company filter All.",
            )
        return found[0]

    def _companies_by_id(self) -> dict[int, _Company]:
        return self._companies or self._load_companies()

    def _load_companies(self) -> dict[int, _Company]:
        rows = self._records("company.company", [], ["rec_name", "currency.code"], {})
        companies = (
            _Company(row["id"], row["rec_name"], row["currency."]["id"], row["currency."]["code"]) for row in rows
        )
        self._companies = {company.id: company for company in companies}
        return self._companies

    def _account(self, company: _Company, code: str) -> _Account:
        found = self._chart(company).usable.get(code) or self._load_chart(company).usable.get(code, ())
        if len(found) != 1:
            how_many = "several open accounts" if found else "no open account"
            raise RejectedByErp(
                "AmbiguousAccount" if found else "UnknownAccount",
                f"{company.name} has {how_many} with the code {code}",
                "Give it a code of its own in Tryton, or correct the account mapping."
                if found
                else "Create or open it in Tryton (with a type), or correct the account mapping.",
            )
        return found[0]

    def _chart(self, company: _Company) -> _Chart:
        return self._charts[company.id] if company.id in self._charts else self._load_chart(company)

    def _load_chart(self, company: _Company) -> _Chart:
        fields = ["code", "second_currency", "party_required", "closed", "type.payable"]
        rows = self._records("account.account", [["company", "=", company.id]], fields, {"company": company.id})
        usable: dict[str, list[_Account]] = defaultdict(list)
        for row in rows:
            code, kind = row["code"] or "", row["type."]
            if kind and not row["closed"]:
                required = bool(row["party_required"])
                usable[code].append(_Account(row["id"], code, row["second_currency"], required, kind["payable"]))
        self._charts[company.id] = _Chart({row["id"]: row["code"] or "" for row in rows}, dict(usable))
        return self._charts[company.id]

    def _period(self, company: _Company, day: date) -> _Period:
        for periods in (self._periods_of, self._load_periods):
            for period in periods(company):
                if period.first <= day <= period.last and period.state == "open":
                    return period
        of_day = [period for period in self._periods[company.id] if period.first <= day <= period.last]
        closed = "its period is closed" if of_day else "no fiscal year of it has that day"
        raise RejectedByErp(
            "ClosedPeriod" if of_day else "NoPeriod",
            f"{company.name} cannot be posted to on {day}: {closed}",
            "Reopen the period, or let the entry be dated in the first open one."
            if of_day
            else "Create the fiscal year and its periods in Tryton.",
        )

    def _periods_of(self, company: _Company) -> list[_Period]:
        return self._periods[company.id] if company.id in self._periods else self._load_periods(company)

    def _load_periods(self, company: _Company) -> list[_Period]:
        domain = [["company", "=", company.id], ["type", "=", "standard"]]
        rows = self._records("account.period", domain, ["start_date", "end_date", "state"], {"company": company.id})
        self._periods[company.id] = [
            _Period(row["id"], row["start_date"], row["end_date"], row["state"]) for row in rows
        ]
        return self._periods[company.id]

    def _currency(self, code: str) -> int:
        if code not in self._currencies and code not in self._load_currencies():
            raise RejectedByErp("UnknownCurrency", f"Tryton has no currency {code}", "Create it in Tryton.")
        return self._currencies[code]

    def _currency_code(self, identity: int) -> str:
        if identity not in self._currencies.values():
            self._load_currencies()
        return next(code for code, each in self._currencies.items() if each == identity)

    def _load_currencies(self) -> dict[str, int]:
        rows = self._records("currency.currency", [], ["code"], {"active_test": False})
        self._currencies = {row["code"]: row["id"] for row in rows}
        return self._currencies

    def _find_journal(self) -> int | None:
        if self._journal is None:
            rows = self._records("account.journal", [["code", "=", self._journal_code]], ["id"], {}, limit=1)
            self._journal = rows[0]["id"] if rows else None
        return self._journal

    def _find_party(self) -> int | None:
        if self._party is None:
            rows = self._records("party.party", [["name", "=", self._customer]], ["id"], {}, limit=1)
            self._party = rows[0]["id"] if rows else None
        return self._party

    def _forget(self) -> None:
        self._charts.clear()
        self._periods.clear()

    # Whether posting twice is impossible

    def _has_key_field(self) -> bool:
        try:
            self._records("account.move", [], [self._key_field], {}, limit=1)
        except _BrokeDownError:
            return False
        return True

    def _constraint_problems(self) -> list[str]:
        for company in self._load_companies().values():
            period = next((each for each in self._load_periods(company) if each.state == "open"), None)
            if period is not None:
                break
        else:
            return ["no company that Tryton shows to our user has an open period: nothing can be posted"]
        move = {
            "company": company.id,
            "journal": self._find_journal(),
            "period": period.id,
            "date": period.first,
            self._key_field: f"check/{uuid.uuid4().hex}",
        }
        context = {"company": company.id}
        try:
            ids = self._change(f"{_MOVE}.create", [move, move], context)
        except KeyAlreadyUsed:
            return []
        except RejectedByErp as error:
            return [f"whether Tryton refuses a second move with one key could not be tried: {error.message}"]
        self._change(f"{_MOVE}.delete", ids, context)
        return [f"two moves with one {self._key_field} are accepted: {_MODULE_ADVICE}"]

    # The wire

    def _records(
        self, model: str, domain: Sequence[Any], fields: Sequence[str], context: Mapping[str, Any], **rest: Any
    ) -> list[dict[str, Any]]:
        try:
            return self._client.records(model, domain, fields, context, **rest)
        except (HttpUnavailableError, CredentialsError, UnexpectedAnswerError) as error:
            raise ErpUnavailable(str(error)) from error
        except HttpStatusError as error:
            raise ErpUnavailable(str(error), error.retry_after) from error
        except NotOfferedError as error:
            raise _no_right(error) from error
        except ErpRefusedError as error:
            raise _BrokeDownError(str(error)) from error

    def _change(self, method: str, *arguments: Any) -> Any:
        with self._in_our_words():
            return self._client.change(method, *arguments)

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (HttpUnavailableError, UnexpectedAnswerError) as error:
            raise OutcomeUnknown(str(error)) from error
        except HttpStatusError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.REQUEST_TIMEOUT:
                raise OutcomeUnknown(str(error)) from error
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise ErpUnavailable(str(error), error.retry_after) from error
            raise RejectedByErp(f"HTTP {error.status}", str(error), _DEFAULT_ADVICE) from error
        except CredentialsError as error:
            raise ErpUnavailable(str(error)) from error
        except NotOfferedError as error:
            raise _no_right(error) from error
        except ErpRefusedError as error:
            if not error.kind:
                raise OutcomeUnknown(str(error)) from error
            if self._key_field in error.reason:
                raise KeyAlreadyUsed(error.kind, error.reason, "Look the key up.") from error
            raise RejectedByErp(error.kind, error.reason, _DEFAULT_ADVICE) from error


class _BrokeDownError(ErpUnavailable):
    """Tryton could not answer a question; that is how it says that it has no such field."""


def _no_right(error: NotOfferedError) -> RejectedByErp:
    return RejectedByErp("AccessError", str(error), "Give the API user the group Accounting in Tryton.")
