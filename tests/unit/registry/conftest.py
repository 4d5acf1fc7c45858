"""Coroutines as tests, and an audit log to tamper with."""

from pathlib import Path

import pytest

from tests.support.audit_log import AuditLog, an_audit_log
from tests.support.coroutines import pytest_pyfunc_call, runner

__all__ = ["pytest_pyfunc_call", "runner"]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return an_audit_log(tmp_path)
