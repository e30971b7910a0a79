"""The simulated ERPNext behind its HTTP interface: documents in SQLite, and the rules of the real one.

What is copied on purpose, because posters fail on it: base amounts are always recomputed and sent ones ignored; unknown
fields are dropped silently; a foreign line without a rate takes a Currency Exchange record or 1.0; a unique field is
unique only once its Custom Field says so, and a cancelled document keeps its value; a refused submit leaves nothing.
Left out: general ledger lines of anything but Journal Entries, cost centres in the general ledger and the default ones
of companies, and permissions beyond the token.
"""
# ruff: noqa: S608 -- every identifier in a statement is the schema's own or was checked against it

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from retail_assets.sandbox.erpnext_schema import DOCTYPES, STANDARD, DocType, Kind

_CENT: Final = Decimal("0.01")
_ONE: Final = Decimal(1)
_RATE: Final = Decimal("1e-9")
_OWNER: Final = "Administrator"
_MOST_INSERTS: Final = 200
_FISCAL_YEARS: Final = range(2020, 2036)
_UNIT: Final = "Nos"
_ROWS_OF_OTHERS: Final = {"GL Entry", "Journal Entry Account", "Bin", "Stock Ledger Entry", "Delivery Note Item"}
_OPERATORS: Final = {"=", "!=", ">", "<", ">=", "<=", "like", "not like", "in", "not in", "between", "is"}

Document = dict[str, Any]


