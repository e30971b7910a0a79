"""All simulated systems behind one address: stores, gateway accounts and the ERP, each at its own path."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Queue
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from retail_assets.sandbox import klarna, mollie, paypal, stripe, tax, woocommerce, woopayments
from retail_assets.sandbox.faults import Faults
from retail_assets.sandbox.generator import SEED_FILE, World, documents_file, read_world
from retail_assets.sandbox.ledgers import GatewayLedger
from retail_assets.sandbox.profiles import (
    CHANNELS,
    ERP_CREDENTIALS,
    GATEWAYS,
    STORES,
    TAX_ENGINES,
    WRITABLE_STORES,
    ChannelProfile,
    TaxEngineProfile,
    gateway_credential,
    store_credentials,
)

ERP_MOUNT: Final = "erp_main"
KLARNA_USER: Final = "K000001_sandbox"
_START_SECONDS: Final = 20
_STOP_SECONDS: Final = 10


class MissingCredentialError(LookupError):
    """The server was not told a key that it should ask its clients for."""


class AddressError(Exception):
    """The server cannot listen where it should."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is up: its address, and the faults to play with (``erp_faults`` are the ERP's own)."""

    url: str
    faults: Faults
    erp_faults: Any


class SimulatedRetailer(Starlette):
    """The application, with its faults in front of everything else: they need the bare connection.

    Args:
        world: what was generated.
        systems: the application of each mount.
    """

    def __init__(self, world: World, systems: Mapping[str, Starlette]) -> None:
        mounts = [Mount(f"/{name}", system) for name, system in systems.items()]
        super().__init__(routes=[Route("/_sandbox/world", _world_endpoint(world)), *mounts])
        self.faults = Faults(super().__call__, tuple(systems))
        self._systems = systems

    @property
    def erp_faults(self) -> Any:
        """The ERP's own faults, which know its documents: a lost answer after a commit, for one."""
        return self._systems[ERP_MOUNT].state.faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.faults(scope, receive, send)

    def close(self) -> None:
        """Close the state files; the application answers no more."""
        for name, system in self._systems.items():
            if name == ERP_MOUNT:
                system.state.site.close()
            elif name in STORES or name in GATEWAYS:
                system.state.connection.close()


def create_app(home: Path, credentials: Mapping[str, str]) -> SimulatedRetailer:
    """The simulated retailer of ``home`` as one application.

    Stores are at ``/<store_id>``, gateway accounts at ``/<gateway_id>``, tax engines at ``/<engine_id>``, the ERP at
    ``/erp_main``; ``/_sandbox/world`` says what was generated, ``/_sandbox/faults`` makes a system misbehave.

    Args:
        home: RETAIL_HOME with a generated world.
        credentials: the keys its clients must show, under the names that ``data/retail.env`` gives them.

    Raises:
        FileNotFoundError: no world was generated.
        MissingCredentialError: a key is missing.
    """
    world = read_world(home)
    if world is None:
        raise FileNotFoundError(f"there is no simulated retailer in {home}; run `retail sandbox generate` first")
    folder = home / "sandbox"
    as_of = datetime.fromisoformat(world.as_of)
    now = int(as_of.timestamp())
    systems: dict[str, Starlette] = {}
    for store_id, store in STORES.items():
        key, secret = (_credential(credentials, name) for name in store_credentials(store_id))
        may_write = store_id in WRITABLE_STORES
        systems[store_id] = woocommerce.create_app(
            folder / f"{store_id}.sqlite", store, key, secret, may_write=may_write
        )
    for gateway_id, gateway in GATEWAYS.items():
        key = _credential(credentials, gateway_credential(gateway_id))
        systems[gateway_id] = stripe.create_app(folder / f"{gateway_id}.sqlite", gateway, key, now)
    for gateway_id, channel in CHANNELS.items():
        if channel.credentials:
            keys = [_credential(credentials, name) for name in channel.credentials]
            ledger = msgspec.json.decode((folder / f"{gateway_id}.ledger.json").read_bytes(), type=GatewayLedger)
            systems[gateway_id] = _channel(channel, ledger, keys, as_of)
    for engine_id, engine in TAX_ENGINES.items():
        key = _credential(credentials, engine.credential)
        systems[engine_id] = _tax_engine(folder / documents_file(engine_id), engine, key, as_of)
    systems[ERP_MOUNT] = _erp(folder, credentials, as_of)
    return SimulatedRetailer(world, systems)


