"""Retail order-to-cash as a Dagster asset graph: load, correlate, reconcile, post."""
