"""Slices of the experiments `scep` and `scep_wire`."""

import json
from types import ModuleType

import pytest

from tests.soak import scep, scep_wire
from tests.soak.experiment import Progress


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Attribute's length must be")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("experiment", [scep, scep_wire], ids=["in process", "over HTTP"])
def test_security_S13_mutated_messages_of_scep_neither_fell_nor_slow_the_server(
    experiment: ModuleType,
) -> None:
    outcome = experiment.measure(short=True, progress=Progress("scep"))

    assert outcome.passed, json.dumps(outcome.figures, indent=2)
    assert outcome.figures["messages"] == experiment.SLICE
    answers = outcome.figures["answers"]
    assert isinstance(answers, dict)
    wanted = {"200", "200 SUCCESS", "200 PENDING", "200 FAILURE", "400"}
    assert set(answers) >= wanted, "some must reach every gate"
