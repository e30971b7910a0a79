"""Serves the intake, or the bare handler it is measured against, in a process of its own, until it is terminated."""

import argparse
import asyncio
import base64
import hmac
import os
import socket
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.intake_load import KEY
from retail_assets.ops.store import open_store
from retail_assets.webhooks.app import Sender
from retail_assets.webhooks.server import Address, Service, configure_log, serve


def ours(url: str) -> None:
    """Three stores, of which one is sent to, with the operations store at ``url``."""
    configure_log()
    engine = open_store(url)
    senders = [Sender(name, "woocommerce", (KEY,)) for name in ("cedar_us", "linden_de", "aoi_jp")]
    serve(
        Service(senders, engine, lambda: datetime.now(UTC), Address(), Address()), lambda running: _say(running.public)
    )


def bare(folder: Path) -> None:
    """What anybody would write: verify, hand to one thread that commits what has come meanwhile, answer."""
    waiting: list[tuple[bytes, asyncio.Future[None]]] = []
    ready = threading.Condition()

    def write() -> None:
        connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table inbox (id integer primary key, body blob not null)")
        while True:
            with ready:
                while not waiting:
                    ready.wait()
                batch = waiting[:]
                waiting.clear()
            connection.execute("begin immediate")
            connection.executemany("insert into inbox (body) values (?)", [(body,) for body, _ in batch])
            connection.execute("commit")
            batch[0][1].get_loop().call_soon_threadsafe(
                lambda batch=batch: [done.set_result(None) for _, done in batch]
            )

    async def hook(request: Request) -> Response:
        body = await request.body()
        signature = base64.b64encode(hmac.digest(KEY, body, "sha256"))
        if not hmac.compare_digest(signature, request.headers["x-wc-webhook-signature"].encode()):
            return Response(status_code=401)
        done = asyncio.get_running_loop().create_future()
        with ready:
            waiting.append((body, done))
            ready.notify()
        await done
        return Response(b"[accepted]")

    threading.Thread(target=write, daemon=True).start()
    app = Starlette(routes=[Route("/webhooks/cedar_us", hook, methods=["POST"])])
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none", http="httptools")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _say(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(uvicorn.Server(config).serve([listener]))


def _say(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["ours", "bare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store", help="URL of the operations store; a file in the folder if left out")
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.which == "bare":
        bare(options.folder)
    else:
        ours(options.store or f"sqlite:///{options.folder / 'operations.sqlite'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
