"""``retail policy check``: what an entity has decided, and what each decision does to the journal of its latest orders.

The rules are those of the models, as dbt compiled them when it last built the warehouse: their statements run once
more, in memory, over the records of a few orders and with one decision changed at a time. Nothing is written.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retail_assets.commands import CommandError
from retail_assets.settings import Policy, Settings

#: Where the records of an order come in: of these only what belongs to the sample is read, and the models between them
#: and the journal are run.
_ENTRANCES: Final = {
    "stg_ops__entities": "true",
    "stg_woocommerce__orders": "order_key in (select order_key from sample)",
    "stg_woocommerce__refunds": "order_key in (select order_key from sample)",
    "int_payments_of_orders": "order_key in (select order_key from sample)",
    "int_payments_correlated": "order_key in (select order_key from sample)",
    "int_gateway_refunds_prepared": "order_key in (select order_key from sample)",
    "int_settlement_lines_judged": "order_key in (select order_key from sample)",
    "int_fulfilments_correlated": "order_key in (select order_key from sample)",
    "int_exceptions_raised": "order_key in (select order_key from sample)",
    # Payouts are of many orders.
    "int_payouts_arrived": "false",
}
_RESULTS: Final = ("acc_journal_entries", "acc_journal_lines", "acc_events")

#: The latest order of each kind is shown. An order is shown once, under the first that fits.
_SITUATIONS: Final = {
    "refunded": "order_key in (select order_key from warehouse.intermediate.int_refunds_recognised)",
    "disputed": "order_key in (select order_key from warehouse.intermediate.int_settlement_lines_booked "
    "where footing_column = 'dispute')",
    "paid with a gift card, or selling one": "gift_card_amount <> 0 or gift_cards_sold_amount <> 0",
    "with a fee or a tip": "order_key in (select order_key from warehouse.intermediate.int_orders_enriched "
    "where fees_amount <> 0)",
    "in another currency": "currency_code <> base_currency_code",
    "shipped in part": "order_key in (select order_key from warehouse.intermediate.int_orders_shipped "
    "where fulfilment_status = 'partly_shipped')",
    "with shipping": "shipping_amount <> 0",
    "plain": "true",
}
_MOST_SAMPLES: Final = 4

#: What a value means; what a setting is about stands in its own description.
_MEANINGS: Final = {
    ("revenue_recognition", "capture"): "A captured payment makes its whole order revenue on that day.",
    ("revenue_recognition", "shipment"): "A captured payment is a customer's deposit. Each shipment makes the part of "
    "it revenue that its goods are worth; refunds before that come out of the deposit.",
    ("revenue_recognition", "completion"): "A captured payment is a customer's deposit until the store calls the "
    "order completed; refunds before that come out of the deposit.",
    ("posting", "lines"): "Each sale, refund and line of a gateway's ledger is an entry of its own.",
    ("posting", "summary"): "One entry for all of a day, store, gateway, currency and kind, without what is held.",
    ("disputes", "receivable"): "Disputed money is owed to us by the gateway until the bank has decided.",
    ("disputes", "loss"): "Disputed money is a loss from the day it is taken.",
    ("tips", "staff"): "Tips are owed to the staff.",
    ("tips", "income"): "Tips are revenue.",
    ("invoices", "none"): "No invoice is expected in the ERP for an order of the web.",
    ("invoices", "erp"): "Every paid order must have its invoice in the ERP, and every refund its credit note.",
}

Row = dict[str, Any]
#: An entry's head and lines.
Entry = dict[str, Any]


def explained(settings: Settings, entity_code: str) -> Row:
    """An entity's decisions in words, and sample orders with their journal under each.

    Returns:
        ``settings`` (name, value, meaning), and ``orders``: each with its situation, its ``entries``, and under
        ``instead`` what another value of a setting would change: entries that come, entries that go.

    Raises:
        CommandError: no build has left the statements of its models.
    """
    nodes = _models(settings)
    policy = settings.configuration.policy(entity_code)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        path = str(settings.warehouse_path).replace("'", "''")
        connection.execute(f"attach '{path}' as warehouse (read_only)")
        samples = _samples(connection, entity_code)
        workshop = _Workshop(connection, nodes)
        decided = {name: value for name, value in policy.model_dump().items() if name in workshop.decisions}
        journal = workshop.journal(entity_code, decided)
        orders = [sample | {"entries": _of_order(journal, sample["order_key"]), "instead": []} for sample in samples]
        for name, value in _other_values(policy):
            if name not in decided:
                continue
            other = workshop.journal(entity_code, decided | {name: value})
            for order in orders:
                changes = _changes(order["entries"], _of_order(other, order["order_key"]))
                order["instead"].append({"setting": name, "value": value, **changes})
    return {
        "entity_code": entity_code,
        "settings": [
            {
                "name": name,
                "value": value,
                "about": Policy.model_fields[name].description,
                "meaning": _MEANINGS.get((name, str(value))),
            }
            for name, value in policy.model_dump(mode="json").items()
        ],
        "orders": orders,
    }


def print_explained(console: Console, found: Row) -> None:
    """The same as tables."""
    table = Table(title=f"What {found['entity_code']} has decided", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("setting", "value", "what it means"):
        table.add_column(heading, overflow="fold")
    for setting in found["settings"]:
        value = setting["value"]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(setting["name"], escape(shown), escape(setting["meaning"] or setting["about"] or ""))
    console.print(table)
    if not found["orders"]:
        console.print("No sale of this entity is booked yet, so there is no order to show it on.")
    for order in found["orders"]:
        console.print(
            f"\n[bold]Order {escape(order['order_number'])}[/bold] of {order['store_id']}, {order['situation']}: "
            f"{order['receivable_amount']:,.2f} {order['currency_code']}",
            highlight=False,
        )
        console.print(_entries_table("as decided", order["entries"]))
        unchanged = []
        for other in order["instead"]:
            title = f"{other['setting']}: {other['value']}"
            if not other["comes"] and not other["goes"]:
                unchanged.append(title)
                continue
            console.print(_entries_table(f"with {title}", other["comes"]))
            if other["goes"]:
                console.print(f"   instead of {', '.join(other['goes'])}", highlight=False, markup=False)
        if unchanged:
            console.print(f"   no other journal with {'; '.join(unchanged)}", highlight=False, markup=False)


def _entries_table(title: str, entries: list[Entry]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for heading in ("day", "entry", "because", "account"):
        table.add_column(heading, overflow="fold")
    for heading in ("debit", "credit"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        because = ", ".join(entry["justified_by"])
        for position, line in enumerate(entry["lines"]):
            head = (str(entry["posting_date"]), entry["entry_id"], because) if position == 0 else ("", "", "")
            account = " ".join(part for part in (line["account_code"] or "none", line["account_name"]) if part)
            sides = (line["base_debit_amount"], line["base_credit_amount"])
            amounts = (f"{amount:,.2f}" if amount else "" for amount in sides)
            table.add_row(*map(escape, head), escape(account), *amounts)
    return table


def _models(settings: Settings) -> Mapping[str, Row]:
    """The models of the last build by name, with their statements."""
    path = settings.dbt_target_path / "run" / "manifest.json"
    if not path.is_file():
        raise CommandError("no build has left its models here yet: start with `retail run`")
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model" and node.get("compiled_code")}


def _samples(connection: duckdb.DuckDBPyConnection, entity_code: str) -> list[Row]:
    """The latest sale of each situation; the table ``sample`` has their keys."""
    latest = " union all ".join(
        f"(select {place} as place, order_key from sales where {condition} "  # noqa: S608 - conditions are ours
        "order by captured_at desc, order_key limit 1)"
        for place, condition in enumerate(_SITUATIONS.values())
    )
    connection.execute(
        "create temp table sales as select * from warehouse.intermediate.int_sales_recognised where entity_code = ?",
        [entity_code],
    )
    connection.execute(
        f"create table sample as select order_key, min(place) as place from ({latest}) "  # noqa: S608 - see above
        f"group by order_key order by place limit {_MOST_SAMPLES}"
    )
    found = _rows(
        connection,
        """
        select sample.place, sales.order_key, sales.order_number, sales.store_id, sales.currency_code,
            sales.receivable_amount, sales.posting_date
        from sample inner join sales using (order_key)
        order by sample.place
        """,
    )
    situations = list(_SITUATIONS)
    return [{"situation": situations[row.pop("place")], **row} for row in found]


class _Workshop:
    """The models of the journal, run over the sample in memory.

    Args:
        nodes: the models of the last build.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, nodes: Mapping[str, Row]) -> None:
        self._connection, self._nodes = connection, nodes
        self._order: list[str] = []
        for result in _RESULTS:
            self._line_up(result, {})
        self._own = {**dict.fromkeys(_ENTRANCES), **dict.fromkeys(self._order)}
        for schema in {nodes[name]["schema"] for name in self._own}:
            connection.execute(f'create schema if not exists memory."{schema}"')
        for name, condition in _ENTRANCES.items():
            relation = nodes[name]["relation_name"]
            connection.execute(f"create table {self._place(name)} as from {relation} where {condition}")
        columns = connection.execute(f"from {self._place('stg_ops__entities')} limit 0").description
        self.decisions = {column[0] for column in columns} & set(Policy.model_fields)

    def journal(self, entity_code: str, decisions: Mapping[str, Any]) -> list[Entry]:
        """The entries of the sample's orders under these decisions, each with its orders."""
        scalars = {name: value for name, value in decisions.items() if isinstance(value, str | int)}
        changes = ", ".join(f"{name} = ${name}" for name in scalars)
        self._connection.execute(
            f"update {self._place('stg_ops__entities')} set {changes} where entity_code = $entity",  # noqa: S608 - names of settings
            {**scalars, "entity": entity_code},
        )
        for name in self._order:
            statement = self._nodes[name]["compiled_code"]
            for own in self._own:
                statement = statement.replace(self._nodes[own]["relation_name"], self._place(own))
            self._connection.execute(f"create or replace table {self._place(name)} as {statement}")
        lines: dict[str, list[Row]] = {}
        for line in _rows(
            self._connection,
            """
            select lines.entry_id, lines.account_code, accounts.account_name, lines.account_role,
                lines.base_debit_amount, lines.base_credit_amount, lines.base_currency_code
            from memory.marts.acc_journal_lines as lines
            left join warehouse.marts.dim_accounts as accounts
                on lines.entity_code = accounts.entity_code and lines.account_code = accounts.account_code
            order by lines.entry_id, lines.line_no
            """,
        ):
            lines.setdefault(line.pop("entry_id"), []).append(line)
        entries = _rows(
            self._connection,
            """
            select entries.entry_id, entries.entry_type, entries.posting_date, entries.posting_status,
                list(distinct events.order_key order by events.order_key) as orders,
                list(events.justified_by order by events.event_id) as reasons
            from memory.marts.acc_journal_entries as entries
            inner join memory.marts.acc_events as events using (entry_id)
            group by entries.entry_id, entries.entry_type, entries.posting_date, entries.posting_status
            order by entries.posting_date, entries.entry_type <> 'sale', entries.entry_id
            """,
        )
        for entry in entries:
            reasons = [reason for text in entry.pop("reasons") for reason in json.loads(text)]
            entry |= {"justified_by": list(dict.fromkeys(reasons)), "lines": lines[entry["entry_id"]]}
        return entries

    def _line_up(self, name: str, seen: dict[str, bool]) -> bool:
        """Whether a model hangs on the sample; those that do are run, in the order in which they need one another."""
        if name in _ENTRANCES:
            return True
        if name not in self._nodes:
            return False
        if name not in seen:
            parents = [key.rpartition(".")[2] for key in self._nodes[name]["depends_on"]["nodes"]]
            hangs = [self._line_up(parent, seen) for parent in parents]
            seen[name] = True in hangs
            if seen[name] and name not in self._order:
                self._order.append(name)
        return seen[name]

    def _place(self, name: str) -> str:
        return self._nodes[name]["relation_name"].replace('"warehouse"', '"memory"', 1)


def _other_values(policy: Policy) -> Iterator[tuple[str, str]]:
    """What else could have been decided, where there is a choice."""
    for name, field in type(policy).model_fields.items():
        if get_origin(field.annotation) is Literal:
            for value in get_args(field.annotation):
                if value != getattr(policy, name):
                    yield name, value


def _of_order(journal: list[Entry], order_key: str) -> list[Entry]:
    return [entry for entry in journal if order_key in entry["orders"]]


def _changes(before: list[Entry], after: list[Entry]) -> Row:
    """Entries that come (new ones, and those with other lines), and the ids of those that go."""
    known = {entry["entry_id"]: entry for entry in before}
    ids = {entry["entry_id"] for entry in after}
    return {
        "comes": [entry for entry in after if known.get(entry["entry_id"]) != entry],
        "goes": [entry_id for entry_id in known if entry_id not in ids],
    }


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
