"""Orders and refunds as WooCommerce's REST API writes them, with the full set of fields."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from retail_assets.sandbox.catalogue import API, SITE, address_record, gmt_text, links, local_text
from retail_assets.sandbox.minor import major, unpadded, woo
from retail_assets.sandbox.orders import Charge, Line, Order, TaxLine
from retail_assets.sandbox.plan import Case, Kind
from retail_assets.sandbox.profiles import CHANNELS
from retail_assets.sandbox.refunds import Refund, RefundedCharge, RefundedLine

WOOCOMMERCE_VERSION: Final = "10.2.4"

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_METHODS: Final = {
    Kind.ON_HOLD: ("bacs", "Direct bank transfer"),
    Kind.COD: ("cod", "Cash on delivery"),
    Kind.FREE: ("", ""),
    Kind.DRAFT: ("", ""),
}
_STATUSES: Final = {
    Kind.CANCELLED: "cancelled",
    Kind.FAILED: "failed",
    Kind.PENDING: "pending",
    Kind.ON_HOLD: "on-hold",
    Kind.DRAFT: "checkout-draft",
    Kind.TRASH_UNPAID: "trash",
    Kind.TRASH_REFUNDED: "trash",
}
_UNIT_PRICE: Final = Context(prec=17)


def status_of(order: Order, refunds: Sequence[Refund]) -> str:
    """The status an order has at the end of the simulated time."""
    plan = order.plan
    if plan.kind in _STATUSES:
        return _STATUSES[plan.kind]
    if refunds and sum(refund.amount for refund in refunds) == order.total:
        return "refunded"
    if plan.case is Case.DISPUTE_OPEN:
        # The payment plugin puts an order on hold while its payment is disputed.
        return "on-hold"
    if plan.case is Case.DISPUTE_LOST:
        return "failed"
    return "completed" if plan.completed else "processing"


def modified_at(order: Order, as_of: int) -> int:
    """Unix time of the order's last change."""
    plan = order.plan
    moments = [plan.created, plan.paid, plan.completed, plan.disputed, plan.dispute_won, plan.edited]
    moments += [refund.at for refund in plan.refunds]
    if plan.kind in (Kind.TRASH_UNPAID, Kind.TRASH_REFUNDED, Kind.CANCELLED):
        moments.append(max(moments) + 3_600)
    return min(max(moments), as_of)


def _created_via(order: Order, method: str) -> str:
    if order.plan.case is Case.RENEWAL:
        return "subscription"
    return "checkout" if method else "store-api"


