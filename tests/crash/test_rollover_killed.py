"""A step of a rollover that is killed anywhere leaves the CAs as they were, or the step done."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.installation import Installation


def taken_with_deaths(home: Path, *words: str) -> list[str]:
    """Take a step, killed at every file in turn, until it is not; give the phases in between."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.rollover_victim", str(home), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["code"] == 0, done.stderr
    phases: list[str] = found["phases"]
    return phases


def test_est_C2_every_step_is_resumed_wherever_it_was_killed(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    before = "settled"
    for words, after in (
        (("prepare",), "prepared"),
        (("publish",), "published"),
        (("activate",), "activated"),
        (("retire", "--yes"), "settled"),
    ):
        phases = taken_with_deaths(installation.home, "issuer", "rollover", *words)

        assert len(phases) > 1, "it was killed at least once"
        assert phases == sorted(phases, key=lambda phase: phase == after), "never back again"
        assert set(phases) <= {before, after}
        assert phases[-1] == after
        assert installation.json("issuer", "rollover", "status")["phase"] == after
        before = after

    assert installation.call("check").returncode == 0
    assert installation.call("audit", "verify").returncode == 0
    states = {each["name"]: each["state"] for each in installation.json("issuer", "list")}
    assert states == {
        "root": "retired",
        "issuing": "retired",
        "root-2": "active",
        "issuing-2": "active",
    }
