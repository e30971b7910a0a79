"""Tryton's API: JSON-RPC with a session, and REST with the key of a user application (series 8.0).

Errors of the application come with HTTP 200 and stand in the body. Five wrong passwords delay the answers and then
block the user (HTTP 429), also with the right one, so a refused log-in is never tried again.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

import msgspec

from retail_assets.erp.errors import (
    CredentialsError,
    ErpRefusedError,
    ErpWarningError,
    NotOfferedError,
    UnexpectedAnswerError,
)
from retail_assets.erp.rpc import post
from retail_assets.http import HttpClient, HttpStatusError
from retail_assets.settings import Erp


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_RECORDS: Final = msgspec.json.Decoder(list[msgspec.Raw])


_MOST_WARNINGS: Final = 10


class TrytonClient:
    """One Tryton database, as one user.

    Args:
        erp: its block in ``retail.yaml``.
    """

    def __init__(self, erp: Erp) -> None:
        self._erp = erp
        self._database = erp.option("database")
        self._key: str | None = erp.secret("api_key") if erp.option("api_key") else None
        self._http = HttpClient(
            erp.base_url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
            requests_per_second=erp.requests_per_second,
            timeout=erp.timeout_seconds,
            retries=erp.retries,
        )
        self._session: str | None = None
        self._user: int | None = None

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def search_read(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        context: Mapping[str, Any],
        *,
        order: Sequence[Any] = (("id", "ASC"),),
        limit: int | None = None,
    ) -> list[bytes]:
        """Records, each as the bytes that were sent.

        Args:
            fields: a path (``account.code``) is read in the same call; it comes back under ``account.``.
            context: ``company`` is needed for most of accounting.

        Raises:
            NotOfferedError: the module is not activated, or the user may not read it.
        """
        if self._key:
            answer = self._rest(model, domain, fields, context, order, limit)
        else:
            arguments = [domain, 0, limit, order, fields, context]
            answer = self._call(f"model.{model}.search_read", arguments)
        try:
            return [bytes(raw) for raw in _RECORDS.decode(answer)]
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"search_read of {model} did not answer with a list: {error}") from error

    def has_field(self, model: str, name: str, context: Mapping[str, Any]) -> bool:
        """Whether a model has a field; a path to one that does not exist fails the whole call."""
        try:
            self.search_read(model, [], [name], context, limit=1)
        except (ErpRefusedError, NotOfferedError):
            return False
        return True

    def records(
        self, model: str, domain: Sequence[Any], fields: Sequence[str], context: Mapping[str, Any], **rest: Any
    ) -> list[dict[str, Any]]:
        """``search_read`` as Python values: amounts as Decimal, days as date."""
        found = self.search_read(model, domain, fields, context, **rest)
        return [json.loads(record, object_hook=_python) for record in found]

    def change(self, method: str, *arguments: Any) -> Any:
        """Call what changes something, once; a warning is acknowledged, and the call made again. Needs a session.

        Args:
            arguments: those of the method, the context last; amounts as Decimal, days as date.

        Raises:
            ErpRefusedError of the kind UserError, NotOfferedError, CredentialsError: nothing was done.
            ErpRefusedError of no kind (Tryton broke down), UnexpectedAnswerError, HttpUnavailableError: nobody knows.
            HttpStatusError: as its status says.
        """
        for _ in range(_MOST_WARNINGS):
            try:
                return json.loads(self._call(method, arguments, once=True), object_hook=_python)
            except ErpWarningError as warning:
                # What a person does who reads the warning and goes on; what was done is read back in the end.
                acknowledged = {"user": self._user, "name": warning.name}
                self._call("model.res.user.warning.create", [[acknowledged], {}], once=True)
        raise ErpRefusedError(f"{method}: still warned after {_MOST_WARNINGS} warnings were acknowledged")

    def _call(self, method: str, arguments: Sequence[Any], *, once: bool = False) -> bytes:
        try:
            return self._send(method, arguments, {"Authorization": self._authorization()}, once=once)
        except HttpStatusError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise self._refused(error, method) from error
        # The session ended meanwhile, which Tryton does after some minutes without a call.
        self._session = None
        return self._send(method, arguments, {"Authorization": self._authorization()}, once=once)

    def _send(
        self,
        method: str,
        arguments: Sequence[Any],
        headers: Mapping[str, str],
        *,
        is_login: bool = False,
        once: bool = False,
    ) -> bytes:
        path = f"{self._database}/rpc/" if self._erp.option("series") == "8.0" else f"{self._database}/"
        body = {"id": 1, "method": method, "params": arguments}
        if once:
            data = json.dumps(body, default=_tryton).encode()
            headers = {**headers, "Content-Type": "application/json"}
            content = self._http.request("POST", path, data=data, headers=headers).content
        else:
            retries = self._erp.retries
            content = post(self._http, path, body, retries=retries, headers=headers, is_login=is_login).content
        try:
            answer = _ANSWER.decode(content)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswerError(f"{self._erp.base_url}/{path} is not Tryton's JSON-RPC: {error}") from error
        if answer.error:
            raise _application_error(method, answer.error)
        return bytes(answer.result)

    def _authorization(self) -> str:
        if self._session is None:
            self._session = self._log_in()
        return self._session

    def _log_in(self) -> str:
        login, password = self._erp.option("login"), self._erp.option("password")
        if not login or not password:
            raise CredentialsError(
                f"{self._erp.id}: give login and password in retail.yaml, or the api_key of a user application (REST), "
                "which can only read"
            )
        arguments = [login, {"password": self._erp.secret("password")}]
        try:
            answer = msgspec.json.decode(self._send("common.db.login", arguments, {}, is_login=True))
        except HttpStatusError as error:
            raise self._refused(error, "common.db.login") from error
        if not isinstance(answer, list) or len(answer) < 2:
            raise UnexpectedAnswerError(f"the log-in to {self._database} did not answer with a session")
        self._user = answer[0]
        token = base64.b64encode(f"{login}:{answer[0]}:{answer[1]}".encode()).decode()
        return f"Session {token}"

    def _refused(self, error: HttpStatusError, method: str) -> Exception:
        where = f"{self._erp.base_url}/{self._database}"
        if error.status == HTTPStatus.UNAUTHORIZED:
            what = "api_key" if self._key else "login and password"
            return CredentialsError(f"{where} refused our {what}: check them in retail.yaml")
        if error.status == HTTPStatus.TOO_MANY_REQUESTS and (method == "common.db.login" or self._key):
            return CredentialsError(
                f"{where} blocks log-ins after too many wrong ones, also with the right password: check login and "
                "password, and wait until the server's [session] timeout (5 minutes, unless configured) has passed"
            )
        if error.status == HTTPStatus.NOT_FOUND:
            return CredentialsError(f"{where} does not exist: check base_url, database and series (8.0 or 7.0)")
        if error.status == HTTPStatus.FORBIDDEN:
            return NotOfferedError(f"{method} may not be called by our user")
        return error

    def _rest(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        context: Mapping[str, Any],
        order: Sequence[Any],
        limit: int | None,
    ) -> bytes:
        params = {
            "d": _encoded(domain),
            "o": _encoded(order),
            "f": list(fields),
            **({"s": str(limit)} if limit else {}),
        }
        path = f"{self._database}/rest/model/{model}"
        try:
            response = self._http.request("GET", path, params=params, headers={"X-Tryton-Context": _encoded(context)})
        except HttpStatusError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                raise _rest_error(model, error) from error
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                # What the model lacks ends in a traceback there; JSON-RPC has words for it.
                raise NotOfferedError(f"{model} cannot be read over REST: {error}") from error
            raise self._refused(error, model) from error
        return response.content


def moment(value: str) -> dict[str, Any]:
    """A time of Tryton's clock (``2026-11-23 03:32:18.382911``) as its JSON has it."""
    parsed = datetime.fromisoformat(value)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(parsed, part) for part in parts}}


