"""A simulated ERPNext for each test, a real Tryton for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.erp import tryton
from tests.erp.books import Erp, running_erp
from tests.erp.tryton import TrytonErp
from tests.sources.erp.conftest import tryton_template

__all__ = ["erp", "tryton_erp", "tryton_template"]


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[Erp]:
    """A running site that is ready for posting."""
    with running_erp(tmp_path) as erp:
        yield erp


@pytest.fixture(scope="module")
def tryton_erp(tryton_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonErp]:
    """A running Tryton that is ready for posting, for the tests of one module."""
    with tryton.running_erp(tryton_template, tmp_path_factory.mktemp("tryton")) as erp:
        yield erp
