"""The floors of the house: who may import whom."""

from importlinter.cli import lint_imports


def test_a_room_imports_only_from_floors_below_it() -> None:
    """A source that imports Dagster, or a ledger that imports a source, can no longer be tested or replaced alone."""
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
