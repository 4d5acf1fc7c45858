"""CPU time of this and other processes, the yard, and ratios with their spread."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cryptography
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

TICKS = os.sysconf("SC_CLK_TCK")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A goal's figure: the median of paired rounds, and how far they spread."""

    name: str
    median: float
    lowest: float
    highest: float
    goal: float | None
    unit: str = "ratio"

    def line(self) -> str:
        goal = "" if self.goal is None else f"  goal <= {self.goal}"
        return f"{self.name:<58} {self.median:8.2f} [{self.lowest:.2f} .. {self.highest:.2f}]{goal}"


def ratio(name: str, rounds: Sequence[float], goal: float | None = None) -> Ratio:
    return Ratio(
        name=name,
        median=statistics.median(rounds),
        lowest=min(rounds),
        highest=max(rounds),
        goal=goal,
    )


def cpu_of(pid: int) -> float:
    """CPU seconds, user and system, that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_per(call: Callable[[], object], count: int) -> float:
    """CPU seconds of this process for one of `count` calls."""
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


def yard(count: int = 400) -> float:
    """CPU seconds of one P-256 signature and one P-256 verification, measured now."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    message = bytes(600)
    algorithm = ec.ECDSA(hashes.SHA256())

    def once() -> None:
        public.verify(key.sign(message, algorithm), message, algorithm)

    return cpu_per(once, count)


def write(name: str, ratios: Sequence[Ratio], **facts: object) -> None:
    """Print the ratios, and keep them with the environment in one JSON file."""
    for each in ratios:
        print(each.line())
    RESULTS.mkdir(exist_ok=True)
    document = {
        "name": name,
        "environment": {
            "python": platform.python_version(),
            "cryptography": cryptography.__version__,
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "facts": facts,
        "ratios": [
            {
                "name": each.name,
                "median": each.median,
                "lowest": each.lowest,
                "highest": each.highest,
                "goal": each.goal,
            }
            for each in ratios
        ],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2))
