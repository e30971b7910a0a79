"""``retail alerts``: what is wrong now, who was told, and whether the channels work."""

import socket
from typing import Any

from rich.console import Console
from rich.markup import escape

from retail_assets.commands import CommandError
from retail_assets.defs.alerts.channels import ChannelError, send
from retail_assets.ops import alerts
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings


def listed(settings: Settings, *, everything: bool) -> dict[str, Any]:
    """The alerts, and the channels that could not be reached last time."""
    engine = open_store(settings.operations_url)
    try:
        failing = [row for row in alerts.channel_rows(engine) if row["last_error"]]
        return {"alerts": alerts.rows(engine, open_only=not everything), "failing_channels": failing}
    finally:
        engine.dispose()


def print_alerts(console: Console, found: dict[str, Any]) -> None:
    """A paragraph each."""
    rows = found["alerts"]
    console.print(f"[bold]{len(rows)} alerts[/bold]", highlight=False)
    for row in rows:
        over = f", recovered {row['recovered_at']:%Y-%m-%d %H:%M}" if row["recovered_at"] else ""
        colour = {"technical": "red", "business": "yellow"}[row["kind"]]
        console.print(
            f"[{colour}]{row['kind']}[/{colour}]  {escape(row['title'])}  [dim]{row['owner']}, since "
            f"{row['opened_at']:%Y-%m-%d %H:%M} UTC{over}; told: {row['told'] or 'nobody'}[/dim]",
            highlight=False,
            soft_wrap=True,
        )
        for line in (row["detail"], f"→ {row['what_to_do']}"):
            console.print(f"    {escape(line)}", highlight=False, soft_wrap=True)
    for row in found["failing_channels"]:
        console.print(
            f"[red]✗[/red] channel {row['channel_id']} failed {row['attempts']} times: {escape(row['last_error'])}",
            highlight=False,
            soft_wrap=True,
        )


def try_channels(settings: Settings, only: str | None) -> dict[str, str | None]:
    """Send a test message over each channel; what went wrong, by channel.

    Raises:
        CommandError: there is no such channel, or none at all.
    """
    channels = settings.configuration.operations.alerts.channels
    chosen = [channel for channel in channels if only in (None, channel.id)]
    if not chosen:
        known = ", ".join(channel.id for channel in channels) or "none (operations.alerts in retail.yaml)"
        raise CommandError(f"there is no channel {only or ''!r}: configured are {known}")
    results: dict[str, str | None] = {}
    for channel in chosen:
        gets = " and ".join(channel.send)
        text = f"This is a test of channel {channel.id} from {socket.gethostname()}. It gets {gets} alerts."
        try:
            send(channel, "[retail] test", text)
            results[channel.id] = None
        except ChannelError as error:
            results[channel.id] = str(error)
    return results
