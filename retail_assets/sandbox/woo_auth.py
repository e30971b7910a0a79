"""WooCommerce's key check: OAuth 1.0a on plain http, Basic or query parameters on https, and its way of refusing."""

import base64
import binascii
import hmac
import time
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from oauthlib.oauth1.rfc5849 import signature
from starlette.requests import Request

_LIST_REFUSED: Final = "Sorry, you cannot list resources."
_SIGNERS: Final = {
    "HMAC-SHA256": signature.sign_hmac_sha256_with_client,
    "HMAC-SHA1": signature.sign_hmac_sha1_with_client,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: WooCommerce's error code and message; the status is always 401."""

    code: str
    message: str


#: WooCommerce refuses older signatures for their timestamp, so it may forget their nonces.
_NONCES_ARE_KEPT_SECONDS: Final = 15 * 60
_NO_KEY: Final = Refusal("woocommerce_rest_cannot_view", _LIST_REFUSED)


def _wrong(message: str) -> Refusal:
    return Refusal("woocommerce_rest_authentication_error", message)


@dataclass(frozen=True, slots=True)
class _Client:
    """What oauthlib's signers want to know of a client."""

    client_secret: str
    resource_owner_secret: str = ""


class KeyCheck:
    """Checks the one key of a store, and remembers the nonces of OAuth's signatures as long as a store.

    Args:
        consumer_key: the key.
        consumer_secret: its secret.
        may_write: its permission is read/write, not read.
    """

    def __init__(self, consumer_key: str, consumer_secret: str, *, may_write: bool = False) -> None:
        self._may_write = may_write
        self._key = consumer_key
        self._secret = consumer_secret
        self._nonces: dict[str, float] = {}

    def refuse(self, request: Request) -> Refusal | None:
        """Why the request is refused, or None if it may go on."""
        refusal = self._basic(request) if request.url.scheme == "https" else self._oauth(request)
        if refusal is None and not self._may_write and request.method not in ("GET", "HEAD", "OPTIONS"):
            return _wrong("The API key provided does not have write permissions.")
        return refusal

    def _basic(self, request: Request) -> Refusal | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                key, _, secret = base64.b64decode(token, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return _NO_KEY
        else:
            key = request.query_params.get("consumer_key", "")
            secret = request.query_params.get("consumer_secret", "")
        if key != self._key:
            return _NO_KEY
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return _wrong("Consumer secret is invalid.")
        return None

    def _oauth(self, request: Request) -> Refusal | None:
        """OAuth 1.0a with the parameters in the query or in the Authorization header; Basic is not looked at here."""
        header = request.headers.get("authorization", "")
        oauth_header = {"Authorization": header} if header.lower().startswith("oauth ") else {}
        sent = signature.collect_parameters(request.url.query, headers=oauth_header, exclude_oauth_signature=False)
        values = dict(sent)
        needed = ("oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method")
        missing = [name for name in needed if not values.get(name)]
        if len(missing) == len(needed) or values.get("oauth_consumer_key", self._key) != self._key:
            return _NO_KEY
        if missing:
            return _wrong(f"Missing OAuth parameter {', '.join(missing)}")
        signer = _SIGNERS.get(values["oauth_signature_method"])
        if signer is None:
            return _wrong("Invalid signature - signature method is invalid.")
        if not values["oauth_timestamp"].isdigit():
            return _wrong("Invalid timestamp.")
        signed = [(name, value) for name, value in sent if name != "oauth_signature"]
        base = signature.signature_base_string(
            cast(Any, request.method),
            signature.base_string_uri(str(request.url.replace(query="", fragment=""))),
            # The stubs ask for a dict, but names may repeat.
            signature.normalize_parameters(cast(Any, signed)),
        )
        expected = signer(base, _Client(self._secret))
        if not hmac.compare_digest(expected.encode(), values["oauth_signature"].encode()):
            return _wrong("Invalid signature - provided signature does not match.")
        return self._use(values["oauth_nonce"])

    def _use(self, nonce: str) -> Refusal | None:
        """A nonce is good once; requests sent again have to be signed anew, also those that were never answered."""
        now = time.monotonic()
        while self._nonces and self._nonces[oldest := next(iter(self._nonces))] < now:
            del self._nonces[oldest]
        if nonce in self._nonces:
            return _wrong("Invalid nonce - nonce has already been used.")
        self._nonces[nonce] = now + _NONCES_ARE_KEPT_SECONDS
        return None


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """The request's query without what only serves to authenticate."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if not name.startswith(("oauth_", "consumer_"))]
