"""Asset checks that show the work on exceptions: how much of each queue is open and overdue. They hold nothing."""

from collections.abc import Iterator
from typing import Final

import dagster as dg
import duckdb

from retail_assets import keys
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

_QUEUES: Final = ("business", "technical")

_COUNTED: Final = """
select
    count(*) filter (where work_status in ('open', 'assigned', 'write_off_asked')) as open,
    count(*) filter (where is_overdue) as overdue,
    count(*) filter (where work_status = 'open') as unassigned,
    count(*) filter (where work_status = 'snoozed') as snoozed,
    count(*) filter (where work_status = 'resolved') as resolved,
    coalesce(max(age_days) filter (where work_status in ('open', 'assigned', 'write_off_asked')), 0) as oldest_days
from marts.rec_exceptions
where exception_class = ?
"""


def work_definitions(settings: Settings) -> dg.Definitions:
    """One check per queue on ``rec_exceptions``: it warns while anything of the queue is overdue."""
    asset = dg.AssetKey(keys.mart_asset_path("rec_exceptions"))
    specs = [
        dg.AssetCheckSpec(
            keys.queue_check_name(queue),
            asset=asset,
            description=f"No {queue} exception is past its due date. See them with: retail exceptions list --queue "
            f"{queue} --overdue",
        )
        for queue in _QUEUES
    ]

    @dg.multi_asset_check(name="exception_queues", specs=specs, can_subset=True, pool=keys.WAREHOUSE_POOL)
    def exception_queues(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        with opened(settings.warehouse_path) as connection:
            for queue in _QUEUES:
                name = keys.queue_check_name(queue)
                if dg.AssetCheckKey(asset, name) in context.selected_asset_check_keys:
                    yield _result(connection, asset, name, queue)

    return dg.Definitions(asset_checks=[exception_queues])


def _result(connection: duckdb.DuckDBPyConnection, asset: dg.AssetKey, name: str, queue: str) -> dg.AssetCheckResult:
    cursor = connection.execute(_COUNTED, [queue])
    names = [column[0] for column in cursor.description or ()]
    counts = dict(zip(names, cursor.fetchall()[0], strict=True))
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=counts["overdue"] == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{counts['open']} {queue} exceptions are open, {counts['overdue']} of them overdue",
        metadata=counts,
    )
