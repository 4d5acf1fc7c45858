"""Every protocol has words for every reason."""

import importlib

import pytest

from enroll.failures import FailureReason
from tests.architecture.source import ROOT

PROTOCOLS = sorted(each.parent.name for each in ROOT.glob("protocols/*/failures.py"))


def test_every_protocol_has_a_table_of_failures() -> None:
    spoken = sorted(each.parent.name for each in ROOT.glob("protocols/*/handler.py"))

    assert spoken == PROTOCOLS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_has_words_for_every_reason(protocol: str) -> None:
    table = importlib.import_module(f"protocols.{protocol}.failures").FAILURES

    assert set(table) == set(FailureReason)
