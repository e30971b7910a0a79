"""Names that Dagster, dbt and people share: asset keys, groups, check names, pools, tags."""

from typing import Final

#: Every step that opens the warehouse file takes this pool; ``dagster.yaml`` gives it one slot.
WAREHOUSE_POOL: Final = "warehouse"

INGEST_JOB: Final = "ingest"
BUILD_JOB: Final = "build"
ATTEST_JOB: Final = "attest"
PUBLISH_JOB: Final = "publish"
EXPORT_GROUP: Final = "erp_export"
PUBLISH_GROUP: Final = "published"
STOCK_GROUP: Final = "stock_export"
CANARY_GROUP: Final = "canary"
CANARY_JOB: Final = "canary"
#: Metadata of a failure that is no fault: it waits for somebody to decide.
NEEDS_DECISION: Final = "needs_decision"
#: Check of the canaries' mart.
CANARY_CHECK: Final = "canaries_arrive"
PUBLISHED_ASSET: Final = ["published", "marts"]

#: Run tags: which set of checked materializations an export run posts, and for which entity.
BATCH_TAG: Final = "retail/batch"
ENTITY_TAG: Final = "retail/entity"
#: What had been approved by second persons when it was asked for.
APPROVED_TAG: Final = "retail/approved"
#: Run tag: the build whose marts a run publishes.
BUILD_TAG: Final = "retail/build"

#: Run tags of loads: the schedule that asked for it, the files that it is to read (a digest), and that everything is to
#: be compared with its source.
POLL_TAG: Final = "retail/poll"
FILES_TAG: Final = "retail/files"
THOROUGH_TAG: Final = "retail/thorough"

#: Run tags of loads that webhooks asked for: of which source, up to which event of the inbox, the first traces.
EVENTS_SOURCE_TAG: Final = "retail/events_source"
EVENTS_TAG: Final = "retail/events"
TRACE_TAG: Final = "retail/trace"

#: Dagster's own tag: of the runs that wait for a place, the highest goes first. What a webhook told of goes before
#: files and polls, and before both the build that everything loaded waits for.
PRIORITY_TAG: Final = "dagster/priority"
EVENTS_PRIORITY: Final = "10"
BUILD_PRIORITY: Final = "20"

#: Marks runs that a command of ours runs in its own process, and not the daemon.
RUNNER_TAG: Final = "retail/runner"
COMMAND_RUNNER: Final = "command"


def raw_asset_path(system: str, instance: str, table: str) -> list[str]:
    """Asset key path of one raw table as one source instance loads it."""
    return [f"raw_{system}", instance, table]


#: Checks of every raw asset: nothing was lost on the way, and its records still have the shape they had.
ACCOUNTED_CHECK: Final = "records_accounted_for"
SHAPE_CHECK: Final = "shape"
#: Check of a store's orders: it still sends us its webhooks. It warns and holds nothing, and alerts all the same.
WEBHOOKS_CHECK: Final = "webhooks_sent"


def source_group(instance: str) -> str:
    """Asset group of one source instance: it loads, and fails, by itself."""
    return f"source_{instance}"


def mart_asset_path(name: str) -> list[str]:
    """Asset key path of a dbt model in the marts schema."""
    return ["marts", name]


def gate_check_name(invariant: str, entity_code: str) -> str:
    """Name of one invariant's asset check for one entity."""
    return f"{invariant}_{entity_code.lower()}"


def queue_check_name(queue: str) -> str:
    """Name of the asset check that counts the exceptions of a queue."""
    return f"{queue}_exceptions_in_time"


def export_asset_path(entity_code: str) -> list[str]:
    """Asset key path of an entity's posted journals."""
    return ["erp_export", f"journals_{entity_code.lower()}"]


#: Check of every attestation: what was posted is still what the ERP holds.
ATTESTED_CHECK: Final = "posted_equals_erp"


def attestation_asset_path(entity_code: str) -> list[str]:
    """Asset key path of the read-back of an entity's posted journals."""
    return ["erp_export", f"attestation_{entity_code.lower()}"]


def export_job_name(entity_code: str) -> str:
    """Job that posts an entity's journals."""
    return f"export_{entity_code.lower()}"


#: Asset: the exceptions that alerts know of.
EXCEPTIONS_NOTED: Final = ("operations", "exceptions_noted")


def gate_sensor_name(entity_code: str) -> str:
    """Sensor that starts an entity's export."""
    return f"post_{entity_code.lower()}_when_checked"


def stock_asset_path(store_id: str) -> list[str]:
    """Asset key path of a store's stock, as its shop shows it."""
    return [STOCK_GROUP, f"stock_{store_id}"]


def stock_job_name(store_id: str) -> str:
    """Job that writes a store's stock."""
    return f"write_stock_{store_id}"


def stock_check_name(store_id: str) -> str:
    """Check that gates the writing of a store's stock."""
    return f"stock_is_sound_{store_id}"


def canary_asset_path(store_id: str) -> list[str]:
    """Asset key path of the synthetic orders of a store."""
    return [CANARY_GROUP, store_id]
