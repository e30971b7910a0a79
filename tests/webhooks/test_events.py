"""What an event is about."""

import pytest

from retail_assets.webhooks.events import CHANGES, UnusableEventError, subject_of


@pytest.mark.parametrize(
    ("topic", "body", "subject"),
    [
        ("order.updated", b'{"id":90,"total":"1.00"}', "orders/90"),
        ("order.created", b'{"parent_id":0,"id":90,"line_items":[{"id":7}]}', "orders/90"),
        ("order.deleted", b'{"id":90}', "orders/90"),
        ("order.restored", b'{"id":90}', "orders/90"),
        ("product.updated", b'{"id":7,"type":"simple","parent_id":0}', "products/7"),
        ("product.updated", b'{"id":71,"type":"variation","parent_id":7}', "products/7"),
        ("customer.updated", b'{"id":3}', "customers/3"),
        ("action.woocommerce_order_refunded", b'{"action":"woocommerce_order_refunded","arg":90}', "orders/90"),
        ("action.woocommerce_new_order", b'{"action":"woocommerce_new_order","arg":90}', "orders/90"),
        ("action.woocommerce_add_to_cart", b'{"action":"woocommerce_add_to_cart","arg":{"a":1}}', None),
        ("coupon.updated", b'{"id":5}', None),
        (None, b'{"id":5}', None),
    ],
)
def test_an_event_of_a_store_names_its_record(topic: str | None, body: bytes, subject: str | None) -> None:
    """Another record was loaded than the one that changed, or an event that nobody loads was tried for ever."""
    assert subject_of("woocommerce", topic, body) == subject


def test_an_event_of_a_gateway_asks_for_what_changed() -> None:
    """A payment touches charge, ledger line and payout: only its own object was read again."""
    body = b'{"id":"evt_1","type":"charge.succeeded","data":{"object":{"object":"charge","amount":1e400}}}'
    assert subject_of("stripe", None, body) == CHANGES
    assert subject_of("adyen", "AUTHORISATION", b"{}") == CHANGES


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"id":90',
        b'{"id":"90"}',
        b'{"id":90.5}',
        b'{"id":NaN}',
        b'{"id":Infinity}',
        b'{"id":123456789012345678901234567890}',
        b'{"id":9007199254740993}',
        b'{"id":0}',
        b'{"id":-1}',
        b'{"id":90,"id":"x"}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"total":"1.00"}',
        b"webhook_id=1",
    ],
)
def test_what_does_not_say_is_buried_with_its_reason(body: bytes) -> None:
    """Deep nesting, NaN or a number of thirty digits ended the process that sorts all events, or named a record."""
    with pytest.raises(UnusableEventError, match=r"\w"):
        subject_of("woocommerce", "order.updated", body)
