"""A small retailer made by hand: each method adds what one event leaves behind in the systems' raw tables."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from retail_assets.money import exponent, to_minor
from tests.dbt.warehouse import Warehouse

AS_OF: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)

_CONFIGURATION: Final = Path(__file__).resolve().parents[2] / "data" / "retail.yaml"
_CURRENCY: Final = {"stripe_us": "USD", "stripe_de": "EUR", "stripe_jp": "JPY"}
_RATES: Final = {"cedar_us": ("US", "NY"), "linden_de": ("DE", ""), "aoi_jp": ("JP", "")}


def at(text: str) -> datetime:
    """A moment in UTC: ``at("2026-11-01 10:00")``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class World:
    """Rows collected in memory; ``write`` puts them into a warehouse."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._next = 1
        self._configure()

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(values)

    def write(self, warehouse: Warehouse) -> None:
        """Insert everything, with the balance that the lines leave at each gateway."""
        held: dict[tuple[str, str], int] = defaultdict(int)
        for line in self.rows["stripe.balance_transactions"]:
            if line.get("balance_type", "payments") == "payments":
                held[line["gateway_id"], line["currency"]] += line["net"]
        for (gateway, currency), amount in held.items():
            self.add("stripe.balances", gateway_id=gateway, currency=currency, available=amount - 1, pending=1)
        for table, rows in self.rows.items():
            warehouse.insert(table, rows)

    def number(self) -> int:
        self._next += 1
        return self._next

    # --- the store ---

    def order(
        self, key: str, lines: str, *, tax: str = "0", shipping: str = "0", fee: str = "0", discount: str = "0",
        status: str = "completed", method: str = "stripe", created: datetime, currency: str = "",
        paid: bool = True, total: str | None = None, tax_code: str = "", **more: Any,
    ) -> Decimal:  # fmt: skip
        """An order with one product line, one tax line in the store's own jurisdiction; returns its total."""
        store, order_id = key.split(":")
        net, tax_, ship, fee_ = Decimal(lines), Decimal(tax), Decimal(shipping), Decimal(fee)
        gross = net + tax_ + ship + fee_ if total is None else Decimal(total)
        country, state = _RATES[store]
        currency = currency or {"cedar_us": "USD", "linden_de": "EUR", "aoi_jp": "JPY"}[store]
        values = {
            "number": order_id, "order_key": f"wc_order_{store}_{order_id}", "meta_data": [], "transaction_id": "",
            "customer_id": 0, "billing_email": f"Buyer{order_id}@example.com",
        } | more  # fmt: skip
        self.add(
            "woocommerce.orders", store_id=store, id=int(order_id), status=status, currency=currency,
            date_created_gmt=created, date_paid_gmt=created + timedelta(minutes=1) if paid else None, total=gross,
            total_tax=tax_, cart_tax=tax_, shipping_total=ship, discount_total=Decimal(discount),
            payment_method=method, **values,
        )  # fmt: skip
        self.add(
            "woocommerce.order_lines", store_id=store, order_id=int(order_id), id=self.number(), name="Mug",
            product_id=7, quantity=1, subtotal=net + Decimal(discount), total=net, total_tax=tax_,
        )  # fmt: skip
        if ship:
            self.add(
                "woocommerce.order_shipping_lines", store_id=store, order_id=int(order_id), id=self.number(), total=ship
            )
        if fee_:
            self.add(
                "woocommerce.order_fee_lines",
                store_id=store,
                order_id=int(order_id),
                id=self.number(),
                name="Tip" if fee_ > 0 else "Loyalty discount",
                total=fee_,
            )
        if tax_:
            code = tax_code or "-".join(part for part in (country, state, "TAX", "1") if part)
            self.add(
                "woocommerce.order_tax_lines", store_id=store, order_id=int(order_id), id=self.number(), rate_code=code,
                rate_id=99 if tax_code else 1, tax_total=tax_, shipping_tax_total=0,
            )  # fmt: skip
        return gross

    def store_refund(
        self, key: str, order: str, amount: str, *, when: datetime, tax: str | None = None, gateway_refund: str = ""
    ) -> None:
        """A store refund: with a line and tax, or a bare amount when no tax is named."""
        store, refund_id = key.split(":")
        metas = [{"id": 1, "key": "_stripe_refund_id", "value": gateway_refund}] if gateway_refund else []
        self.add(
            "woocommerce.refunds", store_id=store, id=int(refund_id), parent_id=int(order.split(":")[1]),
            date_created_gmt=when, amount=Decimal(amount), reason="Too small", meta_data=metas,
        )  # fmt: skip
        if tax is not None:
            net = Decimal(amount) - Decimal(tax)
            self.add(
                "woocommerce.refund_lines", store_id=store, refund_id=int(refund_id), id=self.number(), total=-net,
                total_tax=-Decimal(tax),
            )  # fmt: skip
            self.add(
                "woocommerce.refund_tax_lines", store_id=store, refund_id=int(refund_id), id=self.number(), rate_id=1,
                rate_code="X", tax_total=-Decimal(tax), shipping_tax_total=0,
            )  # fmt: skip

    # --- the gateway ---

    def charge(
        self, gateway: str, charge_id: str, amount: str, *, when: datetime, fee: str = "0", currency: str = "",
        settled: str | None = None, captured: str | None = None, **more: Any,
    ) -> str:  # fmt: skip
        """A captured charge and its ledger line ``txn_<charge id>``; returns the line's id."""
        presentment = currency or _CURRENCY[gateway]
        values = {
            "status": "succeeded", "captured": True, "livemode": True, "payment_intent": f"pi_{charge_id}",
        } | more  # fmt: skip
        self.add(
            "stripe.charges", gateway_id=gateway, id=charge_id, currency=presentment.lower(), created=_unix(when),
            amount=_minor(amount, presentment), amount_captured=_minor(captured or amount, presentment),
            amount_refunded=values.pop("amount_refunded", 0), balance_transaction=f"txn_{charge_id}", **values,
        )  # fmt: skip
        return self.line(
            gateway, f"txn_{charge_id}", settled or captured or amount, "charge", source=charge_id, when=when, fee=fee
        )

    def line(
        self, gateway: str, line_id: str, amount: str, category: str, *, when: datetime, fee: str = "0",
        source: str | None = None, type_: str | None = None,
    ) -> str:  # fmt: skip
        """One balance transaction; returns its id."""
        currency = _CURRENCY[gateway]
        gross, cost = _minor(amount, currency), _minor(fee, currency)
        self.add(
            "stripe.balance_transactions", gateway_id=gateway, id=line_id, amount=gross, fee=cost, net=gross - cost,
            currency=currency.lower(), type=type_ or category, reporting_category=category, source=source,
            created=_unix(when), available_on=_unix(when), status="available",
        )  # fmt: skip
        return line_id

    def gateway_refund(
        self, gateway: str, refund_id: str, charge: str, amount: str, *, when: datetime, currency: str = "",
        settled: str | None = None, status: str = "succeeded",
    ) -> str:  # fmt: skip
        """A refund and its ledger line ``txn_<refund id>``; returns the line's id."""
        presentment = currency or _CURRENCY[gateway]
        self.add(
            "stripe.refunds", gateway_id=gateway, id=refund_id, amount=_minor(amount, presentment),
            currency=presentment.lower(), charge=charge, status=status, created=_unix(when),
        )  # fmt: skip
        return self.line(gateway, f"txn_{refund_id}", f"-{settled or amount}", "refund", source=refund_id, when=when)

    def dispute(
        self, gateway: str, dispute_id: str, charge: str, amount: str, *, when: datetime, fee: str, status: str
    ) -> str:
        """A dispute and the line that takes the money; returns the line's id."""
        self.add(
            "stripe.disputes", gateway_id=gateway, id=dispute_id, amount=_minor(amount, _CURRENCY[gateway]),
            currency=_CURRENCY[gateway].lower(), charge=charge, reason="fraudulent", status=status, created=_unix(when),
            evidence_due_by=_unix(when + timedelta(days=9)),
        )  # fmt: skip
        return self.line(
            gateway,
            f"txn_{dispute_id}",
            f"-{amount}",
            "dispute",
            source=dispute_id,
            when=when,
            fee=fee,
            type_="adjustment",
        )

    def payout(
        self, gateway: str, payout_id: str, lines: list[str], *, when: datetime, arrival: str, status: str = "paid",
        amount: str | None = None, trace: str | None = None, automatic: bool = True,
    ) -> Decimal:  # fmt: skip
        """A payout of the named lines with its own ledger line; returns its amount in major units."""
        currency = _CURRENCY[gateway]
        nets = {
            line["id"]: line["net"]
            for line in self.rows["stripe.balance_transactions"]
            if line["gateway_id"] == gateway
        }
        minor = sum(nets[line] for line in lines) if amount is None else _minor(amount, currency)
        self.add(
            "stripe.payouts", gateway_id=gateway, id=payout_id, amount=minor, currency=currency.lower(), status=status,
            created=_unix(when), arrival_date=_unix(at(arrival)), automatic=automatic, trace_id=trace,
            balance_transaction=f"txn_{payout_id}",
            reconciliation_status="completed" if automatic else "not_applicable",
        )  # fmt: skip
        for line in lines if automatic else []:
            self.add("stripe.payout_transactions", gateway_id=gateway, payout_id=payout_id, balance_transaction_id=line)
        paid = Decimal(minor).scaleb(-exponent(currency, "stripe"))
        self.line(gateway, f"txn_{payout_id}", str(-paid), "payout", source=payout_id, when=when)
        return paid

    # --- the bank ---

    def statement(self, bank: str, sequence: int, day: str, entries: list[tuple[str, str]], *, opening: str) -> str:
        """A statement of (amount, text) entries; returns its closing balance."""
        account, currency = {"bank_us": ("US64SVBKUS6S3300958879", "USD"), "bank_de": ("DE89370400440532013000", "EUR"),
                             "bank_jp": ("JP0001100010001234567", "JPY")}[bank]  # fmt: skip
        closing = Decimal(opening) + sum((Decimal(amount) for amount, _ in entries), Decimal())
        common = {"bank_id": bank, "account_id": account, "statement_id": f"S{sequence}", "currency": currency}
        self.add(
            "bank.statements", **common, sequence_number=sequence, opening_date=date.fromisoformat(day),
            closing_date=date.fromisoformat(day), opening_balance=Decimal(opening), closing_balance=closing,
            entry_count=len(entries), created_at=at(day), file_name=f"{bank}_{sequence}.xml", file_sha256="0" * 64,
        )  # fmt: skip
        for position, (amount, text) in enumerate(entries, 1):
            self.add(
                "bank.entries", **common, entry_number=position, amount=Decimal(amount),
                booking_date=date.fromisoformat(day), value_date=date.fromisoformat(day), remittance_text=text,
                file_name=f"{bank}_{sequence}.xml",
            )  # fmt: skip
        return str(closing)

    # --- configuration and books ---

    def _configure(self) -> None:
        configuration = yaml.safe_load(_CONFIGURATION.read_text(encoding="utf-8"))
        policy = configuration["policies"]["default"]
        self.add("ops.clock", as_of=AS_OF)
        for entity in configuration["entities"]:
            self.add(
                "ops.entities", entity_code=entity["code"], entity_name=entity["name"], country_code=entity["country"],
                base_currency_code=entity["base_currency"], time_zone=entity["time_zone"], erp_id=entity["erp"],
                **policy | {"tip_names": "|tip|tips|"},
            )  # fmt: skip
            self.add(
                "ops.erps",
                erp_id=entity["erp"],
                entity_code=entity["code"],
                erp_system="erpnext",
                company=entity["company"],
            )
        for store in configuration["stores"]:
            self.add(
                "ops.stores", store_id=store["id"], store_name=store["name"], entity_code=store["entity"],
                site_url=f"https://{store['id']}.example",
            )  # fmt: skip
            country, state = _RATES[store["id"]]
            self.add(
                "woocommerce.tax_rates", store_id=store["id"], id=1, country=country, state=state, name="Tax", rate=10
            )
        for gateway in (one for one in configuration["gateways"] if one["system"] == "stripe"):
            self.add(
                "ops.gateways", gateway_id=gateway["id"], gateway_system="stripe", entity_code=gateway["entity"],
                bank_id=gateway["bank"], order_reference=gateway["order_reference"],
                reference_prefix=gateway["reference_prefix"],
            )  # fmt: skip
            for served in gateway["stores"]:
                self.add(
                    "ops.gateway_stores", reports_after_days=0, gateway_id=gateway["id"], store_id=served["store"],
                    payment_method=served["payment_method"],
                )  # fmt: skip
        for bank in configuration["banks"]:
            self.add(
                "ops.banks", bank_id=bank["id"], entity_code=bank["entity"], account_id=bank["account"],
                currency_code=bank["currency"],
            )  # fmt: skip
        for day, rate in (("2026-10-01", "1.15"), ("2026-11-01", "1.172345")):
            self.add(
                "erp.exchange_rates", erp_id="erp_main", name=f"GBP-EUR-{day}", date=date.fromisoformat(day),
                from_currency="GBP", to_currency="EUR", exchange_rate=Decimal(rate), modified=f"{day} 00:00:00",
            )  # fmt: skip


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())


def _minor(amount: str, currency: str) -> int:
    return to_minor(Decimal(amount), currency, "stripe")
