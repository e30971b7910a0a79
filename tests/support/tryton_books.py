"""Books, stock and documents for the tests' Tryton, made in a process of its own: ``python tryton_books.py CONF DB``.

Tryton is GPL: this file runs beside it and is no part of what we ship. What it makes is what
``tests/support/tryton.py`` says that a fresh server holds.
"""

import datetime
import sys
from decimal import Decimal
from typing import Any

from proteus import Model, config  # pyright: ignore[reportMissingTypeStubs]
from trytond.exceptions import UserWarning
from trytond.modules.account.tests.tools import (  # pyright: ignore
    create_chart,
    create_fiscalyear,
    get_accounts,
)
from trytond.modules.account_invoice.tests.tools import (  # pyright: ignore
    create_payment_term,
    set_fiscalyear_invoice_sequences,
)
from trytond.modules.company.tests.tools import create_company, get_company  # pyright: ignore
from trytond.modules.currency.tests.tools import get_currency  # pyright: ignore


def _model(name: str) -> Any:
    return Model.get(name)


def _currency(code: str) -> Any:
    return get_currency(code)


DAY = datetime.date(2026, 11, 5)
PASSWORD = "canary-password"


def main(configuration: str, database: str) -> None:
    """Fill the database."""
    config.set_trytond(database, config_file=configuration)
    warehouse_user = _model("res.user")(name="Loader", login="loader", password=PASSWORD)
    euro, dollar = _currency("EUR"), _currency("USD")
    for rate_day, rate in ((datetime.date(2026, 10, 1), "1.15"), (datetime.date(2026, 11, 1), "1.1723")):
        dollar.rates.new(date=rate_day, rate=Decimal(rate))
    dollar.save()
    party = _model("party.party")(name="Cedar & Pine GmbH")
    party.save()
    create_company(party=party, currency=euro)
    company = get_company()
    create_chart(company)
    year = set_fiscalyear_invoice_sequences(
        create_fiscalyear(company, today=(datetime.date(2026, 1, 1), datetime.date(2026, 12, 31)))
    )
    year.click("create_period")
    accounts = get_accounts(company)
    groups = _model("res.group").find([])
    for group in groups:
        warehouse_user.groups.append(_model("res.group")(group.id))
    warehouse_user.companies.append(_model("company.company")(company.id))
    warehouse_user.company = _model("company.company")(company.id)
    warehouse_user.save()
    _books(accounts, dollar)
    _documents(accounts, party_name="Ada Lovelace")


def _books(accounts: Any, dollar: Any) -> None:
    entry = _model("account.move")(date=DAY, description="settl-1")
    entry.journal = _model("account.journal").find([("code", "=", "MISC")])[0]
    entry.period = _model("account.period").find([("start_date", "<=", DAY), ("end_date", ">=", DAY)])[0]
    entry.lines.new(account=accounts["cash"], debit=Decimal("85.30"))
    line = entry.lines.new(account=accounts["expense"], debit=Decimal("2.71"))
    line.second_currency, line.amount_second_currency = dollar, Decimal("3.18")
    entry.lines.new(account=accounts["tax"], credit=Decimal("88.01"))
    entry.save()
    _click(entry, "post")


def _documents(accounts: Any, party_name: str) -> None:
    customer = _model("party.party")(name=party_name)
    customer.save()
    term = create_payment_term()
    term.save()
    for quantity in (2, -1):
        invoice = _model("account.invoice")(type="out", reference="1001", invoice_date=DAY)
        invoice.party, invoice.payment_term = customer, term
        invoice.lines.new(
            description="Mug", account=accounts["revenue"], quantity=quantity, unit_price=Decimal("12.50")
        )
        invoice.save()
        _click(invoice, "post")
    _stock(customer)


def _click(document: Any, *steps: str) -> None:
    """Press buttons as a user does who reads each warning and goes on."""
    for step in steps:
        while True:
            try:
                document.click(step)
                break
            except UserWarning as stopped:
                _model("res.user.warning")(user=config.get_config().user, name=stopped.name).save()


def _stock(customer: Any) -> None:
    unit = _model("product.uom").find([("name", "=", "Unit")])[0]
    template = _model("product.template")(name="Mug", type="goods", list_price=Decimal("12.50"), default_uom=unit)
    template.save()
    product = template.products[0]
    product.suffix_code = "MUG-1"
    product.save()
    location = _model("stock.location")
    supplier, storage = location.find([("code", "=", "SUP")])[0], location.find([("code", "=", "STO")])[0]
    warehouse = location.find([("code", "=", "WH")])[0]
    received = _model("stock.move")(product=product, unit=unit, quantity=42, effective_date=DAY)
    received.from_location, received.to_location = supplier, storage
    received.unit_price, received.currency = Decimal(4), _currency("EUR")
    received.save()
    _click(received, "do")
    shipment = _model("stock.shipment.out")(customer=customer, warehouse=warehouse, effective_date=DAY)
    shipment.reference = "1001"
    move = shipment.outgoing_moves.new(product=product, unit=unit, quantity=2)
    move.from_location, move.to_location = shipment.warehouse_output, customer.customer_location
    move.unit_price, move.currency = Decimal("12.50"), _currency("EUR")
    shipment.save()
    _click(shipment, "wait", "assign_try", "pick", "pack", "do")
    back = _model("stock.shipment.out.return")(customer=customer, warehouse=warehouse, effective_date=DAY)
    back.reference = "1001"
    move = back.incoming_moves.new(product=product, unit=unit, quantity=1)
    move.from_location, move.to_location = customer.customer_location, back.warehouse_input
    move.unit_price, move.currency = Decimal("12.50"), _currency("EUR")
    back.save()
    _click(back, "receive", "do")
    waiting = _model("stock.shipment.out")(customer=customer, warehouse=warehouse, planned_date=DAY)
    waiting.reference = "1002"
    move = waiting.outgoing_moves.new(product=product, unit=unit, quantity=5)
    move.from_location, move.to_location = waiting.warehouse_output, customer.customer_location
    move.unit_price, move.currency = Decimal("12.50"), _currency("EUR")
    waiting.save()
    _click(waiting, "wait", "assign_try")


if __name__ == "__main__":
    main(*sys.argv[1:])
