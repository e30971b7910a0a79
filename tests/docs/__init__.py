"""The pages under docs, followed."""
