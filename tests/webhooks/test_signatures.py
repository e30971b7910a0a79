"""The signature schemes."""

import base64
import hmac
import json

import pytest

from retail_assets.webhooks.signatures import Adyen, Stripe, WooCommerce, is_ping

NOW = 1_780_000_000
OLD, NEW = b"the-old-secret-0123", b"the-new-secret-0123"
BODY = rb'{"id":90,"note":"caf\u00e9","url":"https:\/\/shop.example"}'


def woo(body: bytes, key: bytes = NEW) -> dict[bytes, bytes]:
    return {b"x-wc-webhook-signature": base64.b64encode(hmac.digest(key, body, "sha256"))}


def stripe(body: bytes, key: bytes = NEW, at: int = NOW, prefix: bytes = b"") -> dict[bytes, bytes]:
    made = hmac.digest(key, b"%d.%b" % (at, body), "sha256").hex().encode()
    return {b"stripe-signature": b"t=%d,%bv1=%b" % (at, prefix, made)}


def test_the_bytes_are_signed_and_not_what_they_mean() -> None:
    """The body was parsed and written anew before the check: WooCommerce escapes slashes, and nothing matched."""
    assert WooCommerce().verify(woo(BODY), BODY, [NEW], NOW) is not None
    same = json.dumps(json.loads(BODY)).encode()
    assert WooCommerce().verify(woo(BODY), same, [NEW], NOW) is None


@pytest.mark.parametrize(
    "header",
    [None, b"", b"=", b"\xff\xfe", b"x" * 100_000, base64.b64encode(b"0" * 32), b"\xc3\xa9" * 22],
)
def test_whatever_stands_there_only_the_signature_holds(header: bytes | None) -> None:
    """A missing, short or non-ASCII signature raised an error, and the answer told more than that it does not hold."""
    headers = {} if header is None else {b"x-wc-webhook-signature": header}
    assert WooCommerce().verify(headers, BODY, [OLD, NEW], NOW) is None
    assert Stripe().verify({b"stripe-signature": header or b""}, BODY, [OLD, NEW], NOW) is None
    assert Adyen().verify(headers, BODY, [b"00" * 32], NOW) is None


def test_both_keys_hold_while_one_is_replaced() -> None:
    """Events signed with the old key were refused for as long as the sender had not switched."""
    for scheme, signed in ((WooCommerce(), woo), (Stripe(), stripe)):
        assert all(scheme.verify(signed(BODY, key), BODY, [OLD, NEW], NOW) for key in (OLD, NEW))
        assert scheme.verify(signed(BODY, OLD), BODY, [NEW], NOW) is None


def test_stripe_signs_with_both_keys_too() -> None:
    """While Stripe rolls a key it sends a signature with each, and only the first was looked at."""
    other = b"v1=" + b"0" * 64 + b",v0=" + b"1" * 64 + b","
    assert Stripe().verify(stripe(BODY, prefix=other), BODY, [NEW], NOW) is not None


@pytest.mark.parametrize(("off", "holds"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_signed_time_is_good_for_five_minutes(off: int, holds: bool) -> None:
    """An event recorded from the wire could be replayed for ever, or a clock that is a little off refused them all."""
    assert (Stripe().verify(stripe(BODY, at=NOW + off), BODY, [NEW], NOW) is not None) is holds


@pytest.mark.parametrize("times", [b"", b"t=1,t=%d," % NOW, b"t=1e9,", b"t=-5,", b"t=" + b"9" * 30 + b","])
def test_the_time_is_exactly_one_number(times: bytes) -> None:
    """A second time in the header was the one compared with the clock, the first the one signed."""
    made = hmac.digest(NEW, b"%d.%b" % (NOW, BODY), "sha256").hex().encode()
    assert Stripe().verify({b"stripe-signature": times + b"v1=" + made}, BODY, [NEW], NOW) is None


def test_the_id_of_a_stripe_event_is_read_from_what_is_signed() -> None:
    """Retries of one event differ in their bytes, and were taken for new events."""
    body = b'{\n  "id": "evt_1AbC",\n  "object": "event", "pending_webhooks": 1}'
    found = Stripe().verify(stripe(body), body, [NEW], NOW)
    assert found is not None
    assert (found.signed_id, found.delivery_id) == ("evt_1AbC", "evt_1AbC")
    nested = b'{"object": "event", "data": {"id": "evt_1AbC"}}'
    other = Stripe().verify(stripe(nested), nested, [NEW], NOW)
    assert other is not None
    assert other.signed_id is None


# The example of Adyen's documentation, whose signature its own library gives.
ADYEN_KEY = b"44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
ADYEN_ITEM = {
    "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
    "amount": {"value": 1130, "currency": "EUR"},
    "pspReference": "7914073381342284",
    "eventCode": "AUTHORISATION",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "success": "true",
}


def adyen(*items: dict[str, object]) -> bytes:
    envelopes = [{"NotificationRequestItem": item} for item in items]
    return json.dumps({"live": "false", "notificationItems": envelopes}).encode()


def test_adyen_signs_each_notification() -> None:
    """The example of Adyen's own documentation did not hold."""
    found = Adyen().verify({}, adyen(ADYEN_ITEM), [ADYEN_KEY], NOW)
    assert found is not None
    assert found.topic == "AUTHORISATION"


@pytest.mark.parametrize(
    "body",
    [
        adyen(),
        adyen({**ADYEN_ITEM, "amount": {"value": 1131, "currency": "EUR"}}),
        adyen({**ADYEN_ITEM, "success": "false"}),
        adyen(ADYEN_ITEM, {**ADYEN_ITEM, "pspReference": "1"}),
        adyen({**ADYEN_ITEM, "additionalData": {}}),
        b"[" * 100_000,
        b'{"notificationItems": ' + b'{"a":' * 50_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_one_notification_that_does_not_hold_is_enough(body: bytes) -> None:
    """A forged notification beside a good one was taken, or a deeply nested body ended the process."""
    assert Adyen().verify({}, body, [ADYEN_KEY], NOW) is None


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (b"application/x-www-form-urlencoded", b"webhook_id=1", True),
        (b"application/x-www-form-urlencoded; charset=utf-8", b"webhook_id=4711", True),
        (b"application/json", b"webhook_id=1", False),
        (b"application/x-www-form-urlencoded", b"webhook_id=1&id=90", False),
        (b"application/x-www-form-urlencoded", b"webhook_id=", False),
        (b"application/x-www-form-urlencoded", b'{"id":90}', False),
    ],
)
def test_a_ping_is_exactly_that(content_type: bytes, body: bytes, expected: bool) -> None:
    """WooCommerce pings unsigned and was refused, or anything unsigned passed for a ping."""
    assert is_ping({b"content-type": content_type}, body) is expected


@pytest.mark.parametrize(
    ("body", "versioned"),
    [
        (b'{"id":90,"date_modified":"2026-11-05T12:00:00","total":"5.00"}', True),
        (b'{"action":"woocommerce_update_order","arg":90}', False),
        (b'{"id":90}', False),
    ],
)
def test_what_says_when_its_record_changed_is_known_again_by_its_content(body: bytes, versioned: bool) -> None:
    """The second change of an order came as the same bytes as the first, and was dropped as a repetition."""
    verified = WooCommerce().verify(woo(body), body, [NEW], NOW)
    assert verified is not None
    assert verified.versioned is versioned
