"""The sensor that alerts, and the asset that notes the exceptions after each build."""

from typing import Final

import dagster as dg

from retail_assets import keys
from retail_assets.defs.alerts import causes
from retail_assets.defs.alerts.watching import watch
from retail_assets.ops import alerts
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings
from retail_assets.warehouse_file import opened

ALERTS_SENSOR: Final = "alerts"
_INTERVAL_SECONDS: Final = 60
_OPEN_EXCEPTIONS: Final = """
    select exception_id, exception_class, severity, owner, entity_code, amount_at_risk, currency_code, due_at,
        suggested_action, is_overdue and work_status <> 'snoozed' as is_overdue
    from marts.rec_exceptions
    where status = 'open' and work_status <> 'resolved'
    order by exception_id
"""


def alert_definitions(settings: Settings) -> dg.Definitions:
    """The sensor and the asset."""

    @dg.asset(
        key=keys.EXCEPTIONS_NOTED,
        deps=[dg.AssetKey(keys.mart_asset_path("rec_exceptions"))],
        group_name="alerts",
        description="The open and overdue exceptions, noted in the operations store for those who are told of them.",
        owners=[causes.PLATFORM],
        kinds={"python"},
        tags={"layer": "operations"},
        pool=keys.WAREHOUSE_POOL,
    )
    def exceptions_noted() -> dg.MaterializeResult:
        # Here and not in the sensor: whoever opens the warehouse takes its slot.
        with opened(settings.warehouse_path) as connection:
            cursor = connection.execute(_OPEN_EXCEPTIONS)
            names = [column[0] for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        found = list(causes.of_exceptions(rows))
        engine = open_store(settings.operations_url)
        try:
            alerts.observe_all(engine, [causes.EXCEPTION, causes.OVERDUE], found, settings.now())
        finally:
            engine.dispose()
        return dg.MaterializeResult(metadata={"open": len(rows), "overdue": len(found) - len(rows)})

    @dg.sensor(
        name=ALERTS_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        target=None,
        description="Tells the channels of operations.alerts what failed, what is overdue, and what has recovered.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        told = watch(settings, context.instance)
        return dg.SkipReason("; ".join(f"{channel}: {result}" for channel, result in told.items()) or "no channels")

    return dg.Definitions(assets=[exceptions_noted], sensors=[sensor])
