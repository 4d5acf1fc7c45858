"""A slice of the experiment `mutants`, and the command that runs experiments."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak import mutants
from tests.soak.experiment import Progress

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Attribute's length must be")
def test_security_S13_mutated_requests_neither_fell_nor_slow_the_server() -> None:
    outcome = mutants.measure(short=True, progress=Progress("mutants"))

    assert outcome.passed, json.dumps(outcome.figures, indent=2)
    assert outcome.figures["requests"] == mutants.SLICE
    statuses = outcome.figures["statuses"]
    assert isinstance(statuses, dict)
    assert set(statuses) >= {"200", "400", "401", "403"}, "some must reach every gate"


def test_an_experiment_that_is_not_there_is_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no experiment 'nonsense'; there are mutants" in done.stderr
