"""G7: does a registry of a million devices cost more than one of a thousand?

The same enrollments (G2's) on two homes, the devices spread over the large one; how long it takes
from the start of the process until it is ready, and how much memory it holds after the last
request. Above 1.15 an index is missing or something is read whole. Not among the quick ones: a
million devices take minutes to make.

Run: python -m benchmarks.many_devices [rounds] [many]
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import fleet, servers
from benchmarks.driving import Drive, drive
from benchmarks.enroll_durable import CONNECTIONS
from benchmarks.load import Plan
from benchmarks.measure import ratio, resident_megabytes, write
from benchmarks.rotation import Variant, rotate

FEW = 1_000
GOAL_CPU = 1.15
GOAL_READY_SECONDS = 3.0
GOAL_MEGABYTES = 200.0


def main(
    rounds: int = 5, many: int = 1_000_000, *, databases: fleet.Databases = fleet.SQLITE
) -> None:
    """Give each round a home of a thousand devices, all of which enroll, and the one large home."""
    servers.use_server_core()
    spread = range(0, many, many // ((rounds + 1) * FEW))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        few = [
            fleet.make_home(Path(folder) / f"few-{number}", databases)
            for number in range(rounds + 1)
        ]
        for each in few:
            fleet.populate(each, 0, FEW)
        large = fleet.make_home(Path(folder) / "large", databases)
        fleet.populate(large, 0, many)
        small = [stack.enter_context(servers.enroll(each)) for each in few]
        served = stack.enter_context(servers.enroll(large))
        found = rotate([_few(small), _many(served, spread)], rounds)
        resident = resident_megabytes(served.process.pid)
    name = f"{many:,} devices"
    write(
        "many_devices",
        [
            found.ratio(f"G7 {name} / {FEW:,}", lambda c: c["many"] / c["few"], GOAL_CPU),
            ratio(f"G7 {name}: seconds until ready", [served.seconds_to_ready], GOAL_READY_SECONDS),
            ratio(f"G7 {name}: megabytes resident", [resident], GOAL_MEGABYTES),
        ],
        database=databases.name,
        **found.facts(),
    )


def _few(served: list[servers.Served]) -> Variant:
    packed = str(fleet.est_requests(0, FEW))

    def run(number: int) -> Drive:
        return _drive(served[number], packed, 0)

    return Variant(name="few", drive=run)


def _many(served: servers.Served, spread: range) -> Variant:
    packed = str(fleet.spread_est_requests(spread))

    def run(number: int) -> Drive:
        return _drive(served, packed, number * FEW)

    return Variant(name="many", drive=run)


def _drive(served: servers.Served, packed: str, first: int) -> Drive:
    plan = Plan(
        requests=packed,
        first=first,
        last=first + FEW,
        connections=CONNECTIONS,
        unix=served.addresses["unix"],
    )
    return drive(plan, served.cpu)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
