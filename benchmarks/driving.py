"""Starting the load generator, and reading what it saw."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import Plan


class BenchmarkFailed(Exception):  # noqa: N818 - says what became of it
    """Something answered otherwise than the benchmark needs: a figure would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What one run of the generator did."""

    requests: int
    seconds: float
    server_cpu: float
    generator_cpu: float
    p50: float
    p99: float

    @property
    def cpu(self) -> float:
        """Give the server's CPU seconds for one request."""
        return self.server_cpu / self.requests

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def generator_idle(self) -> float:
        """Tell the part of the time in which the generator had nothing to do."""
        return max(0.0, 1 - self.generator_cpu / self.seconds)


def drive(plan: Plan, server_cpu: Callable[[], float]) -> Drive:
    """Run a plan, and measure the server while it runs. Raises BenchmarkFailed.

    What the generator does beforehand, starting and opening kept connections, is not counted.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asdict(plan), file)
        file.flush()
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        ) as generator:
            if generator.stdin is None or generator.stdout is None:
                raise BenchmarkFailed("the load generator has no pipes")
            if generator.stdout.readline() != "ready\n":
                raise BenchmarkFailed("the load generator could not connect")
            before = server_cpu()
            generator.stdin.write("go\n")
            generator.stdin.flush()
            answer = generator.stdout.read()
            spent = server_cpu() - before
    if not answer:
        raise BenchmarkFailed("the load generator broke off")
    seen = json.loads(answer)
    if set(seen["statuses"]) != {"200"}:
        raise BenchmarkFailed(
            f"answers {seen['statuses']}, the first bad:\n{seen['first_refusal']}"
        )
    return Drive(
        requests=seen["statuses"]["200"],
        seconds=seen["seconds"],
        server_cpu=spent,
        generator_cpu=seen["generator_cpu"],
        p50=seen["p50"],
        p99=seen["p99"],
    )
