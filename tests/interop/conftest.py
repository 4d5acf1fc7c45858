"""One installation on each database, served once, for all the tests of a module.

All that it issued passes pkilint in the end (security S21).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.home import Home
from tests.support.coroutines import pytest_pyfunc_call, runner
from tests.support.device import Device
from tests.support.installation import Installation, Running
from tests.support.lint import check_home
from tests.support.postgresql import DATABASES, database_options

__all__ = ["pytest_pyfunc_call", "runner"]


@pytest.fixture(scope="module", params=DATABASES)
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    with database_options(request.param) as options:
        made = Installation.initialize(tmp_path_factory.mktemp("site") / "home", *options)
        yield made
        check_home(Home(made.home))


@pytest.fixture(scope="module")
def server(installation: Installation) -> Iterator[Running]:
    with installation.serve() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, installation: Installation, server: Running) -> Device:
    return Device(folder=tmp_path, installation=installation, server=server)
