"""``retail dev``: the Dagster UI with its daemon."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
from rich.console import Console

from retail_assets.commands.demo import served_world
from retail_assets.commands.home import environment, is_sandbox, prepare_home
from retail_assets.commands.orphans import end_dead_runs, sole_runner
from retail_assets.settings import Settings


def develop(settings: Settings, console: Console, port: int) -> None:
    """Run webserver and daemon until interrupted; serve the simulated retailer too if it is configured."""
    from retail_assets.defs.transform.manifest import manifest_path

    # Ended by Ctrl-C or SIGTERM, webserver, daemon and code server have to go with this process. A shell that starts
    # it in the background has it ignore SIGINT, and they would inherit that.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    prepare_home(settings)
    manifest_path(settings)
    os.environ.update(environment(settings))
    with sole_runner(settings), dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
    with ExitStack() as stack:
        if is_sandbox(settings) and (settings.sandbox_path / "world.json").is_file():
            url = stack.enter_context(served_world(settings))
            os.environ["SANDBOX_URL"] = url
            console.print(f"The simulated retailer is served on {url}", highlight=False)
        console.print(f"Dagster UI: [bold]http://127.0.0.1:{port}[/bold] (Ctrl-C ends it)", highlight=False)
        command = [
            str(Path(sys.executable).with_name("dagster")), "dev",
            "--workspace", str(settings.checkout / "workspace.yaml"),
            "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning",
        ]  # fmt: skip
        # Run from the home: a dagster.yaml in the working directory would only be warned about. `dagster dev`
        # announces a successor that is a package of its own.
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"}
        process = stack.enter_context(subprocess.Popen(command, cwd=settings.home, env=quiet))  # noqa: S603
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
