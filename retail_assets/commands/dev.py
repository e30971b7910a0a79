"""``retail dev``: the Dagster UI with its daemon."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from retail_assets.commands.demo import served_world
from retail_assets.commands.home import environment, is_sandbox, prepare_home
from retail_assets.settings import Settings


def develop(settings: Settings, console: Console, port: int) -> None:
    """Run webserver and daemon until interrupted; serve the simulated retailer beside them if it is the configured one."""
    from retail_assets.defs.transform.manifest import manifest_path

    prepare_home(settings)
    manifest_path(settings)
    os.environ.update(environment(settings))
    with ExitStack() as stack:
        if is_sandbox(settings) and (settings.sandbox_path / "world.json").is_file():
            url = stack.enter_context(served_world(settings))
            os.environ["SANDBOX_URL"] = url
            console.print(f"The simulated retailer is served on {url}", highlight=False)
        console.print(f"Dagster UI: [bold]http://127.0.0.1:{port}[/bold] (Ctrl-C ends it)", highlight=False)
        command = [
            str(Path(sys.executable).with_name("dagster")), "dev", "--workspace", str(settings.checkout / "workspace.yaml"),
            "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning",
        ]  # fmt: skip
        process = stack.enter_context(subprocess.Popen(command, cwd=settings.checkout))  # noqa: S603
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
