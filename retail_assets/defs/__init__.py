"""Dagster: ingest, transform, checks and export, each with the sensors that drive it."""