def _channel(channel: ChannelProfile, ledger: GatewayLedger, keys: Sequence[str], as_of: datetime) -> Starlette:
    """The API of another gateway account."""
    if channel.system == "paypal":
        return paypal.create_app(ledger, keys[0], keys[1], as_of)
    if channel.system == "woopayments":
        return woopayments.create_app(ledger, keys[0], keys[1], int(as_of.timestamp()))
    if channel.system == "klarna":
        return klarna.create_app(ledger, KLARNA_USER, keys[0], as_of)
    return mollie.create_app(ledger, keys[0], as_of)


def _tax_engine(path: Path, engine: TaxEngineProfile, license_key: str, as_of: datetime) -> Starlette:
    documents = msgspec.json.decode(path.read_bytes(), type=list[tax.TaxDocument])
    return tax.create_avatax_app(
        documents, company_code=engine.company_code, account_id=engine.account_id, license_key=license_key, now=as_of
    )


def _erp(folder: Path, credentials: Mapping[str, str], as_of: datetime) -> Starlette:
    # Imported here, as the ERP's module is only needed where a server runs.
    from retail_assets.sandbox.erpnext import create_app as create_erpnext_app

    key, secret = (_credential(credentials, name) for name in ERP_CREDENTIALS)
    seed = msgspec.json.decode((folder / SEED_FILE).read_bytes())
    # The ERP lives at the end of the simulated time as well, so that the same postings leave the same documents.
    return create_erpnext_app(folder / "erp.sqlite", seed, key, secret, clock=lambda: as_of)


def _credential(credentials: Mapping[str, str], name: str) -> str:
    value = credentials.get(name)
    if not value:
        raise MissingCredentialError(
            f"{name} is not set; the simulated retailer checks its clients by it (see retail.env)"
        )
    return value


def _world_endpoint(world: World) -> Callable[..., Any]:
    async def endpoint(request: Any) -> JSONResponse:
        return JSONResponse(msgspec.to_builtins(world))

    return endpoint


class _Server(uvicorn.Server):
    """A server that says when it is ready and leaves the process's signals alone unless it owns the main thread."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._ready(f"http://{host}:{port}")


def _configure(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=_STOP_SECONDS
    )


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket on ``host`` and ``port`` (0: any free one), bound here so that a failure is the caller's to handle."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise AddressError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield listener


def serve(app: Starlette, host: str, port: int, ready: Callable[[str], None] | None = None) -> None:
    """Serve ``app`` until interrupted; ``ready`` is called with its address once it accepts connections.

    Raises:
        AddressError: the port is taken, or the host is not this machine's.
    """
    with _bound(host, port) as listener:
        _Server(_configure(app), ready).run([listener])


@contextmanager
def running_server(
    home: Path, credentials: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[RunningServer]:
    """Serve the world of ``home`` from a thread while the block runs, on a free port unless one is given.

    Raises:
        FileNotFoundError: no world was generated.
        MissingCredentialError: a key is missing.
        AddressError: the port is taken, or the host is not this machine's.
    """
    app = create_app(home, credentials)
    ready: Queue[str] = Queue()
    with _bound(host, port) as listener:
        server = _Server(_configure(app), ready.put)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            yield RunningServer(ready.get(timeout=_START_SECONDS), app.faults, app.erp_faults)
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)
            app.close()