def order_body(
    order: Order, refunds: Sequence[Refund], as_of: int, transaction_id: str, metas: Mapping[str, str], meta_id: int
) -> dict[str, Any]:
    """One order. ``metas`` are the payment plugin's notes; ``meta_id`` is the id of the first of them."""
    plan, store, currency = order.plan, order.store, order.currency
    zone = ZoneInfo(store.zone)
    method, method_title = _METHODS.get(plan.kind, ("stripe", "Credit / Debit Card"))
    if plan.channel:
        method, method_title = CHANNELS[plan.channel].payment_method, CHANNELS[plan.channel].payment_title
    status = status_of(order, refunds)
    path, shop = f"/orders/{plan.id}", f"{SITE}/{store.store_id}"
    moments = {
        "created": plan.created,
        "modified": modified_at(order, as_of),
        "completed": plan.completed,
        "paid": plan.paid,
    }
    dates: dict[str, str | None] = {}
    for name, at in moments.items():
        moment = datetime.fromtimestamp(at, UTC)
        dates[f"date_{name}"] = local_text(moment, zone) if at else None
        dates[f"date_{name}_gmt"] = gmt_text(moment) if at else None
    discount = sum(line.subtotal - line.total for line in order.lines)
    discount_tax = sum(line.subtotal_tax - line.total_tax for line in order.lines)
    needs_payment = status in ("pending", "failed", "checkout-draft") and order.total > 0
    order_links = links(store, path, "/orders")
    order_links["email_templates"] = [{"embeddable": True, "href": f"{shop}{API}{path}/actions/email_templates"}]
    if order.customer.id:
        order_links["customer"] = [{"href": f"{shop}{API}/customers/{order.customer.id}"}]
    cards = [{"id": plan.id, "code": f"GIFT-{plan.id:08d}", "amount": major(order.gift_card, currency)}]
    return {
        "id": plan.id, "parent_id": 0, "status": status, "currency": currency, "version": WOOCOMMERCE_VERSION,
        "prices_include_tax": store.prices_include_tax, "date_created": dates["date_created"],
        "date_modified": dates["date_modified"], "discount_total": woo(discount, currency),
        "discount_tax": woo(discount_tax, currency), "shipping_total": woo(order.shipping_total, currency),
        "shipping_tax": woo(order.shipping_tax, currency), "cart_tax": woo(order.cart_tax, currency),
        "total": woo(order.total, currency), "total_tax": woo(order.total_tax, currency),
        "customer_id": order.customer.id, "order_key": order.order_key,
        "billing": address_record(order.customer, email=True),
        "shipping": address_record(order.customer, email=False),
        "payment_method": method, "payment_method_title": method_title, "transaction_id": transaction_id,
        "customer_ip_address": "", "customer_user_agent": "", "created_via": _created_via(order, method),
        "customer_note": "", "date_completed": dates["date_completed"], "date_paid": dates["date_paid"],
        "cart_hash": "", "number": plan.number,
        "meta_data": [
            {"id": meta_id + step, "key": key, "value": value} for step, (key, value) in enumerate(metas.items())
        ],
        "line_items": [_line(line, currency) for line in order.lines],
        "tax_lines": [_tax_line(line, currency, 1) for line in order.tax_lines],
        "shipping_lines": [_shipping(line, currency) for line in order.shipping],
        "fee_lines": [_fee(fee, currency) for fee in order.fees],
        "coupon_lines": [
            {
                "id": coupon.item_id, "code": coupon.code, "discount": unpadded(coupon.discount, currency),
                "discount_tax": unpadded(coupon.discount_tax, currency), "meta_data": [], "discount_type": "percent",
                "nominal_amount": coupon.percent, "free_shipping": coupon.percent == 100,
            }
            for coupon in order.coupons
        ],
        "refunds": [
            {"id": refund.plan.id, "reason": _reason(refund), "total": woo(-refund.amount, currency)}
            for refund in sorted(refunds, key=lambda refund: -refund.plan.id)
        ],
        "payment_url": f"{shop}/checkout/order-pay/{plan.id}/?pay_for_order=true&key={order.order_key}",
        "is_editable": status in ("pending", "on-hold", "checkout-draft"), "needs_payment": needs_payment,
        "needs_processing": True, "date_created_gmt": dates["date_created_gmt"],
        "date_modified_gmt": dates["date_modified_gmt"], "date_completed_gmt": dates["date_completed_gmt"],
        "date_paid_gmt": dates["date_paid_gmt"], "currency_symbol": _SYMBOLS[currency], "_links": order_links,
        # Only orders that the plugin for gift cards has touched show its member.
        **({"gift_cards": cards} if order.gift_card else {}),
    }  # fmt: skip


def refund_body(refund: Refund, meta_id: int) -> dict[str, Any]:
    """One refund as ``/refunds`` serves it: the amount positive, everything on its lines negative."""
    order, store, currency = refund.order, refund.order.store, refund.order.currency
    created = datetime.fromtimestamp(refund.plan.at, UTC)
    metas = {"_refund_type": "full" if refund.is_full else "partial"}
    if store.notes_refund_id and refund.gateway_refund_id and not order.plan.channel:
        metas["_stripe_refund_id"] = refund.gateway_refund_id
    collection = f"/orders/{order.plan.id}/refunds"
    return {
        "id": refund.plan.id, "parent_id": order.plan.id, "date_created": local_text(created, ZoneInfo(store.zone)),
        "date_created_gmt": gmt_text(created), "amount": woo(refund.amount, currency), "reason": _reason(refund),
        "refunded_by": 1, "refunded_payment": bool(refund.gateway_refund_id),
        "meta_data": [
            {"id": meta_id + step, "key": key, "value": value} for step, (key, value) in enumerate(metas.items())
        ],
        "line_items": [_refunded_line(line, currency) for line in refund.lines],
        "shipping_lines": [_refunded_charge(line, currency, shipping=True) for line in refund.shipping],
        "tax_lines": [_tax_line(line, currency, -1) for line in refund.tax_lines],
        "fee_lines": [_refunded_charge(fee, currency, shipping=False) for fee in refund.fees],
        "_links": links(
            store, f"{collection}/{refund.plan.id}", collection, ("GET", "DELETE"), up=f"/orders/{order.plan.id}"
        ),
    }  # fmt: skip


def _reason(refund: Refund) -> str:
    return {"full": "Customer changed their mind", "lines": "One item damaged", "amount": "Goodwill"}[refund.plan.mode]


