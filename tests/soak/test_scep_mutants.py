"""A slice of the experiment `scep_mutants`."""

import json

import pytest

from tests.soak import scep_mutants
from tests.soak.experiment import Progress


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Attribute's length must be")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_security_S13_mutated_messages_of_scep_neither_fell_nor_slow_the_server() -> None:
    outcome = scep_mutants.measure(short=True, progress=Progress("scep_mutants"))

    assert outcome.passed, json.dumps(outcome.figures, indent=2)
    assert outcome.figures["requests"] == scep_mutants.SLICE
    answers = outcome.figures["answers"]
    assert isinstance(answers, dict)
    assert set(answers) >= {"200 0", "200 2", "400"}, "some must reach every gate"
