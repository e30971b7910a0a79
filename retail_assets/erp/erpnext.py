"""Journal entries in ERPNext 15, over its REST interface.

What ERPNext does decides how this is done:

- Journal Entries sent with ``docstatus`` 1 are created and submitted in one transaction, up to 200 at once; a refusal
  leaves nothing of any of them.
- The key lives in a custom field with a unique index. Fields that do not exist are ignored without a word, so the field
  is checked before anything is posted, and read back afterwards.
- Base amounts are recomputed as account amount times rate, two digits; sent ones are ignored. A foreign line without a
  rate silently takes 1.0, so the rate is on every line.
- Amounts go out as JSON numbers, digit for digit from the decimal (ERPNext compares some of them before it converts
  them, which fails on strings), and come back parsed as decimals: no float in between.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec
import requests
from requests.auth import AuthBase

from retail_assets.erp.protocol import (
    DocumentState,
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

#: Longest text a Data field of ERPNext holds, hence the longest key.
LONGEST_KEY: Final = 140

_STATES: Final[Mapping[int, DocumentState]] = {0: "draft", 1: "posted", 2: "cancelled"}
_CENT: Final = Decimal("0.01")
_ONE: Final = Decimal(1)
_RATE_DIGITS: Final = Decimal("1e-9")
_INSERT_MANY: Final = "/api/method/frappe.client.insert_many"
_LONGEST_FILTER: Final = 4000
_LINE_COLUMNS: Final = (
    "parent",
    "account",
    "cost_center",
    "account_currency",
    "debit_in_account_currency",
    "credit_in_account_currency",
    "debit",
    "credit",
)
_NOTHING_DONE: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_JSON: Final = msgspec.json.Encoder(decimal_format="number")

_ADVICE: Final = {
    "LinkValidationError": "Create what is missing in ERPNext, or correct the mapping of accounts or cost centres.",
    "ClosedAccountingPeriod": "Reopen the accounting period, or let the entry be dated in the first open one.",
    "FiscalYearError": "Create the fiscal year in ERPNext.",
    "PermissionError": "Give the API user the role Accounts User for this company.",
}
_DEFAULT_ADVICE: Final = "Mend the cause in ERPNext or in the account mapping, then post again."
_FROZEN: Final = "not authorized to add or update entries before"


class Transport(Protocol):
    """The part of ``HttpClient`` that is used here."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response: ...

    def close(self) -> None: ...


