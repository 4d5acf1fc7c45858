"""PostgreSQL gone, restarted, full or silent: 503, nothing half done, served again by itself."""

import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.device import Answer, Device
from tests.support.installation import Installation, Running
from tests.support.postgresql import Cluster, cluster

SECONDS = 1.0
RECOVERED = 5.0
LARGEST_FILE = 16 * 1024 * 1024
"""As large as a segment of the write-ahead log, which has to be writable on a full disk too."""

FILL = """
    INSERT INTO attempts (attempt_id, occurred_at, outcome, document)
    SELECT 'filler', '2026-01-01T00:00:00.000000+00:00', 'denied', repeat('x', 1700)
    FROM generate_series(1, 12000)
"""


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    with cluster("fsync=off") as running:
        yield running


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, database: Cluster) -> Installation:
    home = tmp_path_factory.mktemp("faults") / "home"
    return Installation.initialize(home, "--database", database.create())


@pytest.fixture(scope="module")
def server(installation: Installation) -> Iterator[Running]:
    patience = {"ENROLL_DATABASE__BUSY_TIMEOUT_SECONDS": str(SECONDS)}
    with installation.serve(env=patience) as running:
        yield running


def begin(device: Device, name: str) -> tuple[Path, str]:
    """Register a device; give its request and what it shows."""
    code = device.installation.json("device", "add", name)["code"]
    return device.request("boot", name), f"{name}:{code}"


def ask_until_served(device: Device, body: Path, user: str) -> Answer:
    ends_at = time.monotonic() + RECOVERED
    while True:
        answer = device.post("simpleenroll", body, user=user)
        if answer.status != 503:
            return answer
        assert time.monotonic() < ends_at, "it was not served again in time"


def silence(database: Cluster) -> list[psutil.Process]:
    """Stop all processes of a cluster, the one that makes the others first; give them."""
    server = psutil.Process(database.process.pid)
    send(signal.SIGSTOP, [server])
    children = server.children()
    send(signal.SIGSTOP, children)
    return [server, *children]


def send(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # One that was about to end has done so.
            each.send_signal(number)


@contextmanager
def full(installation: Installation, database: Cluster) -> Iterator[None]:
    """Let no file of the database grow beyond what the table of attempts has by then.

    It is the sessions that are held to it, and what makes them, for the disk is not the test's.
    """
    with psycopg.connect(database_url(installation), autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("VACUUM FULL attempts")  # No page keeps room that a session knows of.
        sessions = [
            pid
            for (pid,) in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'enrollment-server'"
            )
        ]
    limit_files([database.process.pid, *sessions], str(LARGEST_FILE))
    try:
        yield
    finally:
        limit_files([database.process.pid, *sessions], "unlimited")


def limit_files(sessions: Iterable[int], octets: str) -> None:
    """Set the soft limit of those that still run, as the user whose they are."""
    for pid in sessions:
        with suppress(psutil.NoSuchProcess):
            user = psutil.Process(pid).username()
            words = ("prlimit", "--pid", str(pid), f"--fsize={octets}:unlimited")
            subprocess.run(words, check=True, user=user)


def database_url(installation: Installation) -> str:
    (line,) = [
        each
        for each in (installation.home / "enroll.toml").read_text().splitlines()
        if each.startswith("url = ")
    ]
    return line.partition('"')[2].rstrip('"')


def unavailable(answer: Answer) -> bool:
    return answer.status == 503 and "retry-after: " in answer.headers.lower()


def test_a_database_that_is_gone_is_503_until_it_is_back(device: Device, database: Cluster) -> None:
    body, user = begin(device, "gone")

    database.stop()
    try:
        refused = [device.post("simpleenroll", body, user=user) for _ in range(3)]
    finally:
        database.start()
    served = ask_until_served(device, body, user)

    assert all(unavailable(each) for each in refused)
    assert served.status == 200
    assert len(device.installation.json("certificate", "list", "--device", "gone")) == 1


def test_a_restart_between_two_requests_is_not_even_noticed(
    device: Device, database: Cluster
) -> None:
    body, user = begin(device, "restarted")
    assert device.post("simpleenroll", device.request("other", "x"), user="nobody:x").status == 401

    database.stop(kill=True)
    database.start()

    assert ask_until_served(device, body, user).status == 200


def test_a_database_that_says_nothing_is_503_in_time(device: Device, database: Cluster) -> None:
    body, user = begin(device, "silent")
    stopped = silence(database)

    try:
        began = time.monotonic()
        refused = device.post("simpleenroll", body, user=user)
        waited = time.monotonic() - began
    finally:
        send(signal.SIGCONT, stopped)
    served = ask_until_served(device, body, user)

    assert unavailable(refused)
    assert waited < 10 * SECONDS
    assert served.status == 200
    assert len(device.installation.json("certificate", "list", "--device", "silent")) == 1


def test_a_database_that_is_full_is_503_until_there_is_room(
    device: Device, installation: Installation, database: Cluster
) -> None:
    body, user = begin(device, "full")
    other = device.request("other", "x")
    assert device.post("simpleenroll", other, user="nobody:x").status == 401

    with full(installation, database):
        # What is left of the table's last page takes some attempts still.
        answers = [device.post("simpleenroll", other, user="nobody:x") for _ in range(20)]
        refused = device.post("simpleenroll", body, user=user)
    served = ask_until_served(device, body, user)

    assert {each.status for each in answers[-3:]} == {503}
    assert unavailable(refused)
    assert served.status == 200
    assert len(device.installation.json("certificate", "list", "--device", "full")) == 1
