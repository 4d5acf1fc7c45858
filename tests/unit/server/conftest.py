"""A fresh installation for each test, copied from one that is made once a module.

Coroutines are tests here.
"""

import shutil
from pathlib import Path

import pytest

from tests.support.coroutines import pytest_pyfunc_call, runner
from tests.support.installation import Installation

__all__ = ["pytest_pyfunc_call", "runner"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.initialize(tmp_path_factory.mktemp("pristine") / "home")


@pytest.fixture
def installation(pristine: Installation, tmp_path: Path) -> Installation:
    home = tmp_path / "home"
    shutil.copytree(pristine.home, home)
    return Installation(home=home)
