"""Coroutines are tests here, and keys are made once."""

import pytest

from tests.support.coroutines import pytest_pyfunc_call, runner
from tests.support.listening import TestPKI

__all__ = ["pytest_pyfunc_call", "runner"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPKI:
    return TestPKI.make(tmp_path_factory.mktemp("pki"))
