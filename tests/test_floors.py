"""The floors of the house: who may import whom."""

from importlinter.cli import lint_imports


def test_a_room_imports_only_from_floors_below_it(capsys: object) -> None:
    """A source that imports Dagster, or a ledger that imports a source, cannot be tested or replaced by itself any more."""
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
