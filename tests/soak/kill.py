"""A server that is killed again and again while devices enroll: nothing lost, nothing twice."""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes

from enroll.registration import CodeTerms, NewDevice
from registry.engine import open_engine
from registry.tables import certificates, devices, events
from server.config.load import load_config
from server.home import Home
from server.wiring import open_office
from tests.soak.experiment import Outcome as Judgment
from tests.soak.experiment import Progress
from tests.soak.fleet import Fleet, PromiseError
from tests.support.installation import ENROLL, Installation
from tests.support.postgresql import DATABASES, cluster

CLIENTS = 32
DEVICES_A_KILL = 250
TOGETHER = 200
KILLS = 50
SHORT_KILLS = 4
LONGEST_LIFE = 2.0
STARTING_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done, and every broken promise that was found."""

    database: str
    kills: int
    devices: int
    requests: int
    lost_answers: int
    repeated: int
    certificates: int
    seconds: float
    faults: list[str]


@dataclass(slots=True, kw_only=True)
class Victim:
    """The server, its workers included, on ports that stay the same."""

    installation: Installation
    port: int
    workers: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start, and return when it listens."""
        ready = self.installation.home / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.installation.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *ENROLL,
                    "--home",
                    self.installation.home,
                    "serve",
                    *("--https", f"127.0.0.1:{self.port}", "--http", "", "--management", ""),
                    *("--workers", str(self.workers), "--ready-file", ready),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ends_at = time.monotonic() + STARTING_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > ends_at:
                text = (self.installation.home / "server.log").read_text()
                raise PromiseError(f"the server did not start again: {text[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End all its processes at once, wherever they are."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


async def torment(victim: Victim, fleet: Fleet, codes: dict[str, str], kills: int) -> int:
    """Kill and restart while devices enroll; give how many devices were done."""
    waiting = list(codes.items())
    done = 0

    async def client() -> None:
        nonlocal done
        while waiting:
            await fleet.provision(*waiting.pop())
            done += 1

    clients = asyncio.gather(*(client() for _ in range(CLIENTS)))
    for _ in range(kills):
        await asyncio.sleep(fleet.random.uniform(0, LONGEST_LIFE))
        if not waiting:
            raise PromiseError("the devices were done before the last kill; register more")
        victim.kill()
        await asyncio.to_thread(victim.start)
    waiting.clear()  # No more are begun; those that were are finished.
    await clients
    return done


def register(installation: Installation, count: int) -> dict[str, str]:
    """Register devices in one process, each with a code; give the codes by name."""
    home = Home(installation.home)

    async def work() -> dict[str, str]:
        office = open_office(home, load_config(home.configuration), stream="cli")

        async def register_one(number: int) -> tuple[str, str]:
            new = NewDevice(name=f"soak-{number:05}", serial_number=f"SN-{number:05}")
            _, made = await office.registration.register(new, code=CodeTerms(), actor="soak")
            assert made is not None
            return new.name, made.clear

        try:
            codes: dict[str, str] = {}
            for start in range(0, count, TOGETHER):
                together = range(start, min(count, start + TOGETHER))
                codes.update(await asyncio.gather(*map(register_one, together)))
            return codes
        finally:
            await office.close()

    return asyncio.run(work())


def examine(installation: Installation, fleet: Fleet, url: str) -> list[str]:
    """Compare what the devices hold with what the registry says."""
    engine = open_engine(url, 5)
    with engine.connect() as connection:
        rows = {row.fingerprint: row for row in connection.execute(sa.select(certificates))}
        states = {row.name: row for row in connection.execute(sa.select(devices))}
        issued = [
            json.loads(row.facts)["fingerprint"]
            for row in connection.execute(
                sa.select(events.c.facts).where(events.c.name == "certificate.issued")
            )
        ]
    engine.dispose()
    faults = []
    for each in fleet.received:
        row = rows.get(each.certificate.fingerprint(hashes.SHA256()).hex())
        device = states[each.device]
        if row is None or row.device_id != device.device_id:
            faults.append(f"{each.device} holds a certificate that is not in the registry")
        if device.state == "enrolled":
            faults.append(f"{each.device} holds a certificate and is still enrolled")
    of_devices = [row for row in rows.values() if row.device_id is not None]
    serials = Counter((row.issuer, row.serial_number) for row in rows.values())
    slots = Counter((row.device_id, row.profile) for row in of_devices)
    faults += [f"serial {number} was given twice" for number, n in serials.items() if n > 1]
    faults += [f"{slot} was issued {n} times" for slot, n in slots.items() if n > 1]
    if sorted(issued) != sorted(row.fingerprint for row in of_devices):
        faults.append("certificates and their events do not match")
    verdict = installation.json("audit", "verify")
    if not verdict["ok"]:
        faults.append(f"the audit log does not verify: {verdict['faults'][:5]}")
    return faults


def experiment(
    database: str, kills: int, *, workers: int, seed: int, folder: Path, url: str | None
) -> Outcome:
    """Run the whole of it on one database."""
    began = time.monotonic()
    options = ("--database", url) if url is not None else ()
    installation = Installation.initialize(folder / "home", *options)
    codes = register(installation, kills * DEVICES_A_KILL)
    victim = Victim(installation=installation, port=_free_port(), workers=workers)
    fleet = Fleet(
        host="127.0.0.1",
        port=victim.port,
        root=installation.root,
        folder=folder,
        random=Random(seed),  # noqa: S311 - so that a run can be told from another
    )
    victim.start()
    try:
        done = asyncio.run(torment(victim, fleet, codes, kills))
        asyncio.run(_ask_again(fleet))
    finally:
        victim.kill()
    home = Home(installation.home)
    where = load_config(home.configuration).database.url.get_secret_value()
    return Outcome(
        database=database,
        kills=kills,
        devices=done,
        requests=fleet.requests,
        lost_answers=fleet.lost,
        repeated=fleet.repeated,
        certificates=len(fleet.received),
        seconds=round(time.monotonic() - began, 1),
        faults=examine(installation, fleet, home.database_url(where)),
    )


async def _ask_again(fleet: Fleet) -> None:
    """Repeat requests of the whole run: each must get the very same certificate."""
    for each in fleet.random.sample(fleet.received, min(100, len(fleet.received))):
        fleet.repeated += 1
        if await fleet.insist(each.asked) != each.certificate:
            raise PromiseError(f"{each.device}: a repeated request got another certificate")


@contextmanager
def home_of(database: str) -> Iterator[str | None]:
    """Give the address of an empty database of this kind that waits for the disk."""
    if database == "sqlite":
        yield None
        return
    with cluster("fsync=on") as running:
        yield running.create()


def run(databases: Sequence[str], kills: int, seed: int) -> list[Outcome]:
    outcomes = []
    for database in databases:
        with ExitStack() as kept:
            folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="enroll-kill-")))
            url = kept.enter_context(home_of(database))
            workers = 1 if database == "sqlite" else 2
            outcomes.append(
                experiment(database, kills, workers=workers, seed=seed, folder=folder, url=url)
            )
    return outcomes


