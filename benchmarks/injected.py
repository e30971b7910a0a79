"""Faults that are planted in the simulated systems at a known rate, beside those that the retailer has anyway.

Each is put where it would arise: in a store, at a gateway, on a bank statement, in the ERP, or between a source and the
warehouse. What the chain should make of it is known from then on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from sqlite3 import Connection, Row
from typing import Any, Final, TypeVar

import duckdb
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from retail_assets.sandbox.bank import NAMESPACE
from retail_assets.sandbox.datafaults import IMPOSSIBLE_AMOUNTS, impossible_order
from retail_assets.sandbox.generator import SEED_FILE
from retail_assets.sandbox.profiles import ENTITIES, GATEWAYS, STORES
from retail_assets.sandbox.storage import change_state, encode
from retail_assets.sandbox.truth import TruePayout, Truth, read_truth

#: Of so many orders of the world, one is the victim of each class of fault, and at least so many.
RATE: Final = 500
LEAST: Final = 3
_ACCOUNT: Final = "6200"
_INVOICED: Final = "aoi_jp"
_Item = TypeVar("_Item")
_BANK_NAMES: Final = {"c": NAMESPACE}


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault and how it must show.

    Attributes:
        fault_class: what was done.
        exception_type: what the chain must say of it.
        subject: one of the exception's keys: its subject, order, line or payout, ``<instance>:*`` for any of an
            instance's, ``<gateway>:*balance`` for any about its balance.
        at: when it happened, in business time.
        due: from when on it must be said; before that the chain rightly waits.
        touches: other keys that the same fault makes wrong.
    """

    fault_class: str
    exception_type: str
    subject: str
    at: datetime
    due: datetime
    touches: frozenset[str] = frozenset()