class Refusal(Exception):  # noqa: N818 -- an answer, not a failure
    """What ERPNext answers instead of doing it: status, exception type and message as it words them."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int = 417,
        detail: str | None = None,
        module: str = "frappe.exceptions",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.exception = f"{module}.{kind}: {detail or message}"


class Site:
    """One ERPNext site, kept in a SQLite file so that it outlives its server.

    Args:
        database: the file; made, and filled from ``seed``, if it does not exist.
        seed: see ``create_app``.
        clock: gives the time of creations and changes (aware UTC); each is at least a microsecond after the last.
    """

    def __init__(self, database: Path, seed: Mapping[str, Any], clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or (lambda: datetime.now(UTC))
        self._custom: dict[str, dict[str, dict[str, Any]]] = {}
        self._connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        with self.transaction():
            is_new = not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'series'").fetchone()
            self._create_tables()
            self._load_custom_fields()
            self._last = self._latest_change()
            if is_new:
                self._seed(seed)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._load_custom_fields()
            raise
        self._connection.execute("COMMIT")

    # Reading

    def fetch(self, doctype: str, name: str) -> Document:
        """One document with its child rows."""
        kind = self._doctype(doctype)
        row = self._connection.execute(f"SELECT * FROM {_quoted(doctype)} WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise Refusal("DoesNotExistError", f"{doctype} {name} not found", status=404)
        fields = self._fields(kind)
        document = {"doctype": doctype} | {field: _out(fields[field], row[field]) for field in fields}
        if doctype == "Journal Entry":
            document["accounts"] = self._children(name)
        if doctype == "Delivery Note":
            document["items"] = self._items(name)
        return document

    def find(
        self,
        doctype: str,
        *,
        fields: Sequence[str],
        filters: Any,
        order_by: str | None,
        start: int,
        length: int,
    ) -> list[Document]:
        """A page of a list; ``length`` 0 is all of it."""
        kind = self._doctype(doctype)
        known = self._fields(kind)
        columns = list(known) if list(fields) == ["*"] else [self._column(known, field) for field in fields]
        where, values = self._where(known, filters)
        statement = (
            f"SELECT {', '.join(_quoted(column) for column in columns)} FROM {_quoted(doctype)} WHERE {where} "
            f"ORDER BY {self._order(known, order_by)} LIMIT ? OFFSET ?"
        )
        rows = self._connection.execute(statement, (*values, length or -1, start))
        kinds: list[Kind] = [known[column] for column in columns]
        return [
            {column: _out(kind, value) for column, kind, value in zip(columns, kinds, row, strict=True)} for row in rows
        ]

    def count(self, doctype: str, filters: Any) -> int:
        """How many documents a filter finds."""
        where, values = self._where(self._fields(self._doctype(doctype)), filters)
        statement = f"SELECT count(*) FROM {_quoted(doctype)} WHERE {where}"
        return self._connection.execute(statement, values).fetchone()[0]

    # Writing: call these inside ``transaction``

    def insert(self, doctype: str, sent: Mapping[str, Any]) -> Document:
        """Create a document and, if ``docstatus`` is 1, submit it."""
        kind = self._doctype(doctype)
        if kind.single or doctype in _ROWS_OF_OTHERS:
            raise Refusal("ValidationError", f"{doctype} cannot be created")
        document = {field: value for field, value in sent.items() if field in self._fields(kind)}
        document["docstatus"] = int(sent.get("docstatus") or 0)
        if document["docstatus"] not in ((0, 1) if kind.submittable else (0,)):
            raise Refusal("DocstatusTransitionError", f"Cannot create {doctype} with docstatus {document['docstatus']}")
        if doctype == "Journal Entry":
            document["accounts"] = [dict(row) for row in sent.get("accounts") or []]
            document.setdefault("voucher_type", "Journal Entry")
        missing = [field for field in kind.required if document.get(field) in (None, "")]
        if missing:
            message = f"Error: Value missing for {doctype}: {', '.join(_label(field) for field in missing)}"
            detail = f"[{doctype}, {sent.get('name')}]: {', '.join(missing)}"
            raise Refusal("MandatoryError", message, detail=detail)
        self._validate(doctype, document, sent)
        document["name"] = self._name(kind, document)
        self._store(kind, document)
        if doctype == "Custom Field":
            self._apply_custom_field(document)
        if doctype == "Journal Entry":
            self._store_rows(document)
            if document["docstatus"] == 1:
                self._submit_journal_entry(document)
        if doctype == "Delivery Note":
            self._store_items(document, sent.get("items") or [])
            if document["docstatus"] == 1:
                self._move_stock(document)
        answer = self.fetch(doctype, document["name"])
        if doctype == "Sales Invoice" and document["docstatus"] == 1:
            # The real server answers with the state before its own submit hooks ran; only a fresh read is right.
            answer |= {"status": "Draft", "outstanding_amount": msgspec.Raw(b"0.0")}
        return answer

    def insert_many(self, documents: Sequence[Mapping[str, Any]]) -> list[str]:
        """At most 200 documents, all or none."""
        if len(documents) > _MOST_INSERTS:
            raise Refusal("ValidationError", f"Only {_MOST_INSERTS} inserts allowed in one request")
        return [self.insert(str(document.get("doctype")), document)["name"] for document in documents]

    def update(self, doctype: str, name: str, sent: Mapping[str, Any]) -> Document:
        """Change a document; ``docstatus`` 1 submits a draft, 2 cancels a submitted one."""
        kind = self._doctype(doctype)
        current = self.fetch(doctype, name)
        known = self._fields(kind)
        changes = {field: value for field, value in sent.items() if field in known and field not in STANDARD}
        status, wanted = current["docstatus"], int(sent.get("docstatus", current["docstatus"]))
        if status == 1 and wanted == 2:
            self._cancel(doctype, name)
            return self.fetch(doctype, name)
        if status != 0:
            self._refuse_edit(doctype, name, current, changes, sent)
            return current
        if doctype == "Journal Entry":
            return self._update_draft(current, changes, sent, wanted)
        self._set(kind, name, changes)
        if doctype == "Custom Field":
            self._apply_custom_field(self.fetch(doctype, name))
        return self.fetch(doctype, name)

    def delete(self, doctype: str, name: str) -> None:
        """Remove a draft; what was submitted stays."""
        if self.fetch(doctype, name)["docstatus"] == 1:
            message = f"{doctype} {name}: Submitted Record cannot be deleted. You must Cancel it first."
            raise Refusal("ValidationError", message)
        self._connection.execute(f"DELETE FROM {_quoted(doctype)} WHERE name = ?", (name,))
        for rows in ("Journal Entry Account", "Delivery Note Item"):
            self._connection.execute(f"DELETE FROM {_quoted(rows)} WHERE parent = ?", (name,))
        deleted = DOCTYPES["Deleted Document"]
        number = self._next("deleted")
        self._store(
            deleted, {"name": f"deleted-{number}", "deleted_doctype": doctype, "deleted_name": name, "docstatus": 0}
        )

    # Journal entries

    def _validate(self, doctype: str, document: Document, sent: Mapping[str, Any]) -> None:
        if doctype == "Journal Entry":
            self._validate_journal_entry(document)
        elif doctype == "Sales Invoice":
            self._validate_invoice(document, sent)
        elif doctype == "Account":
            company = self._linked("Company", document["company"])
            document.setdefault("account_currency", company["default_currency"])
        elif doctype in {"Accounting Period", "Warehouse"}:
            self._linked("Company", document["company"])
        elif doctype in {"Payment Entry", "Delivery Note"}:
            self._linked("Company", document["company"])
            document.setdefault("posting_date", self._clock().date().isoformat())
            done = "To Bill" if doctype == "Delivery Note" else "Submitted"
            document["status"] = done if document["docstatus"] == 1 else "Draft"

    def _validate_journal_entry(self, document: Document) -> None:
        currency = self._linked("Company", document["company"])["default_currency"]
        rows = document["accounts"]
        if not rows:
            raise Refusal("MandatoryError", "Error: Value missing for Journal Entry: Accounting Entries")
        for number, row in enumerate(rows, start=1):
            self._complete_row(document, currency, number, row)
        document["total_debit"] = sum((row["debit"] for row in rows), Decimal(0))
        document["total_credit"] = sum((row["credit"] for row in rows), Decimal(0))
        document["difference"] = document["total_debit"] - document["total_credit"]
        if document["docstatus"] == 1:
            self._check_accounting_periods(document)
            if document["difference"]:
                message = f"Total Debit must be equal to Total Credit. The difference is {document['difference']}"
                raise Refusal("ValidationError", message)

    def _complete_row(self, document: Document, currency: str, number: int, row: Document) -> None:
        account = self._account(row.get("account"), number)
        if account["company"] != document["company"]:
            message = f"Account {account['name']} does not belong to company: {document['company']}"
            raise Refusal("ValidationError", message)
        if account["is_group"]:
            message = (
                f"{document['voucher_type']}: Account {account['name']} is a Group and group accounts cannot be used"
            )
            raise Refusal("ValidationError", f"{message} in transactions")
        if account["disabled"]:
            raise Refusal("ValidationError", f"Account {account['name']} is disabled")
        if account["account_type"] in {"Receivable", "Payable"} and not (row.get("party_type") and row.get("party")):
            message = (
                f"Row {number}: Party Type and Party is required for Receivable / Payable account {account['name']}"
            )
            raise Refusal("ValidationError", message)
        if row.get("party") and row.get("party_type") in DOCTYPES:
            self._exists(row["party_type"], row["party"], f"Row #{number}: Party: {row['party']}")
        if account["account_currency"] != currency and not document.get("multi_currency"):
            raise Refusal("ValidationError", "Please check Multi Currency option to allow accounts with other currency")
        if row.get("cost_center"):
            self._require_cost_center(document, row["cost_center"], number)
        rate = self._rate(document, account["account_currency"], currency, row.get("exchange_rate"))
        debit, credit = (_amount(row.get(f"{side}_in_account_currency")) for side in ("debit", "credit"))
        if debit and credit:
            raise Refusal("ValidationError", "You cannot credit and debit same account at the same time")
        if not debit and not credit and document["docstatus"] == 1:
            raise Refusal("ValidationError", f"Row {number}: Both Debit and Credit values cannot be zero")
        row |= {
            "idx": number,
            "account_type": account["account_type"],
            "account_currency": account["account_currency"],
            "exchange_rate": rate,
            "debit_in_account_currency": debit,
            "credit_in_account_currency": credit,
            "debit": _cents(debit * rate),
            "credit": _cents(credit * rate),
        }

    def _require_cost_center(self, document: Document, name: str, number: int) -> None:
        self._exists("Cost Center", name, f"Row #{number}: Cost Center: {name}")
        centre = self._linked("Cost Center", name)
        if centre["company"] != document["company"]:
            raise Refusal("ValidationError", f"Cost Center {name} does not belong to company {document['company']}")
        if centre["is_group"]:
            message = f"Cost Center {name} is a group cost center and group cost centers cannot be used in transactions"
            raise Refusal("ValidationError", message)

    def _rate(self, document: Document, account_currency: str, company_currency: str, sent: Any) -> Decimal:
        if account_currency == company_currency:
            return _ONE
        rate = _number(sent)
        if rate not in (0, 1):
            return rate
        row = self._connection.execute(
            'SELECT exchange_rate FROM "Currency Exchange" WHERE from_currency = ? AND to_currency = ? AND date <= ? '
            "ORDER BY date DESC, name LIMIT 1",
            (account_currency, company_currency, document["posting_date"]),
        ).fetchone()
        return Decimal(row["exchange_rate"]) if row else _ONE

    def _submit_journal_entry(self, document: Document) -> None:
        self._check_open(document)
        for row in document["accounts"]:
            self._gl_entry(document, row, cancelled=0, swap=False)

    def _gl_entry(self, document: Document, row: Mapping[str, Any], *, cancelled: int, swap: bool) -> None:
        sides = ("credit", "debit") if swap else ("debit", "credit")
        entry = {
            "docstatus": 1,
            "posting_date": document["posting_date"],
            "company": document["company"],
            "voucher_type": "Journal Entry",
            "voucher_no": document["name"],
            "remarks": row.get("user_remark") or document.get("user_remark"),
            "is_cancelled": cancelled,
        }
        entry |= {field: row.get(field) for field in ("account", "account_currency", "party_type", "party")}
        for target, side in zip(("debit", "credit"), sides, strict=True):
            entry[target] = row[side]
            entry[f"{target}_in_account_currency"] = row[f"{side}_in_account_currency"]
        kind = DOCTYPES["GL Entry"]
        entry["name"] = self._name(kind, entry)
        self._store(kind, entry)

    def _update_draft(self, current: Document, changes: Document, sent: Mapping[str, Any], wanted: int) -> Document:
        name = current["name"]
        accounts = [dict(row) for row in sent.get("accounts") or current["accounts"]]
        document = current | changes | {"accounts": accounts, "docstatus": wanted}
        self._validate_journal_entry(document)
        self._connection.execute('DELETE FROM "Journal Entry Account" WHERE parent = ?', (name,))
        self._store_rows(document)
        totals = {field: document[field] for field in ("total_debit", "total_credit", "difference")}
        self._set(DOCTYPES["Journal Entry"], name, changes | totals | {"docstatus": wanted})
        if wanted == 1:
            self._submit_journal_entry(document)
        return self.fetch("Journal Entry", name)

    def _cancel(self, doctype: str, name: str) -> None:
        document = self.fetch(doctype, name)
        if doctype == "Journal Entry":
            self._check_open(document)
            self._check_accounting_periods(document)
            rows = self._connection.execute(
                'SELECT * FROM "GL Entry" WHERE voucher_type = ? AND voucher_no = ? ORDER BY name', (doctype, name)
            ).fetchall()
            for row in rows:
                self._set(DOCTYPES["GL Entry"], row["name"], {"is_cancelled": 1})
            for row in rows:
                self._gl_entry(document, dict(row), cancelled=1, swap=True)
        if doctype == "Delivery Note":
            self._cancel_movements(document)
        status = {"status": "Cancelled"} if doctype != "Journal Entry" else {}
        self._set(self._doctype(doctype), name, {"docstatus": 2, **status})

    def _refuse_edit(
        self, doctype: str, name: str, current: Document, changes: Document, sent: Mapping[str, Any]
    ) -> None:
        if current["docstatus"] == 2:
            raise Refusal("ValidationError", "Cannot edit cancelled document")
        if doctype == "Journal Entry" and "accounts" in sent:
            message = "Error: <strong>Journal Entry Account</strong> Row #1: Value missing for: Account"
            raise Refusal("MandatoryError", message, detail=f"[{doctype}, {name}]: account")
        for field, value in changes.items():
            if value != current[field]:
                raise Refusal(
                    "UpdateAfterSubmitError",
                    f" Not allowed to change <strong>{_label(field)}</strong> after submission from "
                    f"<strong>{current[field]}</strong> to <strong>{value}</strong>",
                )

    def _check_open(self, document: Document) -> None:
        day = date.fromisoformat(str(document["posting_date"]))
        years = self._connection.execute(
            'SELECT 1 FROM "Fiscal Year" WHERE ? BETWEEN year_start_date AND year_end_date', (day.isoformat(),)
        ).fetchone()
        if not years:
            raise Refusal(
                "FiscalYearError",
                f"Date {_shown(day)} is not in any active Fiscal Year for <strong>{document['company']}</strong>",
                module="erpnext.accounts.utils",
            )
        frozen = self._connection.execute('SELECT acc_frozen_upto FROM "Accounts Settings"').fetchone()[
            "acc_frozen_upto"
        ]
        if frozen and day <= date.fromisoformat(frozen):
            shown = _shown(date.fromisoformat(frozen))
            raise Refusal("ValidationError", f"You are not authorized to add or update entries before {shown}")

    def _check_accounting_periods(self, document: Document) -> None:
        periods = self._connection.execute(
            'SELECT name, closed_documents FROM "Accounting Period" '
            "WHERE company = ? AND ? BETWEEN start_date AND end_date",
            (document["company"], str(document["posting_date"])),
        )
        for period in periods:
            closed = json.loads(period["closed_documents"] or "[]")
            if any(row.get("document_type") == "Journal Entry" and row.get("closed") for row in closed):
                raise Refusal(
                    "ClosedAccountingPeriod",
                    "You cannot create a Journal Entry within the closed Accounting Period "
                    f"<strong>{period['name']}</strong>",
                    module="erpnext.accounts.doctype.accounting_period.accounting_period",
                )

    # Sales invoices

    def _validate_invoice(self, document: Document, sent: Mapping[str, Any]) -> None:
        company = self._linked("Company", document["company"])
        self._exists("Customer", document["customer"], f"Customer: {document['customer']}")
        document.setdefault("currency", company["default_currency"])
        document.setdefault("posting_date", self._clock().date().isoformat())
        if document.get("grand_total") is None:
            items = sent.get("items") or []
            document["grand_total"] = sum((_number(i.get("qty")) * _number(i.get("rate")) for i in items), Decimal(0))
        document["grand_total"] = _cents(_number(document["grand_total"]))
        document["is_return"] = int(document.get("is_return") or 0)
        if document.get("return_against"):
            self._exists("Sales Invoice", document["return_against"], f"Return Against: {document['return_against']}")
        submitted = document["docstatus"] == 1
        document["outstanding_amount"] = document["grand_total"] if submitted else Decimal(0)
        document["status"] = ("Return" if document["is_return"] else "Unpaid") if submitted else "Draft"

    # Stock

    def _store_items(self, document: Document, items: Sequence[Mapping[str, Any]]) -> None:
        kind = DOCTYPES["Delivery Note Item"]
        document["items"] = []
        for number, item in enumerate(items, start=1):
            row = {field: item.get(field) for field in kind.fields}
            row |= {"name": f"dni{self._next('item'):08d}", "parent": document["name"], "idx": number}
            row |= {
                "warehouse": item.get("warehouse") or document.get("set_warehouse"),
                "uom": item.get("uom") or _UNIT,
            }
            self._linked("Warehouse", row["warehouse"])
            self._store(kind, row | {"docstatus": document["docstatus"]})
            document["items"].append(row)

    def _items(self, parent: str) -> list[Document]:
        fields = DOCTYPES["Delivery Note Item"].fields
        rows = self._connection.execute('SELECT * FROM "Delivery Note Item" WHERE parent = ? ORDER BY idx', (parent,))
        return [
            {"doctype": "Delivery Note Item", "name": row["name"]}
            | {field: _out(kind, row[field]) for field, kind in fields.items()}
            for row in rows
        ]

    def _move_stock(self, document: Document) -> None:
        """Deliveries take from the warehouse; the quantities of a return are negative."""
        for row in document["items"]:
            self._stock_entry(document, "Delivery Note", row, -_number(row["qty"]))

    def _stock_entry(
        self, document: Mapping[str, Any], voucher: str, row: Mapping[str, Any], change: Decimal, *, cancelled: int = 0
    ) -> None:
        found = self._connection.execute(
            'SELECT name, actual_qty, reserved_qty FROM "Bin" WHERE item_code = ? AND warehouse = ?',
            (row["item_code"], row["warehouse"]),
        ).fetchone()
        after = (_number(found["actual_qty"]) if found else Decimal(0)) + change
        shared = {"item_code": row["item_code"], "warehouse": row["warehouse"], "stock_uom": _UNIT}
        if found:
            projected = after - _number(found["reserved_qty"])
            self._set(DOCTYPES["Bin"], found["name"], {"actual_qty": after, "projected_qty": projected})
        else:
            name = self._name(DOCTYPES["Bin"], {})
            self._store(
                DOCTYPES["Bin"],
                {**shared, "name": name, "docstatus": 0, "actual_qty": after, "projected_qty": after},
            )
        kind = DOCTYPES["Stock Ledger Entry"]
        entry = {
            **shared,
            "docstatus": 1,
            "company": document["company"],
            "posting_date": document["posting_date"],
            "posting_time": document.get("posting_time"),
            "actual_qty": change,
            "qty_after_transaction": after,
            "voucher_type": voucher,
            "voucher_no": document["name"],
            "is_cancelled": cancelled,
        }
        self._store(kind, {**entry, "name": self._name(kind, entry)})

    def _cancel_movements(self, document: Document) -> None:
        rows = self._connection.execute(
            'SELECT * FROM "Stock Ledger Entry" WHERE voucher_no = ? ORDER BY name', (document["name"],)
        ).fetchall()
        for row in rows:
            self._set(DOCTYPES["Stock Ledger Entry"], row["name"], {"is_cancelled": 1})
        for row in rows:
            self._stock_entry(document, "Delivery Note", dict(row), -_number(row["actual_qty"]), cancelled=1)

    # Custom fields

    def _load_custom_fields(self) -> None:
        self._custom.clear()
        if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'Custom Field'").fetchone():
            for row in self._connection.execute('SELECT * FROM "Custom Field"'):
                self._custom.setdefault(row["dt"], {})[row["fieldname"]] = dict(row)

    def _apply_custom_field(self, field: Document) -> None:
        doctype, name = field["dt"], field["fieldname"]
        self._doctype(doctype)
        columns = {row["name"] for row in self._connection.execute(f"PRAGMA table_info({_quoted(doctype)})")}
        if name not in columns:
            self._connection.execute(f"ALTER TABLE {_quoted(doctype)} ADD COLUMN {_quoted(name)} TEXT")
        index = _quoted(f"{doctype}-{name}")
        self._connection.execute(f"DROP INDEX IF EXISTS {index}")
        # MariaDB's default collation ignores case, and so does its unique index.
        column = f"{_quoted(doctype)} ({_quoted(name)} COLLATE NOCASE)"
        unique = "UNIQUE" if field.get("unique") else ""
        try:
            self._connection.execute(f"CREATE {unique} INDEX {index} ON {column}")
        except sqlite3.IntegrityError as error:
            message = f"Field '{name}' cannot be set as Unique as it has non-unique values"
            raise Refusal("ValidationError", message) from error
        self._load_custom_fields()

    # Storage

    def _create_tables(self) -> None:
        for doctype in DOCTYPES.values():
            columns = ", ".join(
                f"{_quoted(field)} {'INTEGER' if kind == 'integer' else 'TEXT'}"
                for field, kind in (STANDARD | doctype.fields).items()
                if field != "name"
            )
            table = _quoted(doctype.name)
            self._connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (name TEXT PRIMARY KEY, {columns})")
            there = {row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")}
            for field in doctype.fields.keys() - there:
                # The file of an earlier release.
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {_quoted(field)} TEXT")
            index = _quoted(f"{doctype.name}-modified")
            self._connection.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {table} (modified, name)")
        for index, column in (
            ("rows-parent", '"Journal Entry Account" (parent)'),
            ("gl-voucher", '"GL Entry" (voucher_no)'),
        ):
            self._connection.execute(f"CREATE INDEX IF NOT EXISTS {_quoted(index)} ON {column}")
        self._connection.execute("CREATE TABLE IF NOT EXISTS series (prefix TEXT PRIMARY KEY, current INTEGER)")

    def _seed(self, seed: Mapping[str, Any]) -> None:
        self._store(DOCTYPES["Accounts Settings"], {"name": "Accounts Settings", "docstatus": 0})
        for year in _FISCAL_YEARS:
            self.insert(
                "Fiscal Year",
                {"year": str(year), "year_start_date": f"{year}-01-01", "year_end_date": f"{year}-12-31"},
            )
        for company in seed.get("companies", ()):
            names = {"company_name": company["name"], "default_currency": company["currency"]}
            self.insert("Company", company | names)
        for account in seed.get("accounts", ()):
            self.insert("Account", account)
        for rate in seed.get("exchange_rates", ()):
            self.insert("Currency Exchange", rate)
        invoices = seed.get("sales_invoices", ())
        for customer in sorted({invoice["customer"] for invoice in invoices}):
            self.insert("Customer", {"customer_name": customer, "customer_type": "Company"})
        # A credit note names its invoice by the customer's order number; the ERP's own number comes about only now.
        numbers: dict[tuple[str, str], str] = {}
        for invoice in invoices:
            against = invoice.get("return_against")
            document = {**invoice, "docstatus": 1}
            if against:
                document["return_against"] = numbers.get((invoice["company"], against), against)
            name = self.insert("Sales Invoice", document)["name"]
            numbers.setdefault((invoice["company"], str(invoice.get("po_no"))), name)
        self._seed_stock(seed)

    def _seed_stock(self, seed: Mapping[str, Any]) -> None:
        for warehouse in seed.get("warehouses", ()):
            self.insert("Warehouse", warehouse)
        for number, receipt in enumerate(seed.get("stock_receipts", ()), start=1):
            document = {**receipt, "name": f"MAT-STE-{self._clock().year}-{number:05d}"}
            self._stock_entry(document, "Stock Entry", receipt, _number(receipt["qty"]))
        for bin_ in seed.get("reservations", ()):
            row = self._connection.execute(
                'SELECT name, actual_qty FROM "Bin" WHERE item_code = ? AND warehouse = ?',
                (bin_["item_code"], bin_["warehouse"]),
            ).fetchone()
            reserved = _number(bin_["qty"])
            changes = {"reserved_qty": reserved, "projected_qty": _number(row["actual_qty"]) - reserved}
            self._set(DOCTYPES["Bin"], row["name"], changes)
        deliveries: dict[tuple[str, str], str] = {}
        for note in seed.get("delivery_notes", ()):
            document = {**note, "docstatus": 1}
            order = (note["company"], note["po_no"])
            if note.get("is_return"):
                document["return_against"] = deliveries.get(order)
            name = self.insert("Delivery Note", document)["name"]
            deliveries.setdefault(order, name)

    def _name(self, kind: DocType, document: Document) -> str:
        if kind.series:
            prefix = f"{kind.series}-{self._clock().year}-"
            return f"{prefix}{self._next(prefix):05d}"
        if kind.name == "Account":
            company = self._linked("Company", document["company"])
            number = document.get("account_number")
            return " - ".join([*([str(number)] if number else []), document["account_name"], company["abbr"]])
        if kind.name == "Currency Exchange":
            return f"{document['date']}-{document['from_currency']}-{document['to_currency']}"
        if kind.name == "Custom Field":
            document.setdefault("fieldname", str(document.get("label", "")).lower().replace(" ", "_"))
            return f"{document['dt']}-{document['fieldname']}"
        if kind.name == "Cost Center":
            return f"{document['cost_center_name']} - {self._linked('Company', document['company'])['abbr']}"
        if kind.name == "Warehouse":
            return f"{document['warehouse_name']} - {self._linked('Company', document['company'])['abbr']}"
        if kind.name == "Accounting Period":
            return f"{document['period_name']} - {self._linked('Company', document['company'])['abbr']}"
        return str(document[kind.name_from or "name"])

    def _store(self, kind: DocType, document: Document) -> None:
        now = self._tick()
        fields = self._fields(kind)
        values = {field: _in(fields[field], document.get(field)) for field in fields}
        values |= {"creation": now, "modified": now, "owner": _OWNER}
        columns = ", ".join(_quoted(field) for field in values)
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO {_quoted(kind.name)} ({columns}) VALUES ({marks})"
        try:
            self._connection.execute(statement, tuple(values.values()))
        except sqlite3.IntegrityError as error:
            raise self._duplicate(kind, document, str(error)) from error

    def _store_rows(self, document: Document) -> None:
        kind = DOCTYPES["Journal Entry Account"]
        for row in document["accounts"]:
            number = self._next("row")
            known = {field: row.get(field) for field in kind.fields}
            self._store(
                kind,
                known | {"name": f"row{number:08d}", "parent": document["name"], "docstatus": document["docstatus"]},
            )

    def _set(self, kind: DocType, name: str, changes: Mapping[str, Any]) -> None:
        fields = self._fields(kind)
        values = {field: _in(fields[field], value) for field, value in changes.items()} | {"modified": self._tick()}
        assignments = ", ".join(f"{_quoted(field)} = ?" for field in values)
        statement = f"UPDATE {_quoted(kind.name)} SET {assignments} WHERE name = ?"
        try:
            self._connection.execute(statement, (*values.values(), name))
        except sqlite3.IntegrityError as error:
            raise self._duplicate(kind, {"name": name, **changes}, str(error)) from error

    def _duplicate(self, kind: DocType, document: Document, error: str) -> Refusal:
        for field in self._custom.get(kind.name, ()):
            if error == f"UNIQUE constraint failed: {kind.name}.{field}":
                detail = f"Duplicate entry '{document.get(field)}' for key '{field}'"
                return Refusal(
                    "UniqueValidationError",
                    f"{_label(field)} must be unique",
                    detail=f"('{kind.name}', '{document['name']}', IntegrityError(1062, \"{detail}\"))",
                )
        detail = f"Duplicate entry '{document['name']}' for key 'PRIMARY'"
        return Refusal(
            "DuplicateEntryError",
            f"{kind.name} <strong>{document['name']}</strong> already exists",
            status=409,
            detail=f"('{kind.name}', '{document['name']}', IntegrityError(1062, \"{detail}\"))",
        )

    def _children(self, parent: str) -> list[Document]:
        fields = DOCTYPES["Journal Entry Account"].fields
        rows = self._connection.execute(
            'SELECT * FROM "Journal Entry Account" WHERE parent = ? ORDER BY idx', (parent,)
        )
        return [
            {"doctype": "Journal Entry Account", "name": row["name"]}
            | {field: _out(kind, row[field]) for field, kind in fields.items()}
            for row in rows
        ]

    def _next(self, prefix: str) -> int:
        row = self._connection.execute(
            "INSERT INTO series VALUES (?, 1) "
            "ON CONFLICT (prefix) DO UPDATE SET current = current + 1 RETURNING current",
            (prefix,),
        ).fetchone()
        return row["current"]

    def _tick(self) -> str:
        now = self._clock().astimezone(UTC).replace(tzinfo=None)
        self._last = max(now, self._last + timedelta(microseconds=1))
        return self._last.isoformat(sep=" ", timespec="microseconds")

    def _latest_change(self) -> datetime:
        latest = [
            self._connection.execute(f"SELECT max(modified) FROM {_quoted(name)}").fetchone()[0] for name in DOCTYPES
        ]
        return max((datetime.fromisoformat(text) for text in latest if text), default=datetime(1970, 1, 1))  # noqa: DTZ001 -- naive, as the real one's

    # Look-ups

    def _doctype(self, name: str) -> DocType:
        if name not in DOCTYPES:
            raise Refusal("DoesNotExistError", f"DocType {name} not found", status=404)
        return DOCTYPES[name]

    def _fields(self, kind: DocType) -> dict[str, Kind]:
        custom: dict[str, Kind] = dict.fromkeys(self._custom.get(kind.name, ()), "text")
        return STANDARD | kind.fields | custom

    def _linked(self, doctype: str, name: Any) -> sqlite3.Row:
        row = self._connection.execute(f"SELECT * FROM {_quoted(doctype)} WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise Refusal("LinkValidationError", f"Could not find {doctype}: {name}")
        return row

    def _exists(self, doctype: str, name: Any, shown: str) -> None:
        if not self._connection.execute(f"SELECT 1 FROM {_quoted(doctype)} WHERE name = ?", (name,)).fetchone():
            raise Refusal("LinkValidationError", f"Could not find {shown}")

    def _account(self, name: Any, number: int) -> sqlite3.Row:
        if not name:
            message = f"Error: <strong>Journal Entry Account</strong> Row #{number}: Value missing for: Account"
            raise Refusal("MandatoryError", message, detail="[Journal Entry, None]: account")
        row = self._connection.execute('SELECT * FROM "Account" WHERE name = ?', (name,)).fetchone()
        if row is None:
            raise Refusal("LinkValidationError", f"Could not find Row #{number}: Account: {name}")
        return row

    # Queries

    def _column(self, known: Mapping[str, Kind], field: str) -> str:
        name = str(field).replace("`", "").rpartition(".")[2].strip()
        if name not in known:
            raise Refusal("DataError", f"Field not permitted in query: {name}")
        return name

    def _where(self, known: Mapping[str, Kind], filters: Any) -> tuple[str, list[Any]]:
        clauses, values = ["1 = 1"], []
        for field, operator, value in _conditions(filters):
            name = self._column(known, field)
            clause, parameters = _clause(_quoted(name), known[name], operator.lower(), value)
            clauses.append(clause)
            values += parameters
        return " AND ".join(clauses), values

    def _order(self, known: Mapping[str, Kind], order_by: str | None) -> str:
        terms = []
        for term in (order_by or "modified desc").split(","):
            field, _, direction = term.strip().partition(" ")
            if direction.strip().lower() not in {"", "asc", "desc"}:
                raise Refusal("ValidationError", f"Illegal order_by: {order_by}")
            name = self._column(known, field)
            expression = f"CAST({_quoted(name)} AS NUMERIC)" if known[name] in {"amount", "rate"} else _quoted(name)
            terms.append(f"{expression} {direction.strip() or 'asc'}")
        return ", ".join(terms)


def _conditions(filters: Any) -> Iterator[tuple[str, str, Any]]:
    if not filters:
        return
    if isinstance(filters, Mapping):
        for field, value in filters.items():
            operator, wanted = value if isinstance(value, list) and len(value) == 2 else ("=", value)
            yield field, operator, wanted
        return
    for condition in filters:
        if not isinstance(condition, list) or len(condition) not in (3, 4):
            raise Refusal(
                "ValidationError", f"Filter must have 4 values (doctype, fieldname, operator, value): {condition}"
            )
        field, operator, value = condition[-3:]
        yield field, operator, value


def _clause(column: str, kind: Kind, operator: str, value: Any) -> tuple[str, list[Any]]:
    if operator not in _OPERATORS:
        raise Refusal("ValidationError", f"Operator must be one of {', '.join(sorted(_OPERATORS))}")
    numeric = kind in {"integer", "amount", "rate"}
    left = f"CAST({column} AS NUMERIC)" if numeric else column
    mark = "CAST(? AS NUMERIC)" if numeric else "?"
    if operator == "is":
        return (f"coalesce({column}, '') <> ''" if value == "set" else f"coalesce({column}, '') = ''"), []
    if operator == "between":
        low, high = value
        return f"{left} BETWEEN {mark} AND {mark}", [_plain(low), _plain(high)]
    if operator in {"in", "not in"}:
        items = value.split(",") if isinstance(value, str) else list(value)
        negated = operator == "not in"
        left = f"coalesce({left}, '')" if negated else left
        # MariaDB's default collation ignores case.
        left += " COLLATE NOCASE" if kind == "text" else ""
        return f"{left} {operator.upper()} ({', '.join([mark] * len(items))})", [_plain(item) for item in items]
    if operator == "!=":
        return f"coalesce({left}, '') <> {mark}", [_plain(value)]
    collation = " COLLATE NOCASE" if operator == "=" and kind == "text" else ""
    return f"{left} {operator.upper()} {mark}{collation}", [_plain(value)]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', "") + '"'


def _label(field: str) -> str:
    return field.replace("_", " ").capitalize()


def _number(value: Any) -> Decimal:
    if isinstance(value, msgspec.Raw):
        value = bytes(value).decode()
    return Decimal(str(value)) if value not in (None, "") else Decimal(0)


def _amount(value: Any) -> Decimal:
    return _cents(_number(value))


def _cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT, ROUND_HALF_UP)


def _shown(day: date) -> str:
    return f"{day:%m-%d-%Y}"


def _in(kind: Kind, value: Any) -> Any:
    if kind == "rows":
        return json.dumps(value or [])
    if kind == "integer":
        return int(value or 0)
    if kind == "amount":
        return _text(_number(value))
    if kind == "rate":
        return _text(_number(value).quantize(_RATE, ROUND_HALF_UP))
    return None if value in (None, "") else str(value)


def _text(number: Decimal) -> str:
    """As the real server shows numbers: at least one decimal, no trailing zeros."""
    text = format(number, "f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"


def _out(kind: Kind, value: Any) -> Any:
    if kind in {"amount", "rate"}:
        return msgspec.Raw((value or "0.0").encode())
    if kind == "rows":
        return json.loads(value or "[]")
    return value
