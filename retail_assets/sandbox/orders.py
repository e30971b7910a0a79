"""What is on an order: lines, discounts, shipping, fees and tax, in minor units, so that everything adds up exactly."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from retail_assets.sandbox.catalogue import Customer, Product, guest
from retail_assets.sandbox.minor import half_up, tax_in_gross, tax_on_net
from retail_assets.sandbox.plan import IN_POUNDS, Case, Kind, OrderPlan
from retail_assets.sandbox.profiles import StoreProfile, TaxRate

#: Pounds per euro of the catalogue, in hundredths, for the orders in pounds.
_GBP_PRICE: Final = 86

#: What the store calls the fee line that is a tip.
TIP: Final = "Tip"

Taxes = list[tuple[TaxRate, int]]


@dataclass(slots=True)
class Line:
    """One product line; ``taxes`` holds (rate, tax before discount, tax after discount)."""

    item_id: int
    product: Product
    quantity: int
    subtotal: int
    total: int
    taxes: list[tuple[TaxRate, int, int]]

    @property
    def subtotal_tax(self) -> int:
        return sum(before for _, before, _ in self.taxes)

    @property
    def total_tax(self) -> int:
        return sum(after for _, _, after in self.taxes)


@dataclass(slots=True)
class Charge:
    """A shipping or fee line: net amount and tax per rate."""

    item_id: int
    name: str
    method: str
    net: int
    taxes: Taxes
    taxable: bool = True

    @property
    def tax(self) -> int:
        return sum(tax for _, tax in self.taxes)


@dataclass(slots=True)
class Coupon:
    """A percentage coupon and the discount it gave."""

    item_id: int
    code: str
    percent: int
    discount: int
    discount_tax: int


@dataclass(slots=True)
class TaxLine:
    """What one rate comes to over the whole order."""

    item_id: int
    rate: TaxRate
    tax: int
    shipping_tax: int


@dataclass(slots=True)
class Order:
    """Everything an order holds, in minor units of ``currency``."""

    store: StoreProfile
    plan: OrderPlan
    currency: str
    customer: Customer
    order_key: str
    lines: list[Line]
    shipping: list[Charge]
    fees: list[Charge]
    coupons: list[Coupon]
    tax_lines: list[TaxLine] = field(default_factory=list)
    #: What a gift card paid of it.
    gift_card: int = 0

    @property
    def key(self) -> str:
        return f"{self.store.store_id}:{self.plan.id}"

    @property
    def net_sales(self) -> int:
        """Lines and fees without tax: what the ledger calls revenue."""
        return sum(line.total for line in self.lines) + sum(fee.net for fee in self.fees)

    @property
    def tips(self) -> int:
        """What the staff is owed of it."""
        return sum(fee.net for fee in self.fees if fee.name == TIP)

    @property
    def shipping_total(self) -> int:
        return sum(line.net for line in self.shipping)

    @property
    def shipping_tax(self) -> int:
        return sum(line.shipping_tax for line in self.tax_lines)

    @property
    def cart_tax(self) -> int:
        return sum(line.tax for line in self.tax_lines)

    @property
    def total_tax(self) -> int:
        return self.cart_tax + self.shipping_tax

    @property
    def total(self) -> int:
        """What is left to pay."""
        return self.net_sales + self.shipping_total + self.total_tax - self.gift_card

    def tax_by_jurisdiction(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self.tax_lines:
            found[line.rate.jurisdiction] = found.get(line.rate.jurisdiction, 0) + line.tax + line.shipping_tax
        return found


class OrderMaker:
    """Fills the orders of one store.

    Args:
        store: the store.
        goods: what it sells.
        customers: its registered customers.
        rng: source of every choice.
    """

    def __init__(
        self, store: StoreProfile, goods: Sequence[Product], customers: Sequence[Customer], rng: Random
    ) -> None:
        self._store = store
        self._goods = goods
        self._customers = customers
        self._rng = rng
        self._next_item = 1
        self._guests = 0

    def take_id(self) -> int:
        """The next id of an order item; order and refund items share one sequence."""
        self._next_item += 1
        return self._next_item - 1

    def make(self, plan: OrderPlan) -> Order:
        """The order of ``plan``."""
        rng, store = self._rng, self._store
        currency = "GBP" if plan.case in IN_POUNDS else store.currency
        customer = self._customer(plan)
        chosen = rng.sample(self._goods, k=rng.choice((1, 1, 1, 2, 2, 3)))
        percent = 100 if plan.kind is Kind.FREE else rng.choice((10, 15)) if rng.random() < 0.12 else 0
        lines = [self._line(product, customer, currency, percent) for product in chosen]
        shipping = [] if plan.kind is Kind.FREE else [self._shipping(customer, currency)]
        fees = [] if plan.kind is Kind.FREE or currency == "GBP" else self._fees(plan, customer)
        coupons = []
        if percent:
            discount = sum(line.subtotal - line.total for line in lines)
            discount_tax = sum(line.subtotal_tax - line.total_tax for line in lines)
            code = "freeall" if percent == 100 else f"herbst{percent}" if store.country == "DE" else f"autumn{percent}"
            coupons.append(Coupon(self.take_id(), code, percent, discount, discount_tax))
        order_key = "wc_order_" + "".join(rng.choices(_KEY_LETTERS, k=13))
        order = Order(store, plan, currency, customer, order_key, lines, shipping, fees, coupons)
        order.tax_lines = self.tax_lines(
            ((rate, after) for line in lines for rate, _, after in line.taxes),
            (tax for fee in fees for tax in fee.taxes),
            (tax for line in shipping for tax in line.taxes),
        )
        if plan.case is Case.TAX_DIFFERS and not order.total_tax:
            return self.make(plan)
        if plan.case is Case.GIFT_CARD:
            order.gift_card = max(1, order.total * rng.randint(20, 60) // 100)
        return order

    def again(self, order: Order, plan: OrderPlan) -> Order:
        """The same customer's same order once more."""

        def copies(items: list[Any]) -> list[Any]:
            return [replace(item, item_id=self.take_id()) for item in items]

        return replace(
            order, plan=plan, order_key="wc_order_" + "".join(self._rng.choices(_KEY_LETTERS, k=13)),
            lines=copies(order.lines), shipping=copies(order.shipping), fees=copies(order.fees),
            coupons=copies(order.coupons), tax_lines=copies(order.tax_lines),
        )  # fmt: skip

    def tax_lines(
        self,
        lines: Iterable[tuple[TaxRate, int]],
        fees: Iterable[tuple[TaxRate, int]],
        shipping: Iterable[tuple[TaxRate, int]],
    ) -> list[TaxLine]:
        """One tax line per rate: tax of lines and fees together, tax of shipping apart."""
        found: dict[int, TaxLine] = {}
        for source, is_shipping in ((lines, False), (fees, False), (shipping, True)):
            for rate, tax in source:
                line = found.get(rate.id)
                if line is None:
                    line = found[rate.id] = TaxLine(0, rate, 0, 0)
                if is_shipping:
                    line.shipping_tax += tax
                else:
                    line.tax += tax
        ordered = [found[rate_id] for rate_id in sorted(found)]
        for line in ordered:
            line.item_id = self.take_id()
        return ordered

    def _customer(self, plan: OrderPlan) -> Customer:
        if plan.case in IN_POUNDS:
            self._guests += 1
            return guest(self._store, self._rng, self._guests, "GB")
        if self._customers and self._rng.random() < 0.7:
            return self._rng.choice(self._customers)
        self._guests += 1
        return guest(self._store, self._rng, self._guests)

    def _rates(self, customer: Customer, tax_class: str) -> list[TaxRate]:
        home = customer.address
        return [
            rate
            for rate in self._store.tax_rates
            if rate.country == home.country
            and rate.state in ("", home.state)
            and rate.city in ("", home.city.upper())
            and rate.tax_class == (tax_class or "standard")
        ]

    def _line(self, product: Product, customer: Customer, currency: str, percent: int) -> Line:
        quantity = self._rng.choice((1, 1, 1, 2, 3))
        price = half_up(product.price * _GBP_PRICE, 100) if currency == "GBP" else product.price
        full = price * quantity
        paid = full - half_up(full * percent, 100)
        rates = self._rates(customer, product.tax_class)
        if self._store.prices_include_tax and rates:
            # Catalogue prices hold tax; WooCommerce still reports every line net.
            rate = rates[0]
            before, after = tax_in_gross(full, rate.rate), tax_in_gross(paid, rate.rate)
            return Line(self.take_id(), product, quantity, full - before, paid - after, [(rate, before, after)])
        taxes = [(rate, tax_on_net(full, rate.rate), tax_on_net(paid, rate.rate)) for rate in rates]
        return Line(self.take_id(), product, quantity, full, paid, taxes)

    def _taxed(self, net: int, customer: Customer) -> Taxes:
        return [(rate, tax_on_net(net, rate.rate)) for rate in self._rates(customer, "")] if net else []

    def _shipping(self, customer: Customer, currency: str) -> Charge:
        net = self._rng.choice(self._store.shipping_prices)
        if currency == "GBP" and net:
            net = half_up(net * _GBP_PRICE, 100)
        name, method = ("Flat rate", "flat_rate") if net else ("Free shipping", "free_shipping")
        return Charge(self.take_id(), name, method, net, self._taxed(net, customer))

    def _fees(self, plan: OrderPlan, customer: Customer) -> list[Charge]:
        # What is given back in full has a fee or a tip too.
        roll = 0 if plan.case is Case.REFUND_FULL else self._rng.random()
        small = self._store.small_amount
        if plan.case in (Case.TIP, Case.REFUND_SAME_PAYOUT):
            return [Charge(self.take_id(), TIP, "", 2 * small, [], taxable=False)]
        if roll < 0.04:
            net = 3 * small
            return [Charge(self.take_id(), "Gift wrap", "", net, self._taxed(net, customer))]
        if roll < 0.06:
            return [Charge(self.take_id(), TIP, "", 2 * small, [], taxable=False)]
        if roll < 0.075:
            # A negative fee is how shops give a discount outside the coupons; it lowers the tax as well.
            return [Charge(self.take_id(), "Loyalty discount", "", -small, self._taxed(-small, customer))]
        return []


_KEY_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