class Injector:
    """Plants faults in a world that was generated and not loaded yet.

    Args:
        home: RETAIL_HOME.
        as_of: end of the simulated time, aware.
        bank_grace_days: working days after which a payout that is not on the bank must be said to be missing.
    """

    def __init__(self, home: Path, *, as_of: datetime, bank_grace_days: int) -> None:
        self._home, self._as_of, self._grace = home, as_of, bank_grace_days
        self._truth: Truth = read_truth(home)
        self._rng = Random(f"{self._truth.seed}/injected")  # noqa: S311 (a choice that can be made again)
        self._number = max(LEAST, self._truth.orders // RATE)
        taken = {case.order_key for case in self._truth.cases} | {one.order_key for one in self._truth.exceptions}
        self._lines = {
            link.order_key: link
            for link in self._truth.links
            if link.line_type == "charge" and link.order_key and link.order_key not in taken
        }
        self._used: set[str] = set()
        #: The statement that is held back, to arrive late: file and content.
        self.late_statement: tuple[Path, bytes] | None = None

    def plant(self) -> list[Fault]:
        """Everything that is planted before the first load."""
        planted: list[Fault] = []
        for kind in (
            self._refused_records, self._other_currency, self._claimed_twice, self._line_too_many,
            self._payout_not_listed, self._bank_faults, self._fee_too_high, self._double_loss, self._account_gone,
            self._gift_card_order, self._invoices,
        ):  # fmt: skip
            planted += kind()
        return planted

    # --- stores ---

    def _refused_records(self) -> Iterator[Fault]:
        stores = list(STORES)
        for number in range(self._number):
            store_id, total = stores[number % len(stores)], IMPOSSIBLE_AMOUNTS[number % len(IMPOSSIBLE_AMOUNTS)]
            key = f"{store_id}:{impossible_order(self._home, store_id, total)}"
            yield self._fault("record that cannot be true", "contract_violation", key, self._as_of)

    def _other_currency(self) -> Iterator[Fault]:
        for key in self._victims("cedar_us", self._number):
            with self._order(key) as (_, row, body):
                body |= {"currency": "CAD", "currency_symbol": "$"}
            month = f"{_moment(row['created']):%Y-%m}"
            taxes = {
                f"US:{rate.jurisdiction}:{currency}:{month}"
                for rate in STORES["cedar_us"].tax_rates
                for currency in ("CAD", "USD")
            }
            yield self._of_order("order in another currency", "currency_mismatch", key, row, {key, *taxes})

    def _claimed_twice(self) -> Iterator[Fault]:
        """A second order of the same store that carries the payment's id; nothing else tells which is meant."""
        for key in self._victims("linden_de", self._number, paid_by="ch_"):
            with self._order(key) as (connection, row, body):
                self._say_less(body["transaction_id"])
                second = _next_id(connection)
                copy = {**body, "id": second, "number": f"{second}-C", "order_key": f"wc_order_copy{second}"}
                connection.execute(
                    "insert into orders values (?, ?, ?, ?, ?, ?, ?)",
                    (second, copy["number"], row["status"], row["created"], row["modified"], row["customer"],
                     encode(copy)),
                )  # fmt: skip
            line = self._lines[key].settlement_line_key
            twin = f"linden_de:{second}"
            yield self._of_order("payment that two orders name", "ambiguous_match", line, row, {key, twin, line})

    def _say_less(self, charge_id: str) -> None:
        """Take from a charge and its ledger line what names an order."""
        with change_state(self._home / "sandbox" / "stripe_de.sqlite") as gateway:
            for table, where in (("charges", "id"), ("balance_transactions", "source")):
                select = f"select id, body from {table} where {where} = ?"
                for row in gateway.execute(select, (charge_id,)).fetchall():
                    body = json.loads(row["body"], parse_float=Decimal) | {"description": None}
                    if "metadata" in body:
                        body["metadata"] = {}
                    gateway.execute(f"update {table} set body = ? where id = ?", (encode(body), row["id"]))

    def _gift_card_order(self) -> Iterator[Fault]:
        cards = [case.order_key for case in self._truth.cases if case.case == "gift_card_part_payment"]
        for key in sorted(one for one in cards if one)[: self._number]:
            with self._order(key) as (_, row, body):
                for card in body["gift_cards"]:
                    card["amount"] = f"{Decimal(str(card['amount'])) + 5:f}"
            yield self._of_order("gift card that pays more than the order", "gift_card_imbalance", key, row, {key})

    # --- gateways ---

    def _line_too_many(self) -> Iterator[Fault]:
        """A line in a payout of which the payout knows nothing."""
        with change_state(self._home / "sandbox" / "stripe_us.sqlite") as gateway:
            model = gateway.execute("select * from balance_transactions where type = 'stripe_fee' limit 1").fetchone()
            payouts = gateway.execute(
                "select * from payouts where status = 'paid' and reconciliation_status = 'completed' order by id"
            ).fetchall()
            for row in self._unused([row["id"] for row in payouts], self._number):
                payout = next(one for one in payouts if one["id"] == row)
                line = f"txn_added{payout['id'][3:]}"
                at = payout["created"] - 3600
                body = {**json.loads(model["body"]), "id": line, "created": at, "available_on": at}
                gateway.execute(
                    "insert into balance_transactions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (line, at, model["type"], model["source"], model["currency"], model["net"], at, model["slot"],
                     payout["id"], encode(body)),
                )  # fmt: skip
                key = f"stripe_us:{payout['id']}"
                self._used.add(key)
                yield self._fault(
                    "payout that is not the sum of its lines", "payout_residual", key, _moment(payout["created"]),
                    touches={f"stripe_us:{line}", "stripe_us:*balance"},
                )  # fmt: skip

    def _payout_not_listed(self) -> Iterator[Fault]:
        """A payout that the gateway's list leaves out; its lines and the bank know of it."""
        with change_state(self._home / "sandbox" / "stripe_de.sqlite") as gateway:
            payouts = gateway.execute("select * from payouts where status = 'paid' order by created").fetchall()
            for row in payouts[1:2]:
                gateway.execute("delete from payouts where id = ?", (row["id"],))
                (line,) = gateway.execute(
                    "select id from balance_transactions where type = 'payout' and source = ?", (row["id"],)
                ).fetchone()
                key = f"stripe_de:{row['id']}"
                self._used.add(key)
                at = _moment(row["created"])
                yield Fault(
                    "payout that the gateway does not list", "completeness_gap", f"stripe_de:{line}", at,
                    at + timedelta(days=1), frozenset({key}),
                )  # fmt: skip

    def _fee_too_high(self) -> Iterator[Fault]:
        """A fee above the contract's on a sale of yesterday, which is in no payout yet."""
        with change_state(self._home / "sandbox" / "stripe_us.sqlite") as gateway:
            rows = gateway.execute(
                "select * from balance_transactions where type = 'charge' and payout is null order by created"
            ).fetchall()
            known = {link.settlement_line_key for link in self._lines.values()}
            for row in [one for one in rows if f"stripe_us:{one['id']}" in known][: self._number]:
                body = json.loads(row["body"])
                body["fee"] += 200
                body["net"] -= 200
                body["fee_details"][0]["amount"] += 200
                gateway.execute(
                    "update balance_transactions set net = ?, body = ? where id = ?",
                    (body["net"], encode(body), row["id"]),
                )
                at = _moment(row["created"])
                # One exception for an account and month names them all.
                yield self._fault("fee above the contract's", "fee_variance", "stripe_us:*", at)

    def _double_loss(self) -> Iterator[Fault]:
        """A dispute over money that was given back before."""
        with change_state(self._home / "sandbox" / "stripe_us.sqlite") as gateway:
            refunds = gateway.execute("select * from refunds order by created").fetchall()
            model = gateway.execute("select * from disputes limit 1").fetchone()
            full = []
            for refund in refunds:
                charge = gateway.execute("select * from charges where id = ?", (refund["charge"],)).fetchone()
                body, back = json.loads(charge["body"]), json.loads(refund["body"])
                untouched = back["status"] == "succeeded" and not body["disputed"]
                if untouched and body["amount"] == back["amount"] and charge["id"] not in self._used:
                    full.append((refund, charge, body["amount"]))
            for refund, charge, amount in full[: self._number]:
                self._used.add(charge["id"])
                dispute, at = f"dp_again{charge['id'][3:]}", refund["created"] + 2 * 86_400
                body = {
                    **json.loads(model["body"]), "id": dispute, "amount": amount, "charge": charge["id"],
                    "payment_intent": charge["payment_intent"], "created": at, "status": "needs_response",
                    "balance_transactions": [], "currency": json.loads(charge["body"])["currency"],
                }  # fmt: skip
                gateway.execute(
                    "insert into disputes values (?, ?, ?, ?, ?)",
                    (dispute, at, charge["id"], charge["payment_intent"], encode(body)),
                )
                if at <= self._as_of.timestamp():
                    yield self._fault(
                        "dispute of what was given back", "dispute_double_loss", f"stripe_us:{dispute}", _moment(at)
                    )

    # --- banks ---

    def _bank_faults(self) -> Iterator[Fault]:
        """Deposits that are not there, or of another amount, and a statement that is held back."""
        for bank_id in ("bank_us", "bank_de"):
            book = _Statements(self._home / "inbox" / bank_id)
            payouts = [one for one in self._single_payouts(bank_id) if book.amount(one) == one.amount]
            # Recent ones as well: they say from which age on a payout is missed.
            for payout in [*payouts[-2:], *self._sample(payouts[:-2], self._number // 2 + 1)]:
                book.drop(payout)
                at = datetime.combine(payout.arrival_date, datetime.min.time(), UTC)
                due = datetime.combine(_working_days(payout.arrival_date, self._grace + 1), at.time(), UTC)
                self._used.add(payout.settlement_key)
                yield Fault("payout that is not on the bank", "payout_not_in_bank", payout.settlement_key, at, due)
            named = [one for one in payouts if one.settlement_key not in self._used and book.is_named(one)]
            for payout in self._sample(named, self._number // 2 + 1):
                book.change(payout, Decimal("-1.50"))
                at = datetime.combine(payout.arrival_date, datetime.min.time(), UTC)
                self._used.add(payout.settlement_key)
                yield self._fault(
                    "payout of another amount on the bank", "bank_amount_mismatch", payout.settlement_key, at
                )
            book.write()
        yield self._statement_held_back()

    def _statement_held_back(self) -> Fault:
        """A statement of the last closed month with payouts on it; it arrives when the month is closed."""
        folder, last = self._home / "inbox" / "bank_jp", self._as_of.date().replace(day=1)
        arrived: dict[str, list[TruePayout]] = {}
        for one in self._truth.payouts:
            line = one.bank_line
            if line and line.bank_id == "bank_jp" and line.value_date < last and one.created_on < last:
                arrived.setdefault(line.statement_id, []).append(one)
        statement, payouts = max(arrived.items())
        book = _Statements(folder)
        number = book.position(statement)
        path, follower = book.paths[number], book.ids[number + 1]
        self.late_statement = (path, path.read_bytes())
        path.unlink()
        return self._fault(
            "bank statement that is missing", "completeness_gap", f"bank_jp:{follower}",
            datetime.combine(payouts[0].arrival_date, datetime.min.time(), UTC) + timedelta(days=1),
            touches={one.settlement_key for one in payouts},
        )  # fmt: skip

    def _single_payouts(self, bank_id: str) -> list[TruePayout]:
        """Payouts that have a bank line of their own, the oldest first."""
        lines: dict[str, int] = {}
        for one in self._truth.payouts:
            if one.bank_line:
                lines[one.bank_line.key] = lines.get(one.bank_line.key, 0) + 1
        found = [
            one
            for one in self._truth.payouts
            if one.bank_line and one.bank_line.bank_id == bank_id and lines[one.bank_line.key] == 1
            and one.settlement_key not in self._used and one.amount > 10
        ]  # fmt: skip
        return sorted(found, key=lambda one: (one.arrival_date, one.settlement_key))

    # --- the ERP ---

    def _account_gone(self) -> Iterator[Fault]:
        """An account that finance has mapped and the ERP does not have any more."""
        company = ENTITIES["DE"].company
        path = self._home / "sandbox" / SEED_FILE
        seed = json.loads(path.read_text(encoding="utf-8"))
        seed["accounts"] = [
            one for one in seed["accounts"] if (one["company"], one["account_number"]) != (company, _ACCOUNT)
        ]
        path.write_text(json.dumps(seed), encoding="utf-8")
        first = self._as_of - timedelta(days=self._truth.days)
        yield self._fault("mapped account that the ERP does not have", "unmapped_account", "DE:donations", first)

    def _invoices(self) -> Iterator[Fault]:
        """Every paid order of one store is invoiced in the ERP, and every refund credited; some are not, or wrongly."""
        path = self._home / "sandbox" / SEED_FILE
        seed = json.loads(path.read_text(encoding="utf-8"))
        company, found = ENTITIES[STORES[_INVOICED].entity_code].company, []
        victims = self._victims(_INVOICED, 2 * self._number, statuses=("completed",))
        missing, wrong = set(victims[: self._number]), set(victims[self._number :])
        with change_state(self._home / "sandbox" / f"{_INVOICED}.sqlite") as store:
            refunds = store.execute("select * from refunds order by id").fetchall()
            back: dict[int, list[Row]] = {}
            for refund in refunds:
                back.setdefault(refund["parent_id"], []).append(refund)
            # The note of a refund that came back, or that is nowhere at the gateway, is not asked for.
            odd = {one.order_key for one in self._truth.exceptions}
            sound = [row["id"] for row in refunds if f"{_INVOICED}:{row['parent_id']}" not in odd]
            credited_later = set(self._sample(sound, self._number))
            for row in store.execute("select * from orders order by id").fetchall():
                body, key = json.loads(row["body"]), f"{_INVOICED}:{row['id']}"
                if not body["date_paid_gmt"] or key in missing:
                    continue
                total = Decimal(body["total"]) + (1000 if key in wrong else 0)
                invoice = {
                    "company": company, "customer": "Web Customers", "currency": body["currency"],
                    "posting_date": body["date_paid_gmt"][:10], "grand_total": f"{total:f}", "po_no": row["number"],
                    "is_return": 0, "return_against": None,
                }  # fmt: skip
                found.append(invoice)
                for refund in back.get(row["id"], []):
                    details = json.loads(refund["body"])
                    if refund["id"] not in credited_later:
                        found.append(
                            {
                                **invoice, "posting_date": details["date_created_gmt"][:10],
                                "grand_total": f"{-abs(Decimal(details['amount'])):f}", "is_return": 1,
                                "return_against": row["number"],
                            }
                        )  # fmt: skip
            rows = {f"{_INVOICED}:{row['id']}": row for row in store.execute("select * from orders").fetchall()}
        seed["sales_invoices"] += sorted(found, key=lambda one: (one["posting_date"], one["is_return"]))
        path.write_text(json.dumps(seed), encoding="utf-8")
        for key in sorted(missing):
            yield self._of_order("sale without an invoice", "invoice_missing", key, rows[key], grace=2)
        for key in sorted(wrong):
            yield self._of_order("invoice of another amount", "invoice_mismatch", key, rows[key])
        for refund in refunds:
            if refund["id"] in credited_later:
                at = _moment(refund["created"])
                key = f"{_INVOICED}:{refund['parent_id']}"
                yield Fault(
                    "refund without a credit note", "refund_not_in_erp", key, at, at + timedelta(days=2),
                    frozenset({key}),
                )  # fmt: skip

    # --- helpers ---

    def _fault(
        self, fault_class: str, exception_type: str, subject: str, at: datetime, *, touches: set[str] | None = None
    ) -> Fault:
        return Fault(fault_class, exception_type, subject, at, at, frozenset(touches or ()))

    def _of_order(
        self, fault_class: str, exception_type: str, subject: str, row: Row, touches: set[str] | None = None,
        *, grace: int = 0,
    ) -> Fault:  # fmt: skip
        at = _moment(row["created"])
        return Fault(
            fault_class, exception_type, subject, at, at + timedelta(days=grace), frozenset(touches or {subject})
        )

    def _victims(
        self, store_id: str, number: int, statuses: Sequence[str] = ("completed", "processing"), paid_by: str = ""
    ) -> list[str]:
        """Ordinary paid orders of a store that no other fault has, spread over time; their payment's id begins so."""
        with change_state(self._home / "sandbox" / f"{store_id}.sqlite") as store:
            refunded = {row["parent_id"] for row in store.execute("select parent_id from refunds")}
            marks = ", ".join("?" * len(statuses))
            rows = store.execute(
                f"select id, body from orders where status in ({marks}) order by id", statuses
            ).fetchall()
        stripe = {gateway.gateway_id for gateway in GATEWAYS.values()}
        keys = [
            f"{store_id}:{row['id']}"
            for row in rows
            if row["id"] not in refunded and json.loads(row["body"])["transaction_id"].startswith(paid_by)
        ]
        fit = [
            key
            for key in keys
            if key in self._lines and self._lines[key].settlement_line_key.partition(":")[0] in stripe
        ]
        return self._unused(fit, number)

    def _unused(self, keys: Sequence[str], number: int) -> list[str]:
        chosen = self._sample([key for key in keys if key not in self._used], number)
        self._used.update(chosen)
        return chosen

    def _sample(self, items: Sequence[_Item], number: int) -> list[_Item]:
        chosen = set(self._rng.sample(range(len(items)), min(number, len(items))))
        return [item for place, item in enumerate(items) if place in chosen]

    @contextmanager
    def _order(self, key: str) -> Iterator[tuple[Connection, Row, dict[str, Any]]]:
        """An order's row and its body, which is written back."""
        store_id, _, order_id = key.partition(":")
        with change_state(self._home / "sandbox" / f"{store_id}.sqlite") as connection:
            row = connection.execute("select * from orders where id = ?", (order_id,)).fetchone()
            body = json.loads(row["body"], parse_float=Decimal)
            yield connection, row, body
            connection.execute("update orders set body = ? where id = ?", (encode(body), order_id))


def lose_between(warehouse: Path, store_id: str, gateway_id: str, as_of: datetime) -> list[Fault]:
    """Delete an order and a settlement line after they were loaded, as a fault of the loader would."""
    with change_state(warehouse.parent / "sandbox" / f"{gateway_id}.sqlite") as gateway:
        line = gateway.execute("select id, payout from balance_transactions where type = 'topup' limit 1").fetchone()
    with duckdb.connect(str(warehouse)) as connection:
        order = connection.execute(
            "select id, date_created_gmt from raw_woocommerce.orders "
            "where store_id = ? and status = 'cancelled' order by id limit 1",
            [store_id],
        ).fetchone()
        if order is None or line is None:
            raise AssertionError("the world has no cancelled order or no top-up to lose")
        connection.execute("delete from raw_woocommerce.orders where store_id = ? and id = ?", [store_id, order[0]])
        connection.execute(
            "delete from raw_stripe.balance_transactions where gateway_id = ? and id = ?", [gateway_id, line[0]]
        )
    return [
        Fault("order lost on the way to the warehouse", "completeness_gap", f"{store_id}:orders", as_of, as_of),
        Fault(
            "settlement line lost on the way", "completeness_gap", f"{gateway_id}:*balance", as_of, as_of,
            frozenset({f"{gateway_id}:{line['payout']}"}),
        ),
    ]  # fmt: skip


class _Statements:
    """The statements of a bank's folder, changed and written back with balances that chain again."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.xml"))
        self._trees = [etree.parse(str(path)) for path in self.paths]
        self.ids = [tree.findtext(".//c:Stmt/c:Id", namespaces=_BANK_NAMES) for tree in self._trees]
        # Before any line is taken out, places are as the truth counts them.
        self._entries = {
            (statement, number): entry
            for statement, tree in zip(self.ids, self._trees, strict=True)
            for number, entry in enumerate(tree.findall(".//c:Ntry", _BANK_NAMES), start=1)
        }

    def position(self, statement_id: str) -> int:
        return self.ids.index(statement_id)

    def amount(self, payout: TruePayout) -> Decimal:
        entry = self._entry(payout)
        side = entry.findtext("c:CdtDbtInd", namespaces=_BANK_NAMES)
        return Decimal(entry.findtext("c:Amt", namespaces=_BANK_NAMES)) * (-1 if side == "DBIT" else 1)

    def is_named(self, payout: TruePayout) -> bool:
        payout_id = payout.settlement_key.partition(":")[2]
        return payout_id in etree.tostring(self._entry(payout), encoding="unicode")

    def drop(self, payout: TruePayout) -> None:
        entry = self._entry(payout)
        entry.getparent().remove(entry)

    def change(self, payout: TruePayout, by: Decimal) -> None:
        entry = self._entry(payout)
        for amount in entry.iter(f"{{{NAMESPACE}}}Amt"):
            amount.text = f"{Decimal(amount.text) + by:f}"

    def write(self) -> None:
        """Balances and counts anew, from the first opening balance on."""
        balance: Decimal | None = None
        for path, tree in zip(self.paths, self._trees, strict=True):
            opening, closing = tree.findall(".//c:Bal", _BANK_NAMES)
            balance = _signed(opening) if balance is None else balance
            _set(opening, balance)
            entries = tree.findall(".//c:Ntry", _BANK_NAMES)
            balance += sum(_signed(entry) for entry in entries)
            _set(closing, balance)
            tree.find(".//c:TtlNtries/c:NbOfNtries", _BANK_NAMES).text = str(len(entries))
            path.write_bytes(etree.tostring(tree, xml_declaration=True, encoding="UTF-8"))

    def _entry(self, payout: TruePayout) -> Any:
        line = payout.bank_line
        if line is None:
            raise ValueError(f"{payout.settlement_key} is on no statement")
        return self._entries[line.statement_id, line.entry_number]


def _signed(element: Any) -> Decimal:
    amount = Decimal(element.findtext("c:Amt", namespaces=_BANK_NAMES))
    return -amount if element.findtext("c:CdtDbtInd", namespaces=_BANK_NAMES) == "DBIT" else amount


def _set(balance: Any, amount: Decimal) -> None:
    balance.find("c:Amt", _BANK_NAMES).text = f"{abs(amount):f}"
    balance.find("c:CdtDbtInd", _BANK_NAMES).text = "DBIT" if amount < 0 else "CRDT"


def _moment(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def _working_days(day: date, number: int) -> date:
    """So many days later, of which weekends are none."""
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < 5
    return day


def _next_id(connection: Connection) -> int:
    (last,) = connection.execute(
        "select max(id) from (select max(id) as id from orders union all select max(id) from refunds)"
    ).fetchone()
    return last + 1


def changed_orders(home: Path, store_id: str, number: int, later: datetime, changes: Mapping[str, Any]) -> list[str]:
    """Change pending or on-hold orders of a store of which no webhook tells; returns their keys."""
    with change_state(home / "sandbox" / f"{store_id}.sqlite") as connection:
        rows = connection.execute(
            "select * from orders where status in ('pending', 'on-hold') and number not like '%-X' "
            "order by id limit ?", (number,)
        ).fetchall()  # fmt: skip
        for row in rows:
            body = json.loads(row["body"], parse_float=Decimal) | dict(changes)
            body["date_modified_gmt"] = later.strftime("%Y-%m-%dT%H:%M:%S")
            connection.execute(
                "update orders set body = ?, status = ?, modified = ? where id = ?",
                (encode(body), body["status"], int(later.timestamp()), row["id"]),
            )
    return [f"{store_id}:{row['id']}" for row in rows]
