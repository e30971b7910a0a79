"""What the simulated Odoo 17 does when somebody writes: as a recorded one did, traps included.

- A call is a transaction: it happens whole or not at all.
- ``load`` never fails: HTTP 200 with ``ids`` false and messages. With a known external id it changes the entry, posted
  or not; lines without external ids are added to those that are there, lines with them are overwritten. In mode update,
  an entry whose external id was made with ``noupdate`` stays as it is (read in Odoo's source, not recorded).
- An unbalanced entry is refused when it is made; an unknown account with words about a deletion.
- ``action_post`` moves an entry that is dated on or before the fiscal year lock date to the end of the month after it,
  without a word; the period lock date does not hold for an adviser, and the tax lock date not for untaxed entries.
- Entries are numbered when they are posted, the first of a month as a draft already, and such a draft cannot be deleted
  once others follow; a name that somebody gave is where the numbering goes on from.
- A journal in strict mode refuses changes of posted lines and the way back to a draft.
"""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from retail_assets.sandbox.odoo_data import MODELS, OdooData, OdooFault, Values

_USER_ERROR: Final = "odoo.exceptions.UserError"
_VALIDATION_ERROR: Final = "odoo.exceptions.ValidationError"
_REFUSED: Final = 422
_BROKEN: Final = "An error has occurred.\n\n"
_CANNOT: Final = "The operation cannot be completed: "
_IN_STRICT_MODE: Final = "You cannot modify a posted entry of this journal because it is in strict mode."
#: The parameters of each method, by position; the first of a method of records is their ids.
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "create": ("vals_list",),
    "load": ("fields", "data"),
    "write": ("ids", "vals"),
    "unlink": ("ids",),
    "action_post": ("ids",),
    "button_draft": ("ids",),
}
WRITERS: Final = frozenset(_PARAMETERS)