class TokenAuth(AuthBase):
    """ERPNext's token authentication: the key and secret of an API user."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._value = f"token {api_key}:{api_secret}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    number: str | None
    currency: str
    account_type: str
    disabled: bool


class ErpNextPoster:
    """Posts to one ERPNext site.

    Args:
        client: an HTTP client for ``base_url`` that is signed in with ``TokenAuth``.
        key_field: the custom field that holds our key.
        customer: ERPNext wants a party on accounts of type Receivable; this one stands for all customers of the web
            stores, whose names have no place in the ledger.
    """

    #: More in one call are no faster; ERPNext takes at most 200.
    batch_size = 50

    def __init__(
        self, client: Transport, *, base_url: str, key_field: str = "platform_ref", customer: str = "Web Customers"
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._key_field = key_field
        self._customer = customer
        self._accounts: dict[str, dict[str, _Account]] = {}
        self._company_currencies: dict[str, str] = {}

    def check(self) -> list[str]:
        """What stands in the way of posting exactly once: the key field, above all. ``prepare`` mends all of it."""
        self._get("/api/method/frappe.auth.get_logged_user")
        return [*self._key_field_problems(), *self._customer_problems()]

    def prepare(self) -> None:
        """Create what ``check`` misses: the key field and the customer that stands for all. Safe to repeat.

        Raises:
            RejectedByErp: ERPNext refused, for example because the user may not customise.
        """
        self.ensure_key_field()
        if self._customer_problems():
            self._change(
                "POST", _resource("Customer"), {"customer_name": self._customer, "customer_type": "Individual"}
            )

    def ensure_key_field(self) -> None:
        """Create the key field, or make it unique and not copied; needs a user who may customise.

        Raises:
            RejectedByErp: ERPNext refused, for example because two documents carry one key already.
        """
        wanted = {"unique": 1, "no_copy": 1}
        field = self._key_field_record()
        if field is None:
            new = {
                "dt": "Journal Entry",
                "fieldname": self._key_field,
                "label": self._key_field.replace("_", " ").capitalize(),
                "fieldtype": "Data",
                "insert_after": "user_remark",
            }
            self._change("POST", _resource("Custom Field"), new | wanted)
        elif any(field[name] != value for name, value in wanted.items()):
            self._change("PUT", _resource("Custom Field", field["name"]), wanted)

    def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        """The Journal Entries with these keys; a cancelled one keeps its key and is found as well."""
        found: dict[str, str] = {}
        for some in _short(keys):
            rows = self._list("Journal Entry", ["name", self._key_field], [[self._key_field, "in", some]])
            # The database compares without regard to case; another key that differs only in case is not ours.
            for row in rows:
                if row[self._key_field] not in some:
                    raise RejectedByErp(
                        "KeyClash",
                        f"{row['name']} holds the key {row[self._key_field]}, which ERPNext takes for one of ours",
                        "Give the key field a case-sensitive collation in ERPNext's database.",
                    )
            found |= {row[self._key_field]: row["name"] for row in rows}
        return found

    def post(self, entries: Sequence[JournalEntry]) -> list[str]:
        """Create and submit; see ``Poster.post``.

        Raises:
            RejectedByErp: also where ERPNext could only hold an entry with other amounts than the intended ones.
        """
        body = {"docs": [{"doctype": "Journal Entry", **self._document(entry)} for entry in entries]}
        keys = ", ".join(entry.key for entry in entries)
        response = self._send("POST", _INSERT_MANY, body, keys)
        try:
            names = [str(name) for name in _parsed(response)]
        except (ValueError, KeyError, TypeError) as error:
            raise OutcomeUnknown(f"{keys}: the answer is not ERPNext's: {response.content[:200]!r}") from error
        if len(names) != len(entries):
            raise OutcomeUnknown(f"{keys}: ERPNext answered with {len(names)} documents for {len(entries)} entries")
        return names

    def finish(self, document: str) -> None:
        """Submit a draft; see ``Poster.finish``. What we post never is one, but somebody may have set it back."""
        path = _resource("Journal Entry", document)
        try:
            self._send("PUT", path, {"docstatus": 1}, document)
        except RejectedByErp:
            self._send("DELETE", path, {}, document)
            raise

    def read_back(self, documents: Sequence[str]) -> dict[str, PostedDocument]:
        """The Journal Entries as they are now, from a fresh read: the answer to a post can be out of date."""
        headers: list[dict[str, Any]] = []
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for some in _short(documents):
            headers += self._list("Journal Entry", ["*"], [["name", "in", some]])
            filters = [["parent", "in", some]]
            for row in self._list("Journal Entry Account", _LINE_COLUMNS, filters, parent="Journal Entry"):
                rows[row["parent"]].append(row)
        return {header["name"]: self._posted(header, rows[header["name"]]) for header in headers}

    def _posted(self, header: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> PostedDocument:
        company = header["company"]
        numbers = {account.name: account.number for account in self._accounts_of(company).values()}
        if any(row["account"] not in numbers for row in rows):
            numbers = {account.name: account.number for account in self._load_accounts(company).values()}
        return PostedDocument(
            document=header["name"],
            key=header.get(self._key_field),
            company=company,
            posting_date=date.fromisoformat(header["posting_date"]),
            state=_STATES[header["docstatus"]],
            lines=tuple(
                PostedLine(
                    account_code=numbers.get(row["account"]) or row["account"],
                    debit=_decimal(row["debit_in_account_currency"]),
                    credit=_decimal(row["credit_in_account_currency"]),
                    currency_code=row["account_currency"],
                    base_debit=_decimal(row["debit"]),
                    base_credit=_decimal(row["credit"]),
                    cost_centre=row["cost_center"] or "",
                )
                for row in rows
            ),
        )

    def document_url(self, document: str) -> str:
        """The document in ERPNext's own user interface."""
        return f"{self._base_url}/app/journal-entry/{quote(document, safe='')}"

    def books_closed_until(self, company: str) -> date | None:
        """The last day on which no Journal Entry can be posted any more; None if every day is open.

        It is the later of the frozen date of the accounts settings and the last closed accounting period.
        """
        frozen = self._get(_resource("Accounts Settings", "Accounts Settings")).get("acc_frozen_upto")
        days = [date.fromisoformat(frozen)] if frozen else []
        for period in self._list("Accounting Period", ["name", "end_date"], [["company", "=", company]]):
            closed = self._get(_resource("Accounting Period", period["name"])).get("closed_documents") or []
            if any(row["document_type"] == "Journal Entry" and row["closed"] for row in closed):
                days.append(date.fromisoformat(period["end_date"]))
        return max(days, default=None)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _document(self, entry: JournalEntry) -> dict[str, Any]:
        if len(entry.key) > LONGEST_KEY:
            raise RejectedByErp(
                "KeyTooLong", f"{entry.key} has more than {LONGEST_KEY} characters", "Shorten the entry id."
            )
        currency = self._company_currency(entry.company)
        if currency != entry.base_currency_code:
            raise RejectedByErp(
                "BaseCurrency",
                f"the books of {entry.company} are in {currency}, the entry is in {entry.base_currency_code}",
                "Correct base_currency or company of the entity in retail.yaml.",
            )
        rows = [self._row(entry, line) for line in entry.lines]
        return {
            "voucher_type": "Journal Entry",
            "company": entry.company,
            "posting_date": entry.posting_date.isoformat(),
            "user_remark": entry.memo,
            "multi_currency": int(any(row["account_currency"] != currency for row in rows)),
            self._key_field: entry.key,
            "accounts": rows,
            "docstatus": 1,
        }

    def _row(self, entry: JournalEntry, line: JournalLine) -> dict[str, Any]:
        account = self._account(entry.company, line.account_code)
        if account.currency == entry.base_currency_code:
            debit, credit, rate = line.base_debit, line.base_credit, _ONE
        elif account.currency == line.currency_code and (line.debit or line.credit):
            debit, credit, rate = line.debit, line.credit, _reproducing_rate(line)
        else:
            raise RejectedByErp(
                "AccountCurrency",
                f"account {line.account_code} of {entry.company} is kept in {account.currency} and cannot hold a line "
                f"in {line.currency_code if line.debit or line.credit else entry.base_currency_code}",
                "Map the line to an account in its own currency or in the currency of the books.",
            )
        row = {
            "account": account.name,
            "account_currency": account.currency,
            "debit_in_account_currency": debit,
            "credit_in_account_currency": credit,
            "exchange_rate": rate,
            "user_remark": line.memo,
        }
        if line.cost_centre:
            row["cost_center"] = line.cost_centre
        return row | self._party(line.account_code, account)

    def _party(self, account_code: str, account: _Account) -> dict[str, str]:
        if account.account_type == "Receivable":
            return {"party_type": "Customer", "party": self._customer}
        if account.account_type == "Payable":
            raise RejectedByErp(
                "PartyRequired",
                f"account {account_code} is of type Payable, so ERPNext wants a supplier on every line",
                "Leave the account's type empty in ERPNext, or map the role to another account.",
            )
        return {}

    def _account(self, company: str, account_code: str) -> _Account:
        account = self._accounts_of(company).get(account_code) or self._load_accounts(company).get(account_code)
        if account is None or account.disabled:
            raise RejectedByErp(
                "UnknownAccount" if account is None else "DisabledAccount",
                f"{company} has no open account with the number {account_code}",
                "Create or enable it in ERPNext (not as a group), or correct the account mapping.",
            )
        return account

    def _accounts_of(self, company: str) -> dict[str, _Account]:
        return self._accounts[company] if company in self._accounts else self._load_accounts(company)

    def _load_accounts(self, company: str) -> dict[str, _Account]:
        columns = ["name", "account_number", "account_currency", "account_type", "disabled"]
        rows = self._list("Account", columns, [["company", "=", company], ["is_group", "=", 0]])
        accounts = (
            _Account(
                name=row["name"],
                number=row["account_number"] or None,
                currency=row["account_currency"],
                account_type=row["account_type"] or "",
                disabled=bool(row["disabled"]),
            )
            for row in rows
        )
        self._accounts[company] = {account.number or account.name: account for account in accounts}
        return self._accounts[company]

    def _company_currency(self, company: str) -> str:
        if company not in self._company_currencies:
            try:
                self._company_currencies[company] = self._get(_resource("Company", company))["default_currency"]
            except RejectedByErp as error:
                advice = "Correct company of the entity in retail.yaml: it is ERPNext's own name."
                raise RejectedByErp("UnknownCompany", f"ERPNext has no company {company}", advice) from error
        return self._company_currencies[company]

    def _key_field_problems(self) -> list[str]:
        field = self._key_field_record()
        if field is None:
            return [
                f"ERPNext has no field {self._key_field} on Journal Entry and would silently ignore our keys: create a "
                "Data field of that name, unique and No Copy"
            ]
        problems = []
        if field["fieldtype"] != "Data":
            problems.append(f"the field {self._key_field} is of type {field['fieldtype']}: it must be Data")
        if not field["unique"]:
            problems.append(
                f"the field {self._key_field} is not unique, so two documents could carry one key: set Unique"
            )
        if not field["no_copy"]:
            problems.append(f"the field {self._key_field} is copied to amended documents: set No Copy")
        return problems

    def _customer_problems(self) -> list[str]:
        if self._list("Customer", ["name"], [["name", "=", self._customer]]):
            return []
        return [f"ERPNext has no customer {self._customer}, the party of receivables from web stores: create it"]

    def _key_field_record(self) -> dict[str, Any] | None:
        rows = self._list(
            "Custom Field",
            ["name", "fieldtype", "unique", "no_copy"],
            [["dt", "=", "Journal Entry"], ["fieldname", "=", self._key_field]],
        )
        return rows[0] if rows else None

    def _list(
        self, doctype: str, columns: Sequence[str], filters: Sequence[Sequence[Any]], **more: str
    ) -> list[dict[str, Any]]:
        params = {"fields": json.dumps(columns), "filters": json.dumps(filters), "limit_page_length": 0, **more}
        return self._get(_resource(doctype), params)

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        try:
            response = self._client.request("GET", path, params=params)
        except HttpUnavailableError as error:
            raise ErpUnavailable(str(error)) from error
        except HttpStatusError as error:
            raise self._refusal(error) from error
        try:
            return _parsed(response)
        except (ValueError, KeyError, TypeError) as error:
            raise ErpUnavailable(f"{path} did not answer as ERPNext does: check base_url") from error

    def _send(self, method: str, path: str, body: Mapping[str, Any], what: str) -> requests.Response:
        """Send once what changes the books."""
        try:
            return self._client.request(method, path, data=_JSON.encode(body), headers=_CONTENT_TYPE)
        except HttpUnavailableError as error:
            raise OutcomeUnknown(f"{what}: {error}") from error
        except HttpStatusError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.REQUEST_TIMEOUT:
                raise OutcomeUnknown(f"{what}: {error}") from error
            raise self._refusal(error) from error

    def _change(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        try:
            self._client.request(method, path, data=_JSON.encode(body), headers=_CONTENT_TYPE)
        except HttpUnavailableError as error:
            raise ErpUnavailable(str(error)) from error
        except HttpStatusError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: HttpStatusError) -> RejectedByErp | ErpUnavailable:
        code, message = _in_words(error)
        if error.status in _NOTHING_DONE:
            hint = (
                ""
                if error.status == HTTPStatus.TOO_MANY_REQUESTS
                else ": check api_key, api_secret and the user's roles"
            )
            return ErpUnavailable(f"ERPNext refuses us, {message} ({code}){hint}", error.retry_after)
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ErpUnavailable(f"ERPNext failed: {message} ({code})")
        if code == "UniqueValidationError" and f"'{self._key_field}'" in error.body.decode("utf-8", "replace"):
            return KeyAlreadyUsed(code, message, "Look the key up.")
        if _FROZEN in message:
            return RejectedByErp("FrozenPeriod", message, _ADVICE["ClosedAccountingPeriod"])
        return RejectedByErp(code, message, _ADVICE.get(code, _DEFAULT_ADVICE))


