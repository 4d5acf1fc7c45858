"""One installation, served once, for all the tests of a module; devices are cheap."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.device import Device
from tests.support.installation import Installation, Running


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.initialize(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def server(installation: Installation) -> Iterator[Running]:
    with installation.serve() as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, installation: Installation, server: Running) -> Device:
    return Device(folder=tmp_path, installation=installation, server=server)
