"""A real Tryton on loopback, from PyPI and SQLite, as a process of its own.

What a fresh server holds (``tryton_books.py``): the company Cedar & Pine GmbH (EUR) with a chart of accounts and the
year 2026; USD with rates; a posted journal entry over 88.01; a posted invoice over 25.00 and a credit note over 12.50,
both for order 1001; 42 mugs (SKU MUG-1) received, 2 delivered for order 1001, 1 of them returned, 5 assigned to order
1002. The user ``loader`` may read and change all of it. The module ``platform_ref`` that we ship is activated.
"""

import base64
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import requests
from filelock import FileLock

import retail_assets.erp

LOGIN: Final = "loader"
PASSWORD: Final = "canary-password"
DATABASE: Final = "books"
COMPANY: Final = "Cedar & Pine GmbH"
_MODULES: Final = ("account_invoice", "stock", "platform_ref")
#: What we ship for Tryton; there it is a folder among its modules, here an entry point leads to it.
_OURS: Final = Path(retail_assets.erp.__file__).with_name("tryton_modules")
_BOOKS: Final = Path(__file__).with_name("tryton_books.py")
_START_SECONDS: Final = 30
_BIN: Final = Path(sys.executable).parent
_CONFIGURATION: Final = """\
[database]
uri = sqlite://
path = {folder}
[web]
listen = 127.0.0.1:{port}
"""


class TrytonError(Exception):
    """The server refused a call of a test; holds its words."""


@dataclass
class RunningTryton:
    """A server that is up, and a session to change things with."""

    url: str
    _session: str = field(default="", repr=False)

    def call(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC call as ``loader``; models take a context as the last parameter."""
        if not self._session:
            user, token = self._send("common.db.login", (LOGIN, {"password": PASSWORD}), {})[:2]
            self._session = "Session " + base64.b64encode(f"{LOGIN}:{user}:{token}".encode()).decode()
        return self._send(method, parameters, {"Authorization": self._session})

    def _send(self, method: str, parameters: Any, headers: dict[str, str]) -> Any:
        body = {"id": 1, "method": method, "params": parameters}
        answer = requests.post(f"{self.url}/{DATABASE}/rpc/", json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        content = answer.json()
        if content.get("error"):
            raise TrytonError(str(content["error"])[:500])
        return content["result"]


def template(cache: Path) -> Path:
    """The folder of the filled database, made once for this version and these books; workers wait for each other.

    Args:
        cache: where it stays between test sessions.
    """
    stamp = f"{version('trytond')} {version('trytond-account')} {_MODULES}".encode() + _BOOKS.read_bytes()
    stamp += b"".join(file.read_bytes() for file in sorted(_OURS.glob("*/*.*")))
    folder = cache / hashlib.sha256(stamp).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not folder.exists():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    database = unfinished / f"{DATABASE}.sqlite"
    database.touch()
    configuration = _configuration(unfinished, 0)
    password = unfinished / "password"
    password.write_text("canary-admin")
    environment = _environment(unfinished) | {"TRYTONPASSFILE": str(password)}
    modules = ["--email", "admin@example.com", "--activate-dependencies", "-u", *_MODULES]
    _run([_BIN / "trytond-admin", "-c", configuration, "-d", DATABASE, "--all", *modules], environment)
    _run([sys.executable, _BOOKS, configuration, DATABASE], environment)
    with closing(sqlite3.connect(database)) as connection:
        # What is still in the write-ahead log would be missing from a copy of the file.
        connection.execute("pragma wal_checkpoint(truncate)")
    unfinished.rename(folder)


def _run(command: list[Any], environment: dict[str, str]) -> None:
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"


def _environment(folder: Path) -> dict[str, str]:
    """Python finds our module, and Tryton finds out that it is one."""
    found = folder / "path"
    for module in _OURS.iterdir():
        entry = found / f"{module.name}-8.0.0.dist-info" / "entry_points.txt"
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text(f"[trytond.modules]\n{module.name} = {module.name}\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (found, _OURS)))}


def _configuration(folder: Path, port: int) -> Path:
    path = folder / "trytond.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, port=port))
    return path


@contextmanager
def running_tryton(filled: Path, folder: Path) -> Iterator[RunningTryton]:
    """A server on a copy of the filled database, in ``folder``, while the block runs."""
    shutil.copy(filled / f"{DATABASE}.sqlite", folder)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "trytond.log"
    command = [str(_BIN / "trytond"), "-c", str(_configuration(folder, port)), "-d", DATABASE]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=_environment(folder))
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url, log)
        yield RunningTryton(url)
    finally:
        # Asked to end it waits for its connections, up to half a minute; it is a copy, there is nothing to save.
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    body = {"id": 0, "method": "common.server.version", "params": []}
    while True:
        assert process.poll() is None, f"trytond ended:\n{log.read_text()}"
        try:
            requests.post(f"{url}/rpc/", json=body, timeout=10)
            return
        except requests.ConnectionError:
            assert time.monotonic() < deadline, f"trytond does not answer:\n{log.read_text()}"
            time.sleep(0.05)