def change(data: OdooData, model: str, method: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Call a method that changes something, as one transaction."""
    given = {**dict(zip(_PARAMETERS[method], arguments, strict=False)), **named}
    books = _Books(data)
    data.fields_get(model)
    if method == "load":
        return books.load(model, given["fields"], given["data"], named.get("context") or {})
    with data.transaction():
        if method == "create":
            made = [books.create(model, values) for values in _listed(given["vals_list"])]
            return made[0] if isinstance(given["vals_list"], Mapping) else made
        data.read(model, given["ids"], ["id"])
        if method == "write":
            for identity in given["ids"]:
                books.write(model, identity, given["vals"])
            return True
        if model != "account.move":
            raise OdooFault("builtins.AttributeError", f"The method '{model}.{method}' does not exist", 404)
        for identity in given["ids"]:
            getattr(books, method)(identity)
        return {"action_post": False, "unlink": True}.get(method)


class _Books:
    def __init__(self, data: OdooData) -> None:
        self._data = data

    # Any model

    def create(self, model: str, values: Values) -> int:
        if model == "account.move":
            move = self._new_move(values)
            self._write_move(move, values)
            return move
        if model == "ir.model.data":
            self._require_new_name(values)
        return self._data.add(model, **self._known(model, values))

    def write(self, model: str, identity: int, values: Values) -> None:
        if model == "account.move":
            self._write_move(identity, values)
        else:
            self._data.change(model, identity, **self._known(model, values))

    def _known(self, model: str, values: Values) -> Values:
        for name in values:
            if name not in MODELS[model]:
                raise OdooFault("builtins.ValueError", f"Invalid field '{name}' on model '{model}'")
        return dict(values)

    def _require_new_name(self, values: Values) -> None:
        module, name = values["module"], values["name"]
        if " " in name:
            raise OdooFault(_VALIDATION_ERROR, f"{_CANNOT}External IDs cannot contain spaces", _REFUSED)
        if self._external_id(f"{module}.{name}"):
            message = (
                f'{_CANNOT}duplicate key value violates unique constraint "ir_model_data_module_name_uniq_index"\n'
                f"DETAIL:  Key (module, name)=({module}, {name}) already exists.\n"
            )
            raise OdooFault(_VALIDATION_ERROR, message, _REFUSED)

    # Entries

    def _new_move(self, values: Values) -> int:
        journal = self._data.read("account.journal", [values["journal_id"]], ["company_id"])[0]
        company = self._data.records["res.company"][journal["company_id"][0]]
        return self._data.add(
            "account.move",
            name="/",
            move_type="entry",
            state="draft",
            posted_before=False,
            journal_id=journal["id"],
            company_id=company["id"],
            currency_id=company["currency_id"],
            amount_total=0.0,
        )

    def _write_move(self, move: int, values: Values) -> None:
        fields = self._known("account.move", values)
        commands = fields.pop("line_ids", [])
        self._data.change("account.move", move, **fields)
        day = self._move(move).get("date")
        if day and self._move(move)["name"] == "/" and not self._numbers(self._move(move), date.fromisoformat(day)):
            self._data.compute("account.move", move, name=self._next_name(self._move(move), date.fromisoformat(day)))
        for line in self._lines(move):
            self._data.compute("account.move.line", line["id"], date=day)
        for command in commands:
            self._write_line(move, command)
        if commands:
            self._require_balance(move)

    def _write_line(self, move: int, command: Sequence[Any]) -> None:
        posted = self._move(move)["state"] == "posted"
        kind, identity, values = [*command, None, None][:3]
        if posted and kind in (1, 2, 5) and self._journal(move).get("restrict_mode_hash_table"):
            message = (
                "You cannot edit the following fields: Label, Debit, Credit.\nThe following entries are already "
                f"hashed:\n{self._move(move)['name']}"
            )
            raise OdooFault(_USER_ERROR, message, _REFUSED)
        if kind == 0:
            self._data.add("account.move.line", **self._line_values(move, {}, values))
        elif kind == 1:
            before = self._data.records["account.move.line"][identity]
            self._data.change("account.move.line", identity, **self._line_values(move, before, values))
        else:
            gone = [line["id"] for line in self._lines(move) if kind == 5 or line["id"] == identity]
            if posted and gone:
                self._refuse_deletion()
            for line in gone:
                self._data.delete("account.move.line", line)

    def _line_values(self, move: int, before: Values, values: Values) -> Values:
        """The columns of a line; what is not given is computed, with the database's own rates."""
        given = self._known("account.move.line", values)
        record = self._move(move)
        own = self._data.records["res.company"][record["company_id"]]["currency_id"]
        line = {"currency_id": own, "debit": 0.0, "credit": 0.0, **before, **given}
        if line.get("account_id") not in self._data.records["account.account"]:
            message = (
                f"{_CANNOT}another model requires the record being deleted. If possible, archive it instead.\n\n"
                "Model: Journal Item (account.move.line)\nConstraint: account_move_line_account_id_fkey\n"
            )
            raise OdooFault(_VALIDATION_ERROR, message, _REFUSED)
        balance = round(line["debit"] - line["credit"], 2)
        if "amount_currency" in given and not {"debit", "credit"} & given.keys() and not before:
            balance = round(given["amount_currency"] * self._rate(line["currency_id"]), 2)
        elif "amount_currency" not in given and (not before or line["currency_id"] == own):
            line["amount_currency"] = balance
        amount = round(line["amount_currency"], 2)
        if amount * balance < 0 or (line["currency_id"] == own and amount != balance):
            message = (
                f"{_CANNOT}The amount expressed in the secondary currency must be positive when account is debited and "
                "negative when account is credited. If the currency is the same as the one from the company, this "
                "amount must strictly be equal to the balance."
            )
            raise OdooFault(_VALIDATION_ERROR, message, _REFUSED)
        shared = {"move_id": move, "move_name": record["name"], "date": record.get("date")}
        company = {"company_id": record["company_id"], "parent_state": record["state"], "display_type": "product"}
        sides = {"debit": max(balance, 0.0), "credit": max(-balance, 0.0), "amount_currency": amount}
        return {key: value for key, value in {**line, **shared, **company, **sides}.items() if key != "tax_ids"}

    def _rate(self, currency: int) -> float:
        rates = [rate for rate in self._data.records["res.currency.rate"].values() if rate["currency_id"] == currency]
        return rates[-1]["inverse_company_rate"] if rates else 1.0

    def _require_balance(self, move: int) -> None:
        record, lines = self._move(move), self._lines(move)
        debit, credit = (round(sum(line[side] for line in lines), 2) for side in ("debit", "credit"))
        if debit != credit:
            shown = record["name"] if record["state"] == "posted" else f"Draft Entry (* {move})"
            reference = f" ({record['ref']})" if record.get("ref") else ""
            message = (
                f"{_BROKEN}The move ({shown}{reference}) is not balanced.\nThe total of debits equals "
                f"$\u00a0{debit:.2f} and the total of credits equals $\u00a0{credit:.2f}.\nYou might want to specify a "
                f'default account on journal "{self._journal(move)["name"]}" to automatically balance each move.'
            )
            raise OdooFault(_USER_ERROR, message, _REFUSED)
        self._data.compute("account.move", move, amount_total=debit, amount_total_signed=debit)

    def action_post(self, move: int) -> None:
        """Number and post a draft; in a locked period on another day."""
        record = self._move(move)
        if record["state"] != "draft":
            message = f"The entry {record['name']} (id {move}) must be in draft."
            raise OdooFault(_USER_ERROR, message, _REFUSED)
        if not self._lines(move):
            raise OdooFault(_USER_ERROR, "You need to add a line before posting.", _REFUSED)
        day = self._open_day(record)
        name = record["name"] if record["name"] != "/" else self._next_name(record, day)
        if any(
            other["name"] == name and other["state"] == "posted" and other["journal_id"] == record["journal_id"]
            for other in self._data.records["account.move"].values()
        ):
            message = f"{_CANNOT}Another entry with the same name already exists."
            raise OdooFault(_VALIDATION_ERROR, message, _REFUSED)
        self._data.change("account.move", move, state="posted", posted_before=True, name=name, date=day.isoformat())
        for line in self._lines(move):
            changed = {"parent_state": "posted", "move_name": name, "date": day.isoformat()}
            self._data.compute("account.move.line", line["id"], **changed)

    def _open_day(self, record: Values) -> date:
        day = date.fromisoformat(record["date"])
        locked = self._data.records["res.company"][record["company_id"]].get("fiscalyear_lock_date")
        if locked and day <= date.fromisoformat(locked):
            first = date.fromisoformat(locked) + timedelta(days=1)
            day = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        return day

    def _numbers(self, record: Values, day: date) -> list[int]:
        """The numbers of the journal's month, those of other entries."""
        code = self._data.records["account.journal"][record["journal_id"]]["code"]
        pattern = f"{code}/{day.year}/{day.month:02}/"
        names = [
            str(move["name"]) for move in self._data.records["account.move"].values()
            if move["journal_id"] == record["journal_id"] and move["id"] != record["id"]
        ]  # fmt: skip
        return [int(name.removeprefix(pattern)) for name in names if name.startswith(pattern)]

    def _next_name(self, record: Values, day: date) -> str:
        posted = [
            move for move in self._data.records["account.move"].values()
            if move["state"] == "posted" and move["journal_id"] == record["journal_id"]
        ]  # fmt: skip
        code = self._data.records["account.journal"][record["journal_id"]]["code"]
        last = max(posted, key=lambda move: move["write_date"], default=None)
        if last and not last["name"].startswith(f"{code}/"):
            start, number = re.fullmatch(r"(.*?)([0-9]*)", last["name"]).groups()  # pyright: ignore[reportOptionalMemberAccess]
            return f"{start}{int(number or 0) + 1}"
        return f"{code}/{day.year}/{day.month:02}/{max(self._numbers(record, day), default=0) + 1:04}"

    def button_draft(self, move: int) -> None:
        """Set a posted entry back; it keeps its number."""
        if self._journal(move).get("restrict_mode_hash_table"):
            raise OdooFault(_USER_ERROR, _IN_STRICT_MODE, _REFUSED)
        self._data.change("account.move", move, state="draft")
        for line in self._lines(move):
            self._data.compute("account.move.line", line["id"], parent_state="draft")

    def unlink(self, move: int) -> None:
        """Delete a draft, its lines and its external ids."""
        record = self._move(move)
        if record["state"] == "posted":
            self._refuse_deletion()
        prefix, _, number = record["name"].rpartition("/")
        if number and any(
            other["name"].startswith(f"{prefix}/") and int(other["name"].rpartition("/")[2]) > int(number)
            for other in self._data.records["account.move"].values()
        ):
            message = (
                "You cannot delete this entry, as it has already consumed a sequence number and is not the last one in "
                "the chain. You should probably revert it instead."
            )
            raise OdooFault(_USER_ERROR, message, _REFUSED)
        gone = {("account.move", move)} | {("account.move.line", line["id"]) for line in self._lines(move)}
        for identity, record in list(self._data.records["ir.model.data"].items()):
            if (record["model"], record["res_id"]) in gone:
                self._data.delete("ir.model.data", identity)
        for model, identity in gone:
            self._data.delete(model, identity)

    def _refuse_deletion(self) -> None:
        message = (
            "You can't delete a posted journal item. Don\u2019t play games with your accounting records; reset the "
            "journal entry to draft before deleting it."
        )
        raise OdooFault(_USER_ERROR, message, _REFUSED)

    # load

    def load(
        self, model: str, fields: Sequence[str], rows: Sequence[Sequence[str]], context: Mapping[str, Any]
    ) -> Values:
        """Import rows as from a file: never an error, but messages."""
        if model != "account.move":
            raise OdooFault("builtins.NotImplementedError", f"load is simulated for account.move, not for {model}")
        try:
            with self._data.transaction():
                return {"ids": list(self._loaded(fields, rows, context)), "messages": [], "nextrow": 0}
        except OdooFault as fault:
            reason = fault.message
        span = {"from": 0, "to": len(rows) - 1}
        message = {"rows": span, "record": 0, "type": "error", "message": reason}
        return {"ids": False, "messages": [message], "nextrow": 0}

    def _loaded(
        self, fields: Sequence[str], rows: Sequence[Sequence[str]], context: Mapping[str, Any]
    ) -> Iterator[int]:
        for record in self._records(fields, rows):
            lines, external_id = record.pop("line_ids", []), str(record.pop("id", ""))
            move = self._external_id(external_id) or 0
            header = {name.partition("/")[0]: int(v) if "/" in name else v for name, v in record.items()}
            if move and context.get("mode") == "update" and self._is_protected(external_id):
                yield move
                continue
            if move:
                self._write_move(move, header)
            else:
                move = self._new_move(header)
                self._write_move(move, header)
                self._name("account.move", external_id, move, noupdate=bool(context.get("noupdate")))
            for line in lines:
                self._load_line(move, line)
            if lines:
                self._require_balance(move)
            yield move

    def _records(self, fields: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Values]:
        """A row that has only lines belongs to the record above it."""
        record: Values = {}
        for row in rows:
            cells = dict(zip(fields, row, strict=True))
            header = {name: cell for name, cell in cells.items() if cell and not name.startswith("line_ids/")}
            line = {name.removeprefix("line_ids/"): cell for name, cell in cells.items() if name not in header and cell}
            if header:
                if record:
                    yield record
                record = {**header, "line_ids": []}
            if line:
                record["line_ids"].append(line)
        yield record

    def _load_line(self, move: int, cells: Values) -> None:
        external_id = str(cells.pop("id", ""))
        account = cells.get("account_id/.id")
        if account and int(account) not in self._data.records["account.account"]:
            message = f"No matching record found for database id '{account}' in field 'Journal Items/Account'"
            raise OdooFault(_USER_ERROR, message)
        numbers = {"debit", "credit", "amount_currency"}
        values = {
            name.partition("/")[0]: int(cell) if "/" in name else float(cell) if name in numbers else cell
            for name, cell in cells.items()
        }
        known = self._external_id(external_id) if external_id else None
        if known:
            self._write_line(move, [1, known, values])
            return
        self._write_line(move, [0, 0, values])
        if external_id:
            self._name("account.move.line", external_id, max(self._data.records["account.move.line"]))

    def _named(self, full: str) -> Values | None:
        module, _, name = full.partition(".")
        for record in self._data.records["ir.model.data"].values():
            if (record["module"], record["name"]) == (module, name):
                return record
        return None

    def _external_id(self, full: str) -> int | None:
        record = self._named(full)
        return record["res_id"] if record and record["res_id"] in self._data.records[record["model"]] else None

    def _is_protected(self, full: str) -> bool:
        return bool((self._named(full) or {}).get("noupdate"))

    def _name(self, model: str, full: str, identity: int, **values: Any) -> None:
        module, _, name = full.partition(".")
        self.create("ir.model.data", {"module": module, "name": name, "model": model, "res_id": identity, **values})

    def _move(self, move: int) -> Values:
        return self._data.records["account.move"][move]

    def _journal(self, move: int) -> Values:
        return self._data.records["account.journal"][self._move(move)["journal_id"]]

    def _lines(self, move: int) -> list[Values]:
        return [line for line in self._data.records["account.move.line"].values() if line["move_id"] == move]


def _listed(values: Any) -> list[Values]:
    return [dict(values)] if isinstance(values, Mapping) else values
