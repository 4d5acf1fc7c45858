"""G2: does a durable enrollment over EST cost no more CPU than cfssl's `sign`, which keeps nothing?

One-time codes by Basic, one device each, over the unix socket with kept connections, on SQLite
with synchronous=FULL; cfssl over the loopback. Above 1.0 the way of a request through registry,
pipeline or front needs another look.

Run: python -m benchmarks.enroll_durable [rounds] [requests]
"""

import sys
import tempfile
from pathlib import Path

from benchmarks import fleet, servers
from benchmarks.driving import Drive, drive
from benchmarks.load import Plan
from benchmarks.measure import write
from benchmarks.rotation import Rounds, Variant, rotate, sending

CONNECTIONS = 32
GOAL = 1.0


def main(
    rounds: int = 7, requests: int = 2_000, *, databases: fleet.Databases = fleet.SQLITE
) -> None:
    """Drive both in rotation, then ours by the clock at half of what it can."""
    servers.use_server_core()
    count = (rounds + 2) * requests
    with tempfile.TemporaryDirectory() as folder:
        home = fleet.make_home(Path(folder) / "home", databases)
        fleet.populate(home, 0, count)
        with (
            servers.enroll(home) as ours,
            servers.cfssl(Path(folder) / "cfssl") as theirs,
            servers.floor(Path(folder) / "floor") as least,
        ):
            before = databases.cpu()
            found = rotate(
                [
                    over_unix(ours, count, requests),
                    cfssl_sign(theirs, count, requests),
                    over_unix(least, count, requests, name="floor"),
                ],
                rounds,
            )
            database_cpu = (databases.cpu() - before) / ((rounds + 1) * requests)
            latency = _at_half(ours, found, count, requests)
    write(
        "enroll_durable",
        [
            found.ratio("G2 durable enroll / cfssl sign", lambda c: c["unix"] / c["cfssl"], GOAL),
            found.ratio("   the least in Python / cfssl sign", lambda c: c["floor"] / c["cfssl"]),
            found.yards("   durable enroll, in yards", "unix"),
            found.yards("   cfssl sign, in yards", "cfssl"),
        ],
        database=databases.name,
        database_cpu_us=round(database_cpu * 1e6),
        latency_at_half_ms={"p50": latency.p50 * 1e3, "p99": latency.p99 * 1e3},
        **found.facts(),
    )


def over_unix(served: servers.Served, count: int, requests: int, *, name: str = "unix") -> Variant:
    """Enroll over the unix socket; each round takes other devices of the `count`."""
    plan = Plan(
        requests=str(fleet.est_requests(0, count)),
        first=0,
        last=count,
        connections=CONNECTIONS,
        unix=served.addresses["unix"],
    )
    return sending(name, served, plan, requests)


def cfssl_sign(served: servers.Served, count: int, requests: int) -> Variant:
    plan = Plan(
        requests=str(fleet.cfssl_requests(0, count)),
        first=0,
        last=count,
        connections=CONNECTIONS,
        port=served.port("http"),
    )
    return sending("cfssl", served, plan, requests)


def _at_half(served: servers.Served, found: Rounds, count: int, requests: int) -> Drive:
    """Send by the clock at half of capacity, whoever is late: what a caller waits."""
    plan = Plan(
        requests=str(fleet.est_requests(0, count)),
        first=count - requests,
        last=count,
        connections=4 * CONNECTIONS,
        unix=served.addresses["unix"],
        rate=found.rate("unix") / 2,
    )
    return drive(plan, served.cpu)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