def _unit_price(line: Line, currency: str) -> Decimal | int:
    price = _UNIT_PRICE.divide(major(line.total, currency), Decimal(line.quantity))
    return int(price) if price == price.to_integral_value() else price.normalize()


def _line(line: Line, currency: str) -> dict[str, Any]:
    product = line.product
    metas = [
        {"id": line.item_id * 10 + step, "key": label.lower(), "value": option, "display_key": label,
         "display_value": option}
        for step, (label, option) in enumerate(product.attributes)
    ]  # fmt: skip
    return {
        "id": line.item_id, "name": product.name, "product_id": product.product_id,
        "variation_id": product.variation_id, "quantity": line.quantity, "tax_class": product.tax_class,
        "subtotal": woo(line.subtotal, currency), "subtotal_tax": woo(line.subtotal_tax, currency),
        "total": woo(line.total, currency), "total_tax": woo(line.total_tax, currency),
        "taxes": [
            {"id": rate.id, "total": woo(after, currency), "subtotal": woo(before, currency)}
            for rate, before, after in line.taxes
        ],
        "meta_data": metas, "sku": product.sku, "global_unique_id": "", "price": _unit_price(line, currency),
        "image": {"id": "", "src": ""}, "parent_name": product.parent_name,
    }  # fmt: skip


def _refunded_line(refunded: RefundedLine, currency: str) -> dict[str, Any]:
    line = refunded.line
    original = str(refunded.original.item_id)
    return {
        **_line(line, currency), "id": refunded.item_id, "quantity": -line.quantity,
        "subtotal": woo(-line.subtotal, currency), "subtotal_tax": woo(-line.subtotal_tax, currency),
        "total": woo(-line.total, currency), "total_tax": woo(-line.total_tax, currency),
        "taxes": [
            {"id": rate.id, "total": woo(-after, currency), "subtotal": woo(-before, currency)}
            for rate, before, after in line.taxes
        ],
        "meta_data": [_refunded_item(refunded.item_id, original)],
    }  # fmt: skip


def _refunded_item(item_id: int, original: str) -> dict[str, Any]:
    return {
        "id": item_id * 10, "key": "_refunded_item_id", "value": original, "display_key": "_refunded_item_id",
        "display_value": original,
    }  # fmt: skip


def _tax_line(line: TaxLine, currency: str, sign: int) -> dict[str, Any]:
    percent = line.rate.percent
    return {
        "id": line.item_id, "rate_code": line.rate.rate_code, "rate_id": line.rate.id, "label": line.rate.name,
        "compound": False, "tax_total": woo(sign * line.tax, currency),
        "shipping_tax_total": woo(sign * line.shipping_tax, currency),
        "rate_percent": int(percent) if percent == percent.to_integral_value() else percent.normalize(),
        "meta_data": [],
    }  # fmt: skip


def _charge_taxes(charge: Charge, currency: str, sign: int) -> list[dict[str, Any]]:
    return [{"id": rate.id, "total": woo(sign * tax, currency), "subtotal": ""} for rate, tax in charge.taxes]


def _shipping(line: Charge, currency: str) -> dict[str, Any]:
    return {
        "id": line.item_id, "method_title": line.name, "method_id": line.method, "instance_id": "1",
        "total": woo(line.net, currency), "total_tax": woo(line.tax, currency),
        "taxes": _charge_taxes(line, currency, 1), "tax_status": "taxable", "meta_data": [],
    }  # fmt: skip


def _fee(fee: Charge, currency: str) -> dict[str, Any]:
    return {
        "id": fee.item_id, "name": fee.name, "tax_class": "", "tax_status": "taxable" if fee.taxable else "none",
        "amount": "", "total": woo(fee.net, currency), "total_tax": woo(fee.tax, currency),
        "taxes": _charge_taxes(fee, currency, 1), "meta_data": [],
    }  # fmt: skip


def _refunded_charge(refunded: RefundedCharge, currency: str, *, shipping: bool) -> dict[str, Any]:
    charge = refunded.original
    record = _shipping(charge, currency) if shipping else _fee(charge, currency)
    return {
        **record, "id": refunded.item_id, "total": woo(-charge.net, currency), "total_tax": woo(-charge.tax, currency),
        "taxes": _charge_taxes(charge, currency, -1),
        "meta_data": [_refunded_item(refunded.item_id, str(charge.item_id))],
    }  # fmt: skip
