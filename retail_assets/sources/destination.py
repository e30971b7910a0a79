"""The warehouse as dlt's destination: dlt's own for DuckDB, with a merge that reads the load's files where they are.

dlt copies every load into a staging dataset first and merges from there. That writes each record twice, and sorting the
copy by key holds all of it in memory. Here the merge reads the key columns of the Parquet files of the load package,
and streams the rows that hold into the raw table: one write, in one transaction for each table.
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, cast

import duckdb as native
import pyarrow as pa
from dlt.common.destination.client import FollowupJobRequest, HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.schema.utils import get_columns_names_with_prop, get_dedup_sort_tuple, get_first_column_name_with_prop
from dlt.common.storages.load_package import LoadJobInfo, ParsedLoadJobFileName
from dlt.destinations import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbConnectionPool, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.job_impl import FollowupJobRequestImpl

#: What DuckDB may hold in memory while it loads; the rest goes to its temporary folder beside the warehouse.
MEMORY_LIMIT: Final = "192MB"
_CHECKPOINT_THRESHOLD: Final = "16mb"
_ROW_GROUP: Final = 6_144
#: The catalog's name is the stem of the file, as for everybody else who opens it.
_CATALOG: Final = "warehouse"
_SETTINGS: Final = {
    "memory_limit": MEMORY_LIMIT,
    "preserve_insertion_order": False,
    "write_buffer_row_group_count": 1,
}


def warehouse_destination(warehouse: Path) -> "Warehouse":
    """The destination that loads into a DuckDB file; it is opened when a load needs it."""
    return Warehouse(DuckDbCredentials(str(warehouse), global_config=dict(_SETTINGS)))


class _Connections(DuckDbConnectionPool):
    """Connections to the file, attached so that its row groups can be made small.

    dlt gives one back after each job, and the last to go closes the file; opening it again costs more than a small job.
    """

    def keep(self) -> None:
        """Leave the file open when nobody uses it, until :meth:`close`."""
        with self._conn_lock:
            self._conn_owner = False

    def close(self) -> None:
        """Close the file, whatever happened; it is opened again when it is needed."""
        with self._conn_lock:
            self._conn_owner = True
            self._close_conn()

    def borrow_conn(
        self,
        global_config: dict[str, Any] | None = None,
        local_config: dict[str, Any] | None = None,
        pragmas: list[str] | None = None,
    ) -> Any:
        with self._conn_lock:
            if self._conn is None:
                self._conn = _attached(Path(self.credentials._conn_str()))
            borrowed = super().borrow_conn(global_config=global_config or {}, pragmas=pragmas or [])
            borrowed.execute(f"use {_CATALOG}")
            for name, value in (local_config or {}).items():
                path = f"{_CATALOG}.{value}" if name == "search_path" else value
                self._apply_config(borrowed, "SESSION", {name: path})
            return borrowed


def _attached(warehouse: Path) -> Any:
    # A row group stays in memory until it is full, and the last one of a table is written anew with every load. With
    # order payloads the usual 122,880 rows are 400 MB; this many are a few dozen.
    connection = native.connect(":memory:")
    connection.execute(f"attach {_literal(str(warehouse))} as {_CATALOG} (row_group_size {_ROW_GROUP})")
    return connection


class Warehouse(duckdb):
    """dlt's DuckDB destination with our merge; a package loads over one connection, to be closed with :meth:`close`."""

    def __init__(self, credentials: DuckDbCredentials) -> None:
        super().__init__(credentials, destination_name="duckdb")
        self._connections = _Connections(credentials)

    def close(self) -> None:
        """Close the warehouse, also after a load that failed."""
        self._connections.close()

    @property
    def client_class(self) -> type["WarehouseClient"]:
        """The client that dlt makes for each load."""
        return WarehouseClient

    def configuration(self, *args: Any, **kwargs: Any) -> Any:
        """The configuration of a load, with our connections in it: dlt makes credentials of its own class."""
        resolved = super().configuration(*args, **kwargs)
        resolved.credentials.conn_pool = self._connections
        return resolved

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """What the destination can do.

        Nothing of that depends on its configuration, which dlt would look up in all its places dozens of times a load.
        """
        found = super().capabilities(config or self.spec(), naming)
        # DuckDB itself uses every core. Several transactions at once only make each other's commits dearer: one alone
        # writes its rows into the tables, beside others it writes them into the log before that.
        found.loader_parallelism_strategy = "sequential"
        return found


