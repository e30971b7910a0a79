"""The models, for commands that read what they made."""

from tests.dbt.conftest import project

__all__ = ["project"]
