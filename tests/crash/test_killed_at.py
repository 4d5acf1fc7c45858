"""A server killed between decode, sign, commit and answer leaves a whole enrollment, or none."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from server.home import Home
from tests.crash.victim import POINTS
from tests.support.device import Device
from tests.support.installation import Installation, when_ready
from tests.support.lint import check_home
from tests.support.postgresql import DATABASES, database_options


@pytest.fixture(scope="module", params=DATABASES)
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp(request.param) / "home"
    with database_options(request.param) as options:
        made = Installation.initialize(home, *options)
        yield made
        check_home(Home(made.home))


def killed_at(point: str, installation: Installation, folder: Path) -> str:
    """Let a server die at this point of a device's enrollment; give what it showed."""
    name = f"killed-{point}"
    code = installation.json("device", "add", name)["code"]
    ready = installation.home / "ready.json"
    ready.unlink(missing_ok=True)
    log = installation.home / "server.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.victim", str(installation.home), point],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
    device = Device(
        folder=folder, installation=installation, server=when_ready(process, ready, log)
    )
    body = device.request("boot", name)
    with pytest.raises(AssertionError, match="curl: "):  # It has no answer to show.
        device.post("simpleenroll", body, user=f"{name}:{code}")
    assert process.wait(30) == -signal.SIGKILL
    return f"{name}:{code}"


@pytest.mark.parametrize("point", POINTS)
def test_security_S1_nothing_is_half_done_whenever_the_server_dies(
    point: str, installation: Installation, tmp_path: Path
) -> None:
    user = killed_at(point, installation, tmp_path)
    name = f"killed-{point}"
    found = installation.json("device", "show", name)
    kept = [each["fingerprint"] for each in found["certificates"]]

    with installation.serve() as running:
        again = Device(folder=tmp_path, installation=installation, server=running)
        answer = again.post("simpleenroll", tmp_path / "boot.b64", user=user)

    committed = point == "committed"
    assert (found["state"], len(kept)) == (("registered", 1) if committed else ("enrolled", 0))
    assert answer.status == 200, answer.body
    received = answer.certificate.fingerprint(hashes.SHA256()).hex()
    shown = installation.json("device", "show", name)
    assert shown["state"] == "registered"
    assert [each["fingerprint"] for each in shown["certificates"]] == [received]
    assert not committed or kept == [received]
    assert installation.json("audit", "verify")["ok"]
