"""Run the long experiments: `python -m tests.soak [NAME…] [--short]`.

Prints one JSON document. Ends with 0 if every promise held, 1 if one did not, 2 for wrong usage.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time

from server.observability.logging import configure_logging
from tests.soak.experiment import Experiment, Progress

EXPERIMENTS = {
    "mutants": "100,000 mutated requests through codec, pipeline, registry and CA, in process",
    "cmp": "1,000,000 mutated messages of CMP, in process, at each of their depths",
    "cmp_wire": "100,000 mutated messages of CMP over HTTP",
    "scep": "1,000,000 mutated messages of SCEP, in process, at each of their depths",
    "scep_wire": "100,000 mutated messages and queries of SCEP over HTTP",
    "wire": "100,000 mutated requests over HTTP, every operation of EST, to a server of its own",
    "slow": "thousands of slow connections beside good clients",
    "kill": "a server that is killed again and again while devices enroll",
}
"""Each is a module beside this one, whose `measure` is an `Experiment`."""


def main(words: list[str]) -> int:
    """Run what was asked for, one after the other."""
    here = {name for name in EXPERIMENTS if importlib.util.find_spec(f"tests.soak.{name}")}
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run long experiments and print what they measured as JSON.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="experiments:\n"
        + "".join(
            f"  {name:<9} {words}{'' if name in here else ' (not in this checkout)'}\n"
            for name, words in EXPERIMENTS.items()
        ),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all of them by default")
    parser.add_argument("--short", action="store_true", help="only a slice, about a minute each")
    options = parser.parse_args(words)
    for name in options.names:
        if name not in EXPERIMENTS:
            parser.error(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
        if name not in here:
            parser.error(f"experiment {name!r} is not in this checkout: tests/soak/{name}.py")
    configure_logging("error")  # A refusal is what most requests deserve; a fault is news.
    results = [
        _run(name, short=options.short)
        for name in options.names or [each for each in EXPERIMENTS if each in here]
    ]
    json.dump(results, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if all(each["passed"] for each in results) else 1


def _run(name: str, *, short: bool) -> dict[str, object]:
    experiment: Experiment = importlib.import_module(f"tests.soak.{name}").measure
    sys.stderr.write(f"{name}: {EXPERIMENTS[name]}\n")
    progress = Progress(name)
    started = time.monotonic()
    try:
        outcome = experiment(short=short, progress=progress)
    finally:
        progress.end()
    for promise, held in outcome.held.items():
        sys.stderr.write(f"{name}: {'held' if held else 'NOT HELD'}: {promise}\n")
    return {
        "experiment": name,
        "short": short,
        "passed": outcome.passed,
        "seconds": round(time.monotonic() - started, 1),
        "held": dict(outcome.held),
        "figures": dict(outcome.figures),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