_CONTENT_TYPE: Final = {"Content-Type": "application/json"}


def _short(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in parts that leave an address short enough for every proxy."""
    part: list[str] = []
    for text in texts:
        if part and len(quote(json.dumps([*part, text]))) > _LONGEST_FILTER:
            yield part
            part = []
        part.append(text)
    if part:
        yield part


def _resource(doctype: str, name: str | None = None) -> str:
    path = f"/api/resource/{quote(doctype)}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


def _parsed(response: requests.Response) -> Any:
    content = json.loads(response.content, parse_float=Decimal)
    return content["message"] if "message" in content else content["data"]


def _decimal(value: Any) -> Decimal:
    return Decimal(value or 0)


def _reproducing_rate(line: JournalLine) -> Decimal:
    """The rate from which ERPNext computes the intended base amount: the line's own, or the exact quotient."""
    amount, base = line.debit or line.credit, line.base_debit or line.base_credit
    for exact in (line.exchange_rate, base / amount):
        rate = exact.quantize(_RATE_DIGITS, ROUND_HALF_UP)
        if rate > 0 and (amount * rate).quantize(_CENT, ROUND_HALF_UP) == base:
            return rate
    raise RejectedByErp(
        "ExchangeRate",
        f"no exchange rate turns {amount} {line.currency_code} into {base} on account {line.account_code}",
        "Map the line to an account kept in the currency of the books.",
    )


def _in_words(error: HttpStatusError) -> tuple[str, str]:
    """ERPNext's (kind, reason); the reason comes wrapped in JSON within JSON, with HTML inside."""
    try:
        content = json.loads(error.body)
        messages = [json.loads(text) for text in json.loads(content.get("_server_messages") or "[]")]
        code = content.get("exc_type") or f"HTTP {error.status}"
        words = [message["message"] for message in messages] or [str(content.get("exception", "")).partition(": ")[2]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {error.status}", error.body[:200].decode("utf-8", "replace").strip() or "no reason given"
    text = unescape(re.sub(r"<[^>]*>", "", " ".join(words)))
    return code, " ".join(text.split()) or "no reason given"
