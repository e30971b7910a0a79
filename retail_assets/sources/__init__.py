"""Sources: pure dlt, one folder per system. Nothing here knows Dagster."""