def _tryton(value: Any) -> dict[str, Any]:
    """What JSON lacks, as Tryton writes it."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"Tryton's JSON has no {type(value).__name__}")


def _python(value: dict[str, Any]) -> Any:
    """Amounts and days that Tryton wrote; anything else stays as it is."""
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind == "date":
        return date(value["year"], value["month"], value["day"])
    return value


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _application_error(method: str, error: Any) -> Exception:
    """Tryton's error as one of ours: ``["UserError", [message, …]]``, or text and traceback."""
    kind, rest = (error[0], error[1:]) if isinstance(error, list) and error else (str(error), [])
    model = method.removeprefix("model.").rpartition(".")[0]
    if kind in ("UserError", "UserWarning"):
        words = rest[0] if rest else ""
        words = words if isinstance(words, list) and words else [words]
        message = str(words[kind == "UserWarning" and len(words) > 1])
        if "access" in message.lower():
            return NotOfferedError(f"the user has no right to {method}: {message}")
        if kind == "UserWarning":
            return ErpWarningError(f"{method}: {message}", kind, message, name=str(words[0]))
        return ErpRefusedError(f"{method}: {message}", kind, message)
    if str(kind) == f"'{model}'":
        return NotOfferedError(f"Tryton has no model {model}: its module is not activated")
    return ErpRefusedError(f"{method}: {kind}")


def _rest_error(model: str, error: HttpStatusError) -> Exception:
    message = error.body[:300].decode("utf-8", "replace")
    if "access" in message.lower():
        return NotOfferedError(f"the user may not read {model}: {message}")
    return ErpRefusedError(f"{model}: {message}")
