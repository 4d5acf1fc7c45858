"""A full disk, a lost database, a locked one: 503 and nothing half done, then on as before (S4)."""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.command import command
from tests.support.device import Answer, Device
from tests.support.installation import Installation
from tests.support.waiting import within

RECOVERY_SECONDS = 5.0
DISK = "6m"
PATIENCE = {"ENROLL_DATABASE__BUSY_TIMEOUT_SECONDS": "0.5"}


def enroll(device: Device, name: str, code: str) -> Answer:
    """Ask for the device's first certificate, with the same key each time."""
    body = device.request(name, name, key=name)
    return device.post("simpleenroll", body, user=f"{name}:{code}")


def is_unavailable(answer: Answer) -> bool:
    """Tell whether it is the one answer for this: 503, a time to wait, a sentence and an id."""
    headers = answer.headers.lower()
    return (
        answer.status == 503
        and re.search(r"^retry-after: [1-9][0-9]*\r?$", headers, re.MULTILINE) is not None
        and "content-type: text/plain" in headers
        and re.fullmatch(rb"[^\n]+[0-9a-f]{16}[^\n]*\n?", answer.body) is not None
    )


def readiness(device: Device) -> tuple[int, str]:
    answer = device.curl(f"https://{device.server.management}/readyz")
    return answer.status, answer.body.decode()


def serves_from_memory(device: Device) -> bool:
    """Tell whether what needs no database is served all the same."""
    http = f"http://{device.server.http}"
    urls = (f"{device.server.est}/cacerts", f"{http}/crl/issuing.crl", f"{http}/ca/issuing.crt")
    return all(device.curl(url).status == 200 for url in urls)


def recovers(device: Device, name: str, code: str) -> bool:
    """Tell whether the device is served soon, though nobody started anything anew."""
    return within(RECOVERY_SECONDS, lambda: enroll(device, name, code).status == 200)


def check_nothing_is_half_done(installation: Installation, name: str, certificates: int) -> None:
    shown = installation.json("device", "show", name)
    assert len(shown["certificates"]) == certificates
    assert shown["state"] == ("registered" if certificates else "enrolled")
    assert installation.json("audit", "verify")["ok"]


@contextmanager
def serving(folder: Path, installation: Installation) -> Iterator[Device]:
    with installation.serve(env=PATIENCE) as running:
        yield Device(folder=folder, installation=installation, server=running)


class TestALostDatabase:
    """The file is moved away while the server runs, and comes back."""

    @pytest.fixture
    def device(self, tmp_path: Path) -> Iterator[Device]:
        installation = Installation.initialize(tmp_path / "home")
        with serving(tmp_path, installation) as device:
            yield device

    @pytest.mark.parametrize("back", ["the same files", "a copy of them"])
    def test_security_S4_is_503_until_it_is_back(
        self, device: Device, tmp_path: Path, back: str
    ) -> None:
        installation = device.installation
        code = installation.json("device", "add", "pump-1")["code"]
        away = tmp_path / "away"
        away.mkdir()
        files = sorted(installation.home.glob("registry.db*"))

        for each in files:
            each.rename(away / each.name)
        lost = enroll(device, "pump-1", code)
        meanwhile = (readiness(device), serves_from_memory(device))
        told = installation.call("device", "list")
        made_anew = (installation.home / "registry.db").exists()
        for each in files:
            if back == "the same files":
                (away / each.name).rename(each)
            else:
                shutil.copy(away / each.name, each)

        assert is_unavailable(lost), lost
        assert meanwhile[0][0] == 503
        assert "database" in json.loads(meanwhile[0][1])["problems"]
        assert meanwhile[1]
        assert told.returncode == 5
        assert not made_anew
        assert recovers(device, "pump-1", code)
        assert within(RECOVERY_SECONDS, lambda: readiness(device)[0] == 200)
        assert device.server.process.poll() is None
        check_nothing_is_half_done(installation, "pump-1", 1)


def test_security_S6_a_locked_database_is_503_after_its_patience_and_then_served(
    tmp_path: Path,
) -> None:
    installation = Installation.initialize(tmp_path / "home")
    code = installation.json("device", "add", "pump-1")["code"]

    with serving(tmp_path, installation) as device:
        with closing(sqlite3.connect(installation.home / "registry.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            locked = enroll(device, "pump-1", code)
            other.execute("ROLLBACK")
        served = enroll(device, "pump-1", code)

    assert is_unavailable(locked), locked
    assert served.status == 200
    check_nothing_is_half_done(installation, "pump-1", 1)


def test_a_server_without_its_database_does_not_start(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    (installation.home / "registry.db").unlink()

    ended = command(
        *("--home", str(installation.home), "serve", "--https", "127.0.0.1:0"),
        *("--http", "127.0.0.1:0", "--management", "127.0.0.1:0"),
    )

    assert ended.returncode == 5
    assert "registry.db" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no mount here to make a small disk with")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_security_S4_a_full_disk_is_503_until_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    installation = Installation.initialize(small_disk / "home")
    names = [f"pump-{number}" for number in range(16)]
    codes = {name: installation.json("device", "add", name)["code"] for name in names}

    with serving(tmp_path, installation) as device:
        assert enroll(device, names[0], codes[names[0]]).status == 200
        filler = fill(small_disk)
        answers = {name: enroll(device, name, codes[name]) for name in names[1:]}
        meanwhile = serves_from_memory(device)
        refused = [name for name, answer in answers.items() if answer.status != 200]
        filler.unlink()
        recovered = recovers(device, refused[-1], codes[refused[-1]])
        afterwards = {name: enroll(device, name, codes[name]) for name in names}
        alive = device.server.process.poll() is None

    assert refused, "the disk was never full"
    assert all(is_unavailable(answers[name]) for name in refused), answers
    assert meanwhile
    assert recovered
    assert alive
    assert {answer.status for answer in afterwards.values()} == {200}
    for name, answer in answers.items():
        if answer.status == 200:
            assert answer.certificate == afterwards[name].certificate
    for name in (names[0], refused[0], refused[-1]):
        check_nothing_is_half_done(installation, name, 1)
