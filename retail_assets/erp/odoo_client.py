"""Odoo's external API: JSON-RPC, and JSON-2 from series 19.

JSON-RPC answers every call with HTTP 200; whether it succeeded stands in the body. A wrong password is no error at all:
``authenticate`` returns false.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from retail_assets.erp.errors import CredentialsError, ErpRefusedError, NotOfferedError, UnexpectedAnswerError
from retail_assets.erp.rpc import post
from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import Erp

# Archived accounts, journals and products have postings and stock, too.
_CONTEXT: Final = {"active_test": False}
_LOGIN_REFUSED: Final = frozenset({"odoo.exceptions.AccessDenied", "odoo.http.SessionExpiredException"})
_RIGHT_MISSING: Final = frozenset({"odoo.exceptions.AccessError"})
_RECORD_MISSING: Final = "odoo.exceptions.MissingError"
_NOTHING: Final[Mapping[str, Any]] = {}


class _ErrorData(msgspec.Struct):
    name: str = ""
    message: str = ""


class _Error(msgspec.Struct):
    message: str = ""
    data: _ErrorData | None = None


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_RECORDS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_IDS: Final = msgspec.json.Decoder(list[int])
_ERROR_DATA: Final = msgspec.json.Decoder(_ErrorData)
# Amounts go out digit for digit.
_JSON: Final = msgspec.json.Encoder(decimal_format="number")
_JSON_TYPE: Final = {"Content-Type": "application/json"}


class OdooClient:
    """One Odoo database, as one user sees it.

    Args:
        erp: its block in ``retail.yaml``.
    """

    def __init__(self, erp: Erp) -> None:
        self._erp = erp
        self._json2 = erp.option("api") == "json2"
        self._database = erp.option("database")
        self._headers = (
            {"Authorization": f"bearer {erp.secret('api_key')}", "X-Odoo-Database": self._database}
            if self._json2
            else {}
        )
        self._http = HttpClient(
            erp.base_url,
            requests_per_second=erp.requests_per_second,
            timeout=erp.timeout_seconds,
            retries=erp.retries,
        )
        self._user: int | None = None

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def log_in(self) -> int:
        """Our user's id; with JSON-2 the first call shows whether the key is good.

        Raises:
            CredentialsError: Odoo does not let us in.
        """
        if self._json2:
            context = msgspec.json.decode(self._call("res.users", "context_get", {}))
            return int(context.get("uid", 0)) if isinstance(context, dict) else 0
        if self._user is None:
            login, key = self._erp.option("login"), self._erp.secret("api_key")
            if not login:
                raise CredentialsError(f"{self._erp.id}: login is missing in retail.yaml; only api: json2 needs none")
            answer = self._rpc("common", "authenticate", [self._database, login, key, {}])
            user = msgspec.json.decode(answer)
            if not isinstance(user, int) or isinstance(user, bool):
                raise CredentialsError(
                    f"{self._erp.base_url} refused the log-in of {login} to {self._database} (Odoo answers false, it "
                    "does not say why): check login, api_key and database"
                )
            self._user = user
        return self._user

    def fields(self, model: str) -> Mapping[str, str]:
        """The fields of a model with their types, as far as this user may see them.

        Raises:
            NotOfferedError: the module is not installed, or the user may not read it.
        """
        found = msgspec.json.decode(self._call(model, "fields_get", {"attributes": ["type"]}))
        if not isinstance(found, dict):
            raise UnexpectedAnswerError(f"fields_get of {model} did not answer with fields: {str(found)[:100]}")
        return {name: str(field.get("type")) for name, field in found.items()}

    def search_read(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        *,
        order: str = "id asc",
        limit: int | None = None,
        context: Mapping[str, Any] = _NOTHING,
    ) -> list[bytes]:
        """Records, each as the bytes that were sent.

        Args:
            context: what the fields depend on, such as the company.

        Raises:
            NotOfferedError: the module is not installed, or the user may not read it.
        """
        arguments = {"domain": domain, "fields": fields, "order": order, **({"limit": limit} if limit else {})}
        answer = self._call(model, "search_read", {**arguments, "context": {**_CONTEXT, **context}})
        try:
            return [bytes(raw) for raw in _RECORDS.decode(answer)]
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"search_read of {model} did not answer with a list: {error}") from error

    def search(self, model: str, domain: Sequence[Any], *, limit: int) -> list[int]:
        """Ids in ascending order."""
        answer = self._call(model, "search", {"domain": domain, "order": "id asc", "limit": limit})
        try:
            return _IDS.decode(answer)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"search of {model} did not answer with ids: {error}") from error

    def change(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None,
        arguments: Mapping[str, Any],
        *,
        context: Mapping[str, Any] = _NOTHING,
    ) -> Any:
        """Call a method that changes something. It is sent exactly once; what it answered is decoded.

        Args:
            ids: the records it is called on; None for a method of the model itself.
            arguments: in the order of the method's parameters: JSON-RPC passes them by position.

        Raises:
            HttpUnavailableError, HttpStatusError, UnexpectedAnswerError: whether it was carried out is unknown.
            NotOfferedError, ErpRefusedError, CredentialsError: it was not, and nothing was kept.
        """
        if self._json2:
            named = {**({} if ids is None else {"ids": ids}), **arguments, "context": context}
            answer = self._call_json2(model, method, named, changes=True)
        else:
            positional = [*([] if ids is None else [ids]), *arguments.values()]
            answer = self._execute(model, method, positional, {"context": context}, changes=True)
        try:
            return msgspec.json.decode(answer)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"{model}.{method} did not answer as Odoo does: {answer[:100]!r}") from error

    def _call(self, model: str, method: str, arguments: Mapping[str, Any]) -> bytes:
        named = {"context": _CONTEXT, **arguments}
        return self._call_json2(model, method, named) if self._json2 else self._execute(model, method, [], named)

    def _execute(
        self, model: str, method: str, positional: Sequence[Any], named: Mapping[str, Any], *, changes: bool = False
    ) -> bytes:
        arguments = [self._database, self.log_in(), self._erp.secret("api_key"), model, method, positional, named]
        return self._rpc("object", "execute_kw", arguments, changes=changes)

    def _rpc(self, service: str, method: str, arguments: Sequence[Any], *, changes: bool = False) -> bytes:
        params = {"service": service, "method": method, "args": arguments}
        content = self._sent("jsonrpc", {"jsonrpc": "2.0", "method": "call", "params": params, "id": 1}, changes)
        try:
            answer = _ANSWER.decode(content)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"{self._erp.base_url}/jsonrpc is not Odoo's JSON-RPC: {error}") from error
        if answer.error is not None:
            raise self._failure(answer.error.data or _ErrorData("", answer.error.message), arguments, changes)
        if not bytes(answer.result):
            raise UnexpectedAnswerError(f"{self._erp.base_url}/jsonrpc answered with neither result nor error")
        return bytes(answer.result)

    def _sent(self, path: str, body: Mapping[str, Any], changes: bool) -> bytes:
        if changes:
            headers = {**self._headers, **_JSON_TYPE}
            return self._http.request("POST", path, data=_JSON.encode(body), headers=headers).content
        return post(self._http, path, body, retries=self._erp.retries, headers=self._headers).content

    def _failure(self, error: _ErrorData, arguments: Sequence[Any], changes: bool) -> Exception:
        message = " ".join(error.message.split())
        what = f"{arguments[3]}.{arguments[4]}" if len(arguments) > 4 else "authenticate"
        if error.name in _LOGIN_REFUSED:
            return CredentialsError(f"{self._erp.base_url} refused our key for {self._database}: {message}")
        if error.name in _RIGHT_MISSING:
            return NotOfferedError(f"the user may not {_verb(changes)} {what.rpartition('.')[0]}: {message}")
        if what != "authenticate" and _names_no_model(error, str(arguments[3])):
            return NotOfferedError(f"Odoo has no model {arguments[3]}: its module is not installed")
        where = f"{what} at {self._erp.base_url}"
        return ErpRefusedError(f"{where}: {error.name}: {message}", error.name, message)

    def _call_json2(self, model: str, method: str, named: Mapping[str, Any], *, changes: bool = False) -> bytes:
        try:
            return self._sent(f"json/2/{model}/{method}", named, changes)
        except HttpStatusError as error:
            data = _error_of(error.body)
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise CredentialsError(
                    f"{self._erp.base_url} refused the api_key for {self._database}: {data.message or error}"
                ) from error
            if error.status == HTTPStatus.NOT_FOUND and data.name != _RECORD_MISSING:
                raise NotOfferedError(
                    f"Odoo has no model {model} (or is older than 19): {data.message or 'not found'}"
                ) from error
            if error.status == HTTPStatus.FORBIDDEN or data.name in _RIGHT_MISSING:
                raise NotOfferedError(f"the user may not {_verb(changes)} {model}: {data.message or error}") from error
            if data.name:
                message = " ".join(data.message.split())
                where = f"{model}.{method} at {self._erp.base_url}"
                raise ErpRefusedError(f"{where}: {data.name}: {message}", data.name, message) from error
            raise


def _verb(changes: bool) -> str:
    return "change" if changes else "read"


def _names_no_model(error: _ErrorData, model: str) -> bool:
    """Odoo 17 says that the object does not exist, older ones fail on the look-up itself."""
    if error.name == "builtins.KeyError":
        return model in error.message
    return error.name == "odoo.exceptions.UserError" and error.message.startswith(f"Object {model}")


def _error_of(body: bytes) -> _ErrorData:
    try:
        return _ERROR_DATA.decode(body)
    except msgspec.MsgspecError:
        return _ErrorData("", json.dumps(body[:200].decode("utf-8", "replace")))
