"""A real Tryton for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tryton import RunningTryton, running_tryton, template


@pytest.fixture(scope="session")
def tryton_template(request: pytest.FixtureRequest) -> Path:
    """The filled database; it outlives the session, since making it takes half a minute."""
    return template(Path(request.config.cache.mkdir("tryton")))


@pytest.fixture(scope="module")
def tryton(tryton_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTryton]:
    """A server for the tests of one module, which leave behind what they make."""
    with running_tryton(tryton_template, tmp_path_factory.mktemp("tryton")) as server:
        yield server