def measure(*, short: bool, progress: Progress) -> Judgment:
    """Kill on every database that is here: what `python -m tests.soak` calls."""
    kills = SHORT_KILLS if short else KILLS
    outcomes = []
    for number, kind in enumerate(DATABASES):
        progress.at(number, len(DATABASES), f"{kills} kills on {kind}")
        try:
            outcomes += run((kind,), kills, seed=1)
        except pytest.skip.Exception as missing:
            sys.stderr.write(f"kill: {kind} is left out: {missing}\n")
    return Judgment(
        held={
            f"on {each.database}, nothing that was answered is lost, and nothing is there twice": (
                not each.faults
            )
            for each in outcomes
        },
        figures={each.database: asdict(each) for each in outcomes},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, print what was found as JSON, and end with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="kill", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few kills only")
    parser.add_argument("--kills", type=int, help=f"how many (default {KILLS})")
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql"), action="append", help="default: both"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the pauses between kills")
    given = parser.parse_args(argv)
    kills = given.kills or (SHORT_KILLS if given.short else KILLS)
    outcomes = run(given.database or ("sqlite", "postgresql"), kills, given.seed)
    sys.stdout.write(json.dumps([asdict(each) for each in outcomes], indent=2) + "\n")
    return 1 if any(each.faults for each in outcomes) else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
