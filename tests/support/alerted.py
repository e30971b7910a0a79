"""Somebody who is told of what fails."""

from datetime import UTC, datetime

import dagster as dg

from retail_assets.defs.alerts.watching import watch
from retail_assets.ops import alerts
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings


def news(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Failures of steps and runs that somebody was not told of yet, and recoveries; now he is."""
    watch(settings, instance)
    operations = open_store(settings.operations_url)
    somebody = alerts.Recipient("somebody", ("technical",))
    found = [one for one in alerts.untold(operations, somebody) if one[1]["cause"].startswith(("step:", "run:"))]
    alerts.told(operations, somebody.channel_id, found, datetime.now(UTC))
    operations.dispose()
    return [f"{event} {row['cause']}" for event, row in found]
