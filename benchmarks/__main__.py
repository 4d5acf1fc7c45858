"""`make bench`: runs the quick benchmarks, or those that are named, and sums them up."""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import fleet
from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import RESULTS, Ratio, cpu_of, environment, read
from benchmarks.servers import CounterpartMissing
from tests.support.postgresql import cluster

QUICK = (
    "enroll_in_process",
    "enroll_durable",
    "enroll_tls",
    "issue_certificate",
    "tls_transport",
)
LONG = (
    "cms_codec",
    "cms_oracle",
    "cmp_codec",
    "enroll_cmp",
    "enroll_scep",
    "est_codec",
    "est_linking",
    "many_devices",
    "scep_oracle",
)
_PART = 4
"""With `--quick`, this part of the requests is sent: enough to see that all works."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run them one after another; end with 1 if one failed or a goal was missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"default: {' '.join(QUICK)}; by name only: {' '.join(LONG)}",
    )
    parser.add_argument("--rounds", type=int, help="how often each is driven (default: its own)")
    parser.add_argument("--quick", action="store_true", help=f"send a {_PART}th of the requests")
    parser.add_argument(
        "--postgresql",
        action="store_true",
        help="keep the registries in a PostgreSQL cluster of its own",
    )
    given = parser.parse_args(argv)
    if not given.postgresql:
        return _run_all(given, fleet.SQLITE)
    with cluster() as running:
        databases = fleet.Databases(
            name="postgresql",
            create=running.create,
            cpu=lambda: cpu_of(running.process.pid),
        )
        return _run_all(given, databases)


def _run_all(given: argparse.Namespace, databases: fleet.Databases) -> int:
    done: list[Mapping[str, Any]] = []
    table: list[Ratio] = []
    whole = True
    for name in given.names or QUICK:
        try:
            _run(name, given.rounds, databases, quick=given.quick)
        except CounterpartMissing as missing:
            print(f"{name}: skipped: {missing}")
            continue
        except BenchmarkFailed as failure:
            print(f"{name}: failed: {failure}", file=sys.stderr)
            whole = False
            continue
        document, ratios = read(name)
        done.append(document)
        table += ratios
    _sum_up(table)
    path = RESULTS / "bench.json"
    path.write_text(json.dumps({"environment": environment(), "benchmarks": done}, indent=2))
    print(f"kept in {path}")
    return 0 if whole and all(each.verdict != "MISSED" for each in table) else 1


def _run(name: str, rounds: int | None, databases: fleet.Databases, *, quick: bool) -> None:
    benchmark = importlib.import_module(f"benchmarks.{name}").main
    known = inspect.signature(benchmark).parameters
    wanted: dict[str, object] = {}
    if "databases" in known:
        wanted["databases"] = databases
    if rounds is not None and "rounds" in known:
        wanted["rounds"] = rounds
    if quick and "requests" in known:
        wanted["requests"] = known["requests"].default // _PART
    print(f"{name}:", flush=True)
    benchmark(**wanted)


def _sum_up(table: Sequence[Ratio]) -> None:
    """Print the goals once more, together: median, spread, goal and what became of it."""
    judged = [each for each in table if each.goal is not None]
    if judged:
        print("\nGoals (median of the rounds, least - most):")
    for each in judged:
        print(each.line())


if __name__ == "__main__":
    sys.exit(main())
