"""``retail sandbox demo``: the simulated retailer made, served, and put through the whole chain."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console

from retail_assets.commands import CommandError
from retail_assets.commands.home import prepare_home
from retail_assets.sandbox.generator import World, generate, read_world
from retail_assets.settings import Settings, sandbox_credentials

_START_SECONDS: Final = 30
_READY: Final = "serving on "


class AnotherWorldError(CommandError):
    """The home holds a simulated retailer made with other parameters."""


def demonstrate(
    settings_now: Callable[[], Settings], console: Console, *, seed: int | None, orders: int | None, days: int | None
) -> bool:
    """Make the retailer unless it is there, serve it on a free port, run the chain and print the summary.

    Returns:
        Whether everything ran and agrees with the sandbox's ground truth.
    """
    from retail_assets.commands.ledger import prepare_erps
    from retail_assets.commands.run import run_chain
    from retail_assets.commands.summary import print_score, summarise

    settings = settings_now()
    world = generate_world(settings, console, seed=seed, orders=orders, days=days)
    os.environ.setdefault("RETAIL_AS_OF", world.as_of)
    with served_world(settings) as url:
        os.environ["SANDBOX_URL"] = url
        settings = settings_now()
        prepare_erps(settings)
        result = run_chain(settings, console)
    summarise(settings, console, result)
    agrees = print_score(settings, console)
    console.print(
        "Open the UI with [bold]make dev[/bold]; look further with [bold].venv/bin/retail --help[/bold].",
        highlight=False,
    )
    return result.ok and agrees


def generate_world(
    settings: Settings, console: Console, *, seed: int | None, orders: int | None, days: int | None
) -> World:
    """Make the simulated retailer in RETAIL_HOME, unless it is there.

    Args:
        seed, orders, days: parameters; None for the default ones, or for those of the world that is there.

    Raises:
        AnotherWorldError: a retailer made with other parameters is there, and its books with it.
    """
    prepare_home(settings)
    given = {"seed": seed, "orders": orders, "days": days}
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    existing = read_world(settings.home)
    if existing is not None:
        differing = {
            name: getattr(existing, name) for name, value in wanted.items() if getattr(existing, name) != value
        }
        if differing:
            raise AnotherWorldError(
                f"{settings.home} already holds a simulated retailer with {differing}: delete that folder, or choose "
                "another one with --home"
            )
        return existing
    console.print("[bold]Making the simulated retailer[/bold] …", highlight=False)
    with console.status("generating") as status:
        world = generate(
            settings.home,
            progress=lambda stage, done, total: status.update(f"generating {stage}: {done} of {total}"),
            **wanted,
        )
    counts = world.counts
    console.print(
        f"    seed {world.seed}, {world.days} days to {world.as_of}: {counts['orders']} orders, "
        f"{counts['charges']} charges, {counts['payouts']} payouts, {counts['bank_lines']} bank lines",
        highlight=False,
    )
    return world


def serve_world(settings: Settings, *, port: int, exit_with_parent: bool) -> None:
    """Serve the simulated retailer until interrupted."""
    from retail_assets.sandbox.server import create_app, serve

    if exit_with_parent:
        threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
    app = create_app(settings.home, credentials=sandbox_credentials())
    serve(app, host="127.0.0.1", port=port, ready=lambda url: print(f"{_READY}{url}", flush=True))  # noqa: T201


@contextmanager
def served_world(settings: Settings, port: int = 0) -> Iterator[str]:
    """The simulated retailer in a process of its own, so that it does not share this one's core; yields its URL."""
    command = [sys.executable, "-m", "retail_assets.cli", "sandbox", "serve", "--port", str(port), "--exit-with-parent"]
    environment = {**os.environ, "RETAIL_HOME": str(settings.home), "RETAIL_CONFIG": str(settings.config_path)}
    log = settings.sandbox_path / "server.log"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as server,  # noqa: S603
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.startswith(_READY):
                server.wait(timeout=_START_SECONDS)
                raise RuntimeError(f"the simulated retailer did not start: {log.read_text(encoding='utf-8')[-2000:]}")
            yield line.removeprefix(_READY).strip()
        finally:
            server.terminate()
            server.wait(timeout=_START_SECONDS)


def _exit_with(parent: int) -> None:
    """Whatever ends the parent ends the server: nothing keeps listening after a killed demo."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
