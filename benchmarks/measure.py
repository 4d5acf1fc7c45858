"""CPU time of this and other processes, the yard, and ratios with their spread."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cryptography
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

TICKS = os.sysconf("SC_CLK_TCK")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A figure and its goal: the median of paired rounds, and how far they spread."""

    name: str
    median: float
    lowest: float
    highest: float
    goal: float | None
    unit: str = "ratio"

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "met" if self.median <= self.goal else "MISSED"

    def line(self) -> str:
        goal = "" if self.goal is None else f"<= {self.goal:g}"
        spread = f"{self.lowest:.2f} - {self.highest:.2f}"
        return f"{self.name:<62} {self.median:8.2f}  {spread:<15} {goal:<8} {self.verdict}"


def ratio(name: str, rounds: Sequence[float], goal: float | None = None) -> Ratio:
    return Ratio(
        name=name,
        median=statistics.median(rounds),
        lowest=min(rounds),
        highest=max(rounds),
        goal=goal,
    )


def cpu_of(pid: int) -> float:
    """CPU seconds, user and system, that a process and its living children have used so far."""
    return sum(_own_cpu(each) for each in (pid, *_children(pid)))


def _own_cpu(pid: int) -> float:
    """Read all threads' time, those that ended too, and that of children waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) / TICKS


def _children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found


def resident_megabytes(pid: int) -> float:
    """Tell how much memory a process holds, its largest child if it has any."""
    pages = [
        int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (pid, *_children(pid))
    ]
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_per(call: Callable[[], object], count: int) -> float:
    """CPU seconds of this process for one of `count` calls."""
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


def write_best(name: str, tasks: Mapping[str, Callable[[], object]], rounds: int, of: int) -> None:
    """Write the best of the rounds, each the mean `of` so many calls; the first task is the yard.

    All are called in turn, so that they meet the same noise.
    """
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds):
        for task_name, task in tasks.items():
            begin = time.perf_counter()
            for _ in range(of):
                task()
            best[task_name] = min(best[task_name], (time.perf_counter() - begin) / of)
    first, *_ = best.values()
    write(
        name,
        [ratio(f"{each}, in yards", [seconds / first]) for each, seconds in best.items()],
        microseconds={each: round(seconds * 1e6, 1) for each, seconds in best.items()},
    )


def yard(count: int = 400) -> float:
    """CPU seconds of one P-256 signature and one P-256 verification, measured now."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    message = bytes(600)
    algorithm = ec.ECDSA(hashes.SHA256())

    def once() -> None:
        public.verify(key.sign(message, algorithm), message, algorithm)

    return cpu_per(once, count)


def environment() -> dict[str, object]:
    """Say what it was measured on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def write(name: str, ratios: Sequence[Ratio], **facts: object) -> None:
    """Print the ratios, and keep them with the environment in one JSON file."""
    for each in ratios:
        print(each.line())
    RESULTS.mkdir(exist_ok=True)
    document = {
        "name": name,
        "environment": environment(),
        "facts": facts,
        "ratios": [asdict(each) for each in ratios],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2))


def read(name: str) -> tuple[Mapping[str, Any], list[Ratio]]:
    """Give what a benchmark wrote last."""
    document = json.loads((RESULTS / f"{name}.json").read_text())
    return document, [Ratio(**each) for each in document["ratios"]]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
