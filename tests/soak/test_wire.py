"""A slice of the experiment `wire`."""

import json

import pytest

from tests.soak import wire
from tests.soak.experiment import Progress


@pytest.mark.soak
def test_security_S13_mutated_requests_over_http_neither_fell_nor_slow_the_server() -> None:
    outcome = wire.measure(short=True, progress=Progress("wire"))

    assert outcome.passed, json.dumps(outcome.figures, indent=2)
    assert outcome.figures["requests"] == wire.SLICE
    statuses = outcome.figures["statuses"]
    assert isinstance(statuses, dict)
    assert set(statuses) >= {"200", "400", "401", "403", "404", "405"}, "some must reach every gate"
