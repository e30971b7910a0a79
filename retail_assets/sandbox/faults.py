"""Faults on demand: an ASGI middleware that makes one mounted system slow, rude or unreachable."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CONTROL_PATH: Final = "/_sandbox/faults"
_LONGEST_DELAY: Final = 30.0


@dataclass(slots=True)
class Fault:
    """What is wrong with one mount; the numbered faults happen that many times and are then over.

    Attributes:
        down: every request gets 503 until the fault is cleared.
        rate_limited: this many requests get 429.
        retry_after: seconds named in the ``Retry-After`` of a 429.
        server_error: this many requests get 500.
        truncated: this many answers break off in the middle of the body.
        dropped: this many connections are closed without an answer.
        delay: seconds each answer takes longer.
    """

    down: bool = False
    rate_limited: int = 0
    retry_after: int = 1
    server_error: int = 0
    truncated: int = 0
    dropped: int = 0
    delay: float = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Fault":
        """A fault from JSON.

        Raises:
            ValueError: an unknown name, or a value of the wrong kind.
        """
        fault = cls()
        for name, value in values.items():
            if name not in cls.__slots__:
                raise ValueError(f"unknown fault {name!r}; known are {', '.join(cls.__slots__)}")
            wanted = bool if name == "down" else (int, float) if name == "delay" else int
            if not isinstance(value, wanted) or (name != "down" and (isinstance(value, bool) or value < 0)):
                raise ValueError(f"{name} cannot be {value!r}")
            setattr(fault, name, value)
        if fault.delay > _LONGEST_DELAY:
            raise ValueError(f"delay may be {_LONGEST_DELAY:g} seconds at most")
        return fault


class Faults:
    """The faults of all mounts. Wraps a whole application; ``set`` and ``clear`` work while it runs.

    ``GET``, ``PUT`` and ``DELETE /_sandbox/faults`` do the same from outside: the body of a PUT is
    ``{"<mount>": {"rate_limited": 2}}``.
    """

    def __init__(self, app: ASGIApp, mounts: tuple[str, ...]) -> None:
        self._app = app
        self._mounts = mounts
        self._faults: dict[str, Fault] = {}

    def set(self, mount: str, fault: Fault) -> None:
        """Give ``mount`` a fault in place of the one it had.

        Raises:
            ValueError: there is no such mount.
        """
        if mount not in self._mounts:
            raise ValueError(f"no mount {mount!r}; there are {', '.join(self._mounts)}")
        self._faults[mount] = fault

    def clear(self) -> None:
        """Everything works again."""
        self._faults.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == _CONTROL_PATH:
            response = await self._control(scope["method"], receive)
            await response(scope, receive, send)
            return
        fault = self._faults.get(scope["path"].lstrip("/").partition("/")[0])
        if fault is None:
            await self._app(scope, receive, send)
            return
        await self._misbehave(fault, scope, receive, send)

    async def _misbehave(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.down:
            await _refuse(503, "Service Unavailable")(scope, receive, send)
        elif fault.dropped:
            fault.dropped -= 1
            await _hang_up(receive, send)
        elif fault.rate_limited:
            fault.rate_limited -= 1
            headers = {"Retry-After": str(fault.retry_after)}
            await _refuse(429, "Too Many Requests", headers)(scope, receive, send)
        elif fault.server_error:
            fault.server_error -= 1
            await _refuse(500, "Internal Server Error")(scope, receive, send)
        elif fault.truncated:
            fault.truncated -= 1
            await self._truncate(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _truncate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the real headers, which promise the whole body, and half of the body."""
        broken_off = False

        async def half(message: Message) -> None:
            nonlocal broken_off
            if broken_off:
                return
            if message["type"] == "http.response.body":
                broken_off = True
                body = message.get("body", b"")
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._app(scope, receive, half)
        await _hang_up(receive, send)

    async def _control(self, method: str, receive: Receive) -> JSONResponse:
        if method == "DELETE":
            self.clear()
        elif method == "PUT":
            try:
                wanted = await _json_body(receive)
                for mount, values in wanted.items():
                    self.set(mount, Fault.from_json(values))
            except (ValueError, AttributeError, TypeError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        elif method != "GET":
            return JSONResponse({"error": "GET, PUT or DELETE"}, status_code=405)
        return JSONResponse({mount: asdict(fault) for mount, fault in self._faults.items()})


async def _json_body(receive: Receive) -> dict[str, Any]:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(body)


def _refuse(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {"code": f"http_{status}", "message": text, "data": {"status": status}}
    return JSONResponse(body, status_code=status, headers=headers)


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection under the server: ASGI has no word for that.

    Raises:
        ConnectionAbortedError: the server is not uvicorn, whose ``send`` knows the connection.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("connections can only be dropped under uvicorn")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
