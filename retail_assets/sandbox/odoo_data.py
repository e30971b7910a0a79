"""The records of the simulated Odoo 17 as its ORM keeps them: read by domain and changed in transactions.

``write_date`` is shown in seconds and kept in microseconds, so ``>`` its own value finds a record again; what Odoo
computes and stores (an entry's state on its lines, what is open on an invoice) changes without a new ``write_date``;
deleted drafts leave no trace; many2one values are ``[id, name]`` and nothing is false.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Values = dict[str, Any]

USER_ID: Final = 2

#: Model → field → its type, or the model it leads to (``>`` many2one, ``*`` a list of records).
MODELS: Final[Mapping[str, Mapping[str, str]]] = {
    "res.users": {"name": "char"},
    "res.currency": {"name": "char", "active": "boolean"},
    "res.company": {
        "name": "char", "currency_id": ">res.currency", "parent_id": ">res.company", "fiscalyear_lock_date": "date",
        "period_lock_date": "date", "tax_lock_date": "date",
    },
    "res.partner": {"name": "char"},
    "account.account": {
        "code": "char", "name": "char", "account_type": "selection", "company_id": ">res.company",
        "currency_id": ">res.currency", "deprecated": "boolean",
    },
    "account.analytic.account": {
        "code": "char", "name": "char", "company_id": ">res.company", "active": "boolean",
    },
    "account.journal": {
        "code": "char", "name": "char", "type": "selection", "company_id": ">res.company",
        "currency_id": ">res.currency", "active": "boolean", "restrict_mode_hash_table": "boolean",
    },
    "account.move": {
        "name": "char", "ref": "char", "move_type": "selection", "state": "selection", "payment_state": "selection",
        "date": "date", "invoice_date": "date", "journal_id": ">account.journal", "company_id": ">res.company",
        "currency_id": ">res.currency", "partner_id": ">res.partner", "amount_untaxed": "monetary",
        "amount_tax": "monetary", "amount_total": "monetary", "amount_total_signed": "monetary",
        "amount_residual": "monetary", "reversed_entry_id": ">account.move", "invoice_origin": "char",
        "line_ids": "*account.move.line", "posted_before": "boolean",
    },
    "account.move.line": {
        "move_id": ">account.move", "move_name": "char", "account_id": ">account.account", "date": "date",
        "debit": "monetary", "credit": "monetary", "amount_currency": "monetary", "currency_id": ">res.currency",
        "company_id": ">res.company", "parent_state": "selection", "partner_id": ">res.partner", "name": "char",
        "display_type": "selection", "tax_ids": "*account.tax", "matched_credit_ids": "*account.partial.reconcile",
        "matched_debit_ids": "*account.partial.reconcile", "analytic_distribution": "json",
    },
    "account.partial.reconcile": {"amount": "monetary"},
    "account.payment": {
        "name": "char", "payment_type": "selection", "amount": "monetary", "currency_id": ">res.currency",
        "date": "date", "ref": "char", "state": "selection", "partner_id": ">res.partner",
        "journal_id": ">account.journal", "company_id": ">res.company", "move_id": ">account.move",
        "reconciled_invoice_ids": "*account.move",
    },
    "res.currency.rate": {
        "name": "date", "currency_id": ">res.currency", "company_id": ">res.company", "rate": "float",
        "inverse_company_rate": "float",
    },
    "ir.model.data": {
        "module": "char", "name": "char", "model": "char", "res_id": "many2one_reference", "noupdate": "boolean",
    },
    "product.product": {"name": "char", "default_code": "char"},
    "uom.uom": {"name": "char"},
    "stock.location": {"name": "char", "usage": "selection"},
    "stock.quant": {
        "product_id": ">product.product", "location_id": ">stock.location", "lot_id": ">stock.lot",
        "quantity": "float", "reserved_quantity": "float", "product_uom_id": ">uom.uom", "company_id": ">res.company",
    },
    "stock.lot": {"name": "char"},
    "stock.picking.type": {"name": "char", "code": "selection"},
    "sale.order": {"name": "char", "client_order_ref": "char"},
    "stock.picking": {
        "name": "char", "origin": "char", "partner_id": ">res.partner", "picking_type_id": ">stock.picking.type",
        "picking_type_code": "selection", "return_id": ">stock.picking", "sale_id": ">sale.order",
        "location_id": ">stock.location", "location_dest_id": ">stock.location", "date_done": "datetime",
        "scheduled_date": "datetime", "carrier_tracking_ref": "char", "state": "selection",
        "company_id": ">res.company", "move_ids": "*stock.move",
    },
    "stock.move": {
        "picking_id": ">stock.picking", "product_id": ">product.product", "product_uom_qty": "float",
        "quantity": "float", "product_uom": ">uom.uom", "location_id": ">stock.location",
        "location_dest_id": ">stock.location", "date": "datetime", "state": "selection", "origin": "char",
        "company_id": ">res.company",
    },
}  # fmt: skip
_STAMPS: Final[Mapping[str, str]] = {"id": "integer", "create_date": "datetime", "write_date": "datetime"}
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "res.currency": {"active": True},
    "account.journal": {"active": True},
    "account.analytic.account": {"active": True},
}
#: Lists that are the other side of a many2one: field → (model, its field).
_BACK: Final = {
    ("account.move", "line_ids"): ("account.move.line", "move_id"),
    ("stock.picking", "move_ids"): ("stock.move", "picking_id"),
}


class OdooFault(Exception):  # noqa: N818 -- an answer, not a failure
    """What Odoo answers instead: the class of its exception and its words."""

    def __init__(self, name: str, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status


@dataclass
class OdooData:
    """The records of one database.

    Args:
        clock: the server's time (aware UTC); each change is at least a microsecond after the last.
        forbidden: models that the user may not read.
        missing: models whose module is not installed.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    forbidden: Collection[str] = ()
    missing: Collection[str] = ()
    records: dict[str, dict[int, Values]] = field(default_factory=lambda: {model: {} for model in MODELS})
    _ids: dict[str, int] = field(default_factory=dict)
    _undo: list[tuple[str, int, Values | None]] | None = None
    _last: datetime = datetime(1970, 1, 1)  # noqa: DTZ001 -- naive, as the real one's

    def add(self, model: str, /, **values: Any) -> int:
        """A new record; a many2one is given by its id."""
        identity = self._ids[model] = self._ids.get(model, 0) + 1
        now = self._tick()
        values = {**_DEFAULTS.get(model, {}), **values}
        self._remember(model, identity)
        self.records[model][identity] = {"id": identity, **values, "create_date": now, "write_date": now}
        return identity

    def change(self, model: str, identity: int, **values: Any) -> None:
        """Change a record, which stamps it."""
        self._remember(model, identity)
        self.records[model][identity] |= {**values, "write_date": self._tick()}

    def compute(self, model: str, identity: int, **values: Any) -> None:
        """Change what Odoo computes and stores, which stamps nothing."""
        self._remember(model, identity)
        self.records[model][identity] |= values

    def delete(self, model: str, identity: int) -> None:
        """Remove a record without a trace; its id is not used again."""
        self._remember(model, identity)
        del self.records[model][identity]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo all changes within if it fails; ids that were given are not given again."""
        outer, self._undo = self._undo, []
        try:
            yield
        except BaseException:
            for model, identity, before in reversed(self._undo):
                if before is None:
                    self.records[model].pop(identity, None)
                else:
                    self.records[model][identity] = before
            self._undo = []
            raise
        finally:
            self._undo = None if outer is None else [*outer, *self._undo]

    def _remember(self, model: str, identity: int) -> None:
        if self._undo is not None:
            before = self.records[model].get(identity)
            self._undo.append((model, identity, None if before is None else dict(before)))

    def _tick(self) -> datetime:
        now = self.clock().astimezone(UTC).replace(tzinfo=None)
        self._last = max(now, self._last + timedelta(microseconds=1))
        return self._last

    # Reading, as the ORM does it

    def fields_get(self, model: str) -> dict[str, Any]:
        """The fields of a model with their types."""
        return {name: {"type": _type(kind)} for name, kind in self._fields(model).items()}

    def search(self, model: str, domain: Sequence[Any], order: str | None, limit: int | None, offset: int) -> list[int]:
        """Ids of the records that a domain finds."""
        self._fields(model)
        found = [record for record in self.records[model].values() if self._fits(model, record, list(domain))]
        for term in reversed((order or "id").split(",")):
            name, _, direction = term.strip().partition(" ")
            found.sort(key=lambda record, name=name: _sortable(record.get(name)), reverse=direction.lower() == "desc")
        return [record["id"] for record in found[offset : offset + limit if limit else None]]

    def read(self, model: str, ids: Sequence[int], fields: Sequence[str] | None) -> list[Values]:
        """Records as they are sent: ``[id, name]``, false for nothing, times in seconds."""
        known = self._fields(model)
        names = list(fields or known)
        for name in names:
            if name not in known:
                raise OdooFault("builtins.ValueError", f"Invalid field '{name}' on model '{model}'")
        for identity in ids:
            if identity not in self.records[model]:
                message = f"Record does not exist or has been deleted.\n(Record: {model}({identity},), User: {USER_ID})"
                raise OdooFault("odoo.exceptions.MissingError", message, 404)
        return [
            {"id": identity, **{name: self._sent(model, self.records[model][identity], name) for name in names}}
            for identity in ids
        ]

    def _fields(self, model: str) -> Mapping[str, str]:
        if model not in MODELS or model in self.missing:
            raise OdooFault("odoo.exceptions.UserError", f"Object {model} doesn't exist", 404)
        if model in self.forbidden:
            message = f"You are not allowed to access '{model}' ({model}) records.\n\nContact your administrator."
            raise OdooFault("odoo.exceptions.AccessError", message, 403)
        return {**_STAMPS, **{name: kind for name, kind in MODELS[model].items() if kind[1:] not in self.missing}}

    def _sent(self, model: str, record: Values, name: str) -> Any:
        kind = self._fields(model)[name]
        value = self._value(model, record, name)
        if kind.startswith("*"):
            return list(value)
        if kind.startswith(">"):
            return [value, self.name_of(kind[1:], value)] if value else False
        if isinstance(value, datetime):
            return value.replace(microsecond=0).isoformat(" ")
        if value is None:
            return False if kind not in ("float", "monetary", "integer") else 0.0
        return value

    def _value(self, model: str, record: Values, name: str) -> Any:
        if (model, name) in _BACK:
            other, back = _BACK[model, name]
            return [item["id"] for item in self.records[other].values() if item.get(back) == record["id"]]
        return record.get(name, [] if self._fields(model)[name].startswith("*") else None)

    def name_of(self, model: str, identity: int) -> str:
        """How Odoo shows a record in a many2one."""
        record = self.records[model][identity]
        code = record.get("default_code")
        if model == "account.account":
            return f"{record['code']} {record['name']}"
        if model == "account.move" and record.get("ref"):
            return f"{record['name']} ({record['ref']})"
        return f"[{code}] {record['name']}" if code else str(record.get("name"))

    # Domains: prefix notation, conditions side by side are joined by "and"

    def _fits(self, model: str, record: Values, domain: list[Any]) -> bool:
        rest = list(domain)
        result = True
        while rest:
            result = self._term(model, record, rest) and result
        return result

    def _term(self, model: str, record: Values, rest: list[Any]) -> bool:
        term = rest.pop(0)
        if term == "!":
            return not self._term(model, record, rest)
        if term in ("|", "&"):
            left, right = self._term(model, record, rest), self._term(model, record, rest)
            return (left or right) if term == "|" else (left and right)
        path, operator, value = term
        return any(_compare(found, operator, value) for found in self._at(model, record, str(path).split(".")))

    def _at(self, model: str, record: Values, path: list[str]) -> Iterator[Any]:
        name, *rest = path
        kinds = self._fields(model)
        if name not in kinds:
            raise OdooFault("builtins.ValueError", f"Invalid field {model}.{name} in leaf ({'.'.join(path)!r})")
        value, kind = self._value(model, record, name), kinds[name]
        if not rest:
            yield value
            return
        for identity in value if kind.startswith("*") else [value]:
            if identity:
                yield from self._at(kind[1:], self.records[kind[1:]][identity], rest)


def _type(kind: str) -> str:
    return {">": "many2one", "*": "one2many"}.get(kind[0], kind)


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def _compare(found: Any, operator: str, value: Any) -> bool:
    if isinstance(found, datetime) and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if operator == "=":
        return (found or False) == value
    if operator == "!=":
        return (found or False) != value
    if operator in ("in", "not in"):
        among = any(one in value for one in found) if isinstance(found, list) else found in value
        return among is (operator == "in")
    if found is None:
        return False
    if operator not in (">", ">=", "<", "<="):
        raise OdooFault("builtins.ValueError", f"Invalid leaf operator {operator!r}")
    return {">": found > value, ">=": found >= value, "<": found < value, "<=": found <= value}[operator]