class WarehouseClient(DuckDbClient):
    """dlt's DuckDB client; only tables that are merged from Parquet files take another way."""

    def __init__(self, schema: Any, config: Any, capabilities: Any) -> None:
        super().__init__(schema, config, capabilities)
        # dlt raises it to 1 GB, so that all of a load goes to the log first and into the tables after that. A commit
        # that reaches the threshold goes into the tables at once.
        self.sql_client._global_config["checkpoint_threshold"] = _CHECKPOINT_THRESHOLD

    def update_stored_schema(self, *args: Any, **kwargs: Any) -> Any:
        """Make the tables that the package needs: the first step of its load, before its jobs."""
        cast("_Connections", self.config.credentials.conn_pool).keep()
        return super().update_stored_schema(*args, **kwargs)

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        """Whether dlt makes a staging table of it: never, the merge reads the files."""
        return False

    def create_load_job(self, table: Any, file_path: str, load_id: str, restore: bool = False) -> LoadJob:
        """A job for one file of the package."""
        name = ParsedLoadJobFileName.parse(file_path)
        if name.file_format == "sql":
            return _MergeJob(file_path)
        if table["write_disposition"] == "merge":
            if name.file_format != "parquet":
                raise ValueError(f"{table['name']} is merged from Parquet files only, not from {name.file_format}")
            return _FileForMerge(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(
        self, table_chain: Sequence[Any], completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None
    ) -> list[FollowupJobRequest]:
        """Once all files of a table are there: the merge."""
        if table_chain[0]["write_disposition"] != "merge":
            return super().create_table_chain_completed_followup_jobs(table_chain, completed_table_chain_jobs)
        if len(table_chain) > 1:
            raise ValueError(f"{table_chain[0]['name']} has tables nested by dlt; declare them as children instead")
        files = sorted(str(job.file_path) for job in completed_table_chain_jobs or ())
        name = ParsedLoadJobFileName(table_chain[0]["name"], ParsedLoadJobFileName.new_file_id(), 0, "sql")
        request = _MergeRequest(name.file_name())
        request.keep(files)
        return [request]


class _MergeRequest(FollowupJobRequestImpl):
    """What dlt keeps in the package until the merge runs: the names of the files."""

    def keep(self, files: Sequence[str]) -> None:
        self._save_text_file(json.dumps(files))


class _FileForMerge(RunnableLoadJob, HasFollowupJobs):
    """A file that needs no loading of its own, nor a connection: opening the warehouse for each takes longer."""

    def run_managed(self, job_client: Any, done_event: Any, /) -> None:
        """Run without opening the client."""
        super().run_managed(_Unopened(), done_event)  # pyright: ignore[reportArgumentType]

    def run(self) -> None:
        """Nothing: the merge reads it."""


class _Unopened(nullcontext[None]):
    """In the place of a client that is not used."""

    def prepare_load_job_execution(self, job: RunnableLoadJob) -> None:
        """Nothing to prepare."""


class _MergeJob(RunnableLoadJob):
    """Rows of the load replace the rows with their key, or all rows of their parent."""

    def run(self) -> None:
        """Delete what the load replaces and insert what holds, in one transaction."""
        pa.default_memory_pool().release_unused()
        client: Any = self._job_client.sql_client  # pyright: ignore[reportAttributeAccessIssue]
        table: Any = self._load_table
        target = client.make_qualified_table_name(table["name"])
        deleted = get_first_column_name_with_prop(table, "hard_delete")
        wanted = f"{client.escape_column_name(deleted)} is not true" if deleted else "true"
        key = [client.escape_column_name(name) for name in get_columns_names_with_prop(table, "primary_key")]
        group = [client.escape_column_name(name) for name in get_columns_names_with_prop(table, "merge_key")] or key
        keys, same_group = ", ".join(key), " and ".join(f"d.{name} = s.{name}" for name in group)
        files = ", ".join(map(_literal, json.loads(Path(self._file_path).read_text(encoding="utf-8"))))
        rows = f"read_parquet([{files}], union_by_name = true)"
        with client.begin_transaction():
            client.execute_sql(f"delete from {target} as d where exists (select 1 from {rows} as s where {same_group})")  # noqa: S608
            if client.execute_sql(f"select 1 from {rows} group by {keys} having count(*) > 1 limit 1"):  # noqa: S608
                # Of several versions in one load the newest holds, or the one that was read last.
                sort = get_dedup_sort_tuple(table)
                order = f"{client.escape_column_name(sort[0])} {sort[1]} nulls last, " if sort else ""
                rows = f"read_parquet([{files}], union_by_name = true, filename = '_file', file_row_number = true)"
                place = "_file, file_row_number"
                newest = (
                    f"select ({place}) from {rows} qualify row_number() over "  # noqa: S608
                    f"(partition by {keys} order by {order}_file desc, file_row_number desc) = 1"
                )
                columns, wanted = f"* exclude ({place})", f"{wanted} and ({place}) in ({newest})"
            else:
                columns = "*"
            client.execute_sql(f"insert into {target} by name select {columns} from {rows} where {wanted}")  # noqa: S608


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
