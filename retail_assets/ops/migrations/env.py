"""Alembic environment: runs on the connection, and in the transaction, that ``store.migrate`` opened."""

from alembic import context

from retail_assets.ops.models import metadata


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite"
    )
    context.run_migrations()


_run()
