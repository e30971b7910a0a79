"""The REST client of one store: authentication by scheme, where the API is, and what it can do."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

import msgspec
from requests import Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from retail_assets.http import HttpClient, HttpError, HttpStatusError
from retail_assets.settings import Store
from retail_assets.sources.woocommerce.ids import NO_IDS, IdSet
from retail_assets.sources.woocommerce.pages import BROKEN_STATUSES, UnexpectedAnswerError, body_of, records_of
from retail_assets.sources.woocommerce.walk import Mark, Walk

_API: Final = "wc/v3"
#: WooCommerce's words for a 404 that means "no such record", and not "no such address".
_NO_SUCH_RECORD: Final = {
    "orders": "woocommerce_rest_shop_order_invalid_id",
    "products": "woocommerce_rest_product_invalid_id",
    "customers": "woocommerce_rest_invalid_id",
}
#: What is asked for only to find out how else to ask is not asked for again and again.
_RETRIES_OF_A_PROBE: Final = 1
_SLUG: Final = re.compile(r"[a-z0-9_-]+")


class BrokenRecordError(Exception):
    """The store answers, but fails to show this one record."""


class StoreClient:
    """WooCommerce's REST API of one store.

    https is used with Basic authentication; on plain http WooCommerce accepts OAuth 1.0a only, which never sends the
    secret. A shop with plain permalinks has no ``/wp-json/``; its API is then asked for by ``?rest_route=``.

    ``requests`` counts what was asked for, retries left out.
    """

    def __init__(self, store: Store) -> None:
        key, secret = store.consumer_key.get_secret_value(), store.consumer_secret.get_secret_value()
        auth: AuthBase
        if store.base_url.startswith("https:"):
            auth = HTTPBasicAuth(key, secret)
        else:
            auth = OAuth1(key, secret, signature_method="HMAC-SHA256", signature_type="query")

        def client(retries: int) -> HttpClient:
            return HttpClient(
                store.base_url,
                auth=auth,
                requests_per_second=store.requests_per_second,
                timeout=store.timeout_seconds,
                retries=retries,
            )

        self._http = client(store.retries)
        self._prober = client(min(store.retries, _RETRIES_OF_A_PROBE))
        self._parallel = max(1, store.option("parallel_requests"))
        self._plain_permalinks = False
        self._storage: str | None = None
        self._configured_storage: str = store.option("order_storage")
        self.requests = 0
        self._counting = Lock()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """One GET below ``wc/v3``.

        Raises:
            HttpStatusError: the store refused it; 404 for a route or a record that does not exist.
        """
        return self._get(self._http, path, params)

    def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """One POST below ``wc/v3``, sent exactly once; needs a key that may write.

        Raises:
            HttpStatusError: the store refused it.
            HttpUnavailableError: there was no answer; whether it was done, only a look at the store tells.
        """
        return self._write("POST", path, body)

    def trash(self, path: str) -> Response:
        """One DELETE below ``wc/v3``, sent exactly once: what is there goes to the trash. Raises as ``post`` does."""
        return self._write("DELETE", path, None)

    def _write(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        self._count_request()
        if self._plain_permalinks:
            return self._http.request(method, "", params={"rest_route": f"/{_API}/{path}"}, json=body)
        return self._http.request(method, f"wp-json/{_API}/{path}", json=body)

    def probe(self, path: str, params: Mapping[str, Any] | None = None) -> Response:
        """``get`` with hardly a retry."""
        return self._get(self._prober, path, params)

    def _get(self, http: HttpClient, path: str, params: Mapping[str, Any] | None) -> Response:
        if self._plain_permalinks:
            return self._by_query(http, path, params)
        self._count_request()
        try:
            return http.get(f"wp-json/{_API}/{path}", params)
        except HttpStatusError as error:
            if error.status != HTTPStatus.NOT_FOUND or _error_code(error.body) is not None:
                raise
            # WordPress answers its own 404 in JSON. This one came from the web server: nothing is behind /wp-json/.
            try:
                response = self._by_query(http, path, params)
                records_of(response)
            except (HttpError, UnexpectedAnswerError):
                raise error from None
            self._plain_permalinks = True
            return response

    def _by_query(self, http: HttpClient, path: str, params: Mapping[str, Any] | None) -> Response:
        self._count_request()
        return http.get("", {"rest_route": f"/{_API}/{path}", **(params or {})})

    def _count_request(self) -> None:
        with self._counting:
            self.requests += 1

    def has(self, path: str) -> bool:
        """Whether this WooCommerce knows the route (older versions lack some)."""
        return self.count(path) is not None

    def count(self, path: str, params: Mapping[str, Any] | None = None) -> int | None:
        """How many records a list has: None if there is no such route; -1 if a proxy strips the total."""
        try:
            response = self.get(path, {"_fields": "id", **(params or {}), "per_page": 1})
        except HttpStatusError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return int(response.headers.get("X-WP-Total", -1))

    def statuses(self) -> Sequence[str]:
        """Every order status by name, trash included; empty on a WooCommerce that does not tell them.

        A list with all statuses named keeps an order that is trashed while it is paged; "any" loses it, and with it an
        innocent order at the page seam.
        """
        try:
            found = msgspec.json.decode(body_of(self.get("orders/statuses")), type=list[dict[str, Any]])
        except HttpStatusError as error:
            if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return ()
            raise
        except msgspec.MsgspecError:
            return ()
        slugs = [str(status.get("slug", "")).removeprefix("wc-") for status in found]
        named = [slug for slug in slugs if _SLUG.fullmatch(slug) and slug not in ("any", "trash")]
        return (*named, "trash") if named else ()

    def storage(self) -> str:
        """Where the shop keeps its orders: ``hpos``, ``legacy``, or ``unknown`` if the key may not read the status.

        On legacy storage edits of lines, totals and meta do not move the modification date.
        """
        if self._configured_storage != "auto":
            return self._configured_storage
        if self._storage is None:
            self._storage = self._read_storage()
        return self._storage

    def _read_storage(self) -> str:
        try:
            answer = msgspec.json.decode(body_of(self.get("system_status", {"_fields": "settings"})))
            enabled = answer["settings"]["HPOS_enabled"]
        except (HttpStatusError, msgspec.MsgspecError, LookupError, TypeError):
            return "unknown"
        return "hpos" if enabled else "legacy"

    def order(self, order_id: int) -> bytes | None:
        """One order of whatever status, as sent; None if WooCommerce says that it does not exist.

        Raises: as ``record`` does.
        """
        return self.record("orders", order_id)

    def record(self, path: str, record_id: int) -> bytes | None:
        """One record of ``orders``, ``products`` or ``customers``; None if WooCommerce says that it does not exist.

        Raises:
            BrokenRecordError: the store answers otherwise, but not for this record.
            HttpStatusError: any other refusal: a 404 of the web server proves nothing.
        """
        try:
            return body_of(self.get(f"{path}/{record_id}"))
        except HttpStatusError as error:
            if error.status == HTTPStatus.NOT_FOUND and _error_code(error.body) == _NO_SUCH_RECORD[path]:
                return None
            if error.status not in BROKEN_STATUSES:
                raise
            try:
                self.probe(path, {"per_page": 1, "_fields": "id"})
            except HttpError:
                raise error from None
            raise BrokenRecordError(str(error)) from error

    def walk(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        elsewhere: IdSet = NO_IDS,
        left: Mark | None = None,
    ) -> Walk:
        """All records of a list, in order of id, but those with an id in ``elsewhere``; ``left``: where to go on."""
        return Walk(self.get, self.probe, path, params or {}, elsewhere, parallel=self._parallel, left=left)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()
        self._prober.close()


def _error_code(body: bytes) -> str | None:
    """WordPress' own code of an error; None if the answer is not WordPress'."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    code = answer.get("code") if isinstance(answer, dict) else None
    return code if isinstance(code, str) else None
