"""A short slice of the kill experiment, on each database."""

import pytest

from tests.soak.kill import run


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_security_S1_kills_lose_nothing_and_double_nothing(database: str) -> None:
    (outcome,) = run([database], kills=3, seed=7)

    assert outcome.faults == []
    assert outcome.lost_answers > 0
    assert outcome.certificates > 0
