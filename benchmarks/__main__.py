"""`make bench`: runs the quick benchmarks, or those that are named, and sums them up."""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Sequence

from benchmarks.driving import BenchmarkFailed
from benchmarks.measure import RESULTS, environment, read
from benchmarks.servers import CounterpartMissing

QUICK = ("enroll_in_process", "enroll_durable", "enroll_tls", "tls_transport")


def main(argv: Sequence[str] | None = None) -> int:
    """Run them one after another; end with 1 if one failed or a goal was missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(QUICK)}")
    parser.add_argument("--rounds", type=int, help="how often each is driven (default: its own)")
    given = parser.parse_args(argv)
    done, good = [], True
    for name in given.names or QUICK:
        try:
            _run(name, given.rounds)
        except CounterpartMissing as missing:
            print(f"{name}: skipped: {missing}")
            continue
        except BenchmarkFailed as failure:
            print(f"{name}: failed: {failure}", file=sys.stderr)
            good = False
            continue
        document, ratios = read(name)
        done.append(document)
        good = good and all(each.verdict != "MISSED" for each in ratios)
    path = RESULTS / "bench.json"
    path.write_text(json.dumps({"environment": environment(), "benchmarks": done}, indent=2))
    print(f"kept in {path}")
    return 0 if good else 1


def _run(name: str, rounds: int | None) -> None:
    benchmark = importlib.import_module(f"benchmarks.{name}").main
    if rounds is not None and "rounds" in inspect.signature(benchmark).parameters:
        benchmark(rounds=rounds)
    else:
        benchmark()


if __name__ == "__main__":
    sys.exit(main())
