"""A newcomer's way: what `enroll run` prints and README.md says, pasted into a shell."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from server.home import Home
from tests.support.device import Device
from tests.support.installation import ENROLL, Installation
from tests.support.lint import check_home
from tests.support.openssl import program

pytestmark = pytest.mark.interop
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(enroll [a-z]+[^`]*)`", README + OPERATIONS)))
FREE = ("--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--management", "127.0.0.1:0")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite: where the registry is does not matter here."""
    made = Installation.initialize(tmp_path_factory.mktemp("site") / "home")
    yield made
    check_home(Home(made.home))


def pasted(lines: str, folder: Path, env: Mapping[str, str]) -> str:
    """Have a shell read the lines as if they were typed, and give what it printed."""
    program("curl"), program("openssl")
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=lines,
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def demo(home: Path) -> Iterator[str]:
    """Begin as `make run` does, and give what is printed."""
    with subprocess.Popen(
        [*ENROLL, "--home", home, "run", *FREE],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Ctrl-C"):
                break
        try:
            yield "".join(printed)
        finally:
            process.terminate()
            _, errors = process.communicate()
    assert printed, errors


def test_what_run_prints_takes_the_demo_device_through_its_life(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    folder = tmp_path / "device"
    folder.mkdir()

    with demo(home) as printed:
        lines = printed[printed.index("# 1.") : printed.index("# Over SCEP")]
        shown = pasted(lines, folder, {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)})
        device = Installation(home=home).json("device", "show", "demo-1")

    root = re.search(r"^Fingerprint +([0-9a-f]{64})", printed, re.MULTILINE)
    assert root is not None
    assert re.search(r"^EST +https://localhost:\d+/\.well-known/est$", printed, re.MULTILINE)
    assert shown.count("subject=CN = demo-1") == 3
    assert '"state": "provisioned"' in shown
    assert device["state"] == "provisioned"
    assert [each["profile"] for each in device["certificates"]] == [
        "operational",
        "operational",
        "bootstrap",
    ]


def test_run_begins_again_where_it_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with demo(home) as printed:
        first = re.findall(r"^Fingerprint.*$", printed, re.MULTILINE)

    with demo(home) as printed:
        second = re.findall(r"^Fingerprint.*$", printed, re.MULTILINE)
        again = "Device demo-1 is enrolled" in printed

    assert (first, again) == (second, True)
    assert len(Installation(home=home).json("device", "list")) == 3


def test_run_makes_a_home_whose_crl_addresses_are_where_it_listens(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = f"127.0.0.1:{taken.getsockname()[1]}"

        ended = subprocess.run(
            [*ENROLL, "--home", home, "run", *FREE, "--http", http],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 1, "it cannot listen there, and has made the home by then"
    issuing = x509.load_pem_x509_certificate((home / "ca" / "issuing.pem").read_bytes())
    points = issuing.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (point,) = (name.value for each in points for name in each.full_name or ())
    assert point == f"http://localhost:{http.rpartition(':')[2]}/crl/root.crl"


def test_what_run_prints_enrolls_a_device_over_scep(tmp_path: Path) -> None:
    program("pki")
    home = tmp_path / "home"
    folder = tmp_path / "device"
    folder.mkdir()

    with demo(home) as printed:
        lines = printed[printed.index("# Over SCEP") : printed.index("# Over CMP")]
        shown = pasted(lines, folder, {"PATH": "/usr/bin:/bin"})
        device = Installation(home=home).json("device", "show", "demo-scep")

    assert "subject=CN = demo-scep" in shown
    assert device["state"] == "registered"


def test_what_run_prints_enrolls_a_device_over_cmp(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    folder = tmp_path / "device"
    folder.mkdir()

    with demo(home) as printed:
        lines = printed[printed.index("# Over CMP") : printed.index("Ctrl-C")]
        shown = pasted(lines, folder, {"PATH": "/usr/bin:/bin"})
        device = Installation(home=home).json("device", "show", "demo-cmp")

    assert "subject=CN = demo-cmp" in shown
    assert device["state"] == "registered"


def test_the_readmes_steps_lead_to_a_provisioned_device(device: Device, tmp_path: Path) -> None:
    home = device.installation.home
    steps = README[README.index("## Step by step") : README.index("## When something is refused")]
    first, *others = re.findall(r"^```\n(.*?)^```$", steps, re.DOTALL | re.MULTILINE)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (tmp_path / "enroll-home").symlink_to(home)
    enroll = bin_folder / "enroll"
    enroll.write_text(f'#!/bin/sh\nexec {sys.executable} -m server.cli --home "{home}" "$@"\n')
    enroll.chmod(0o755)
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    (add,) = re.findall(r"^(enroll device add [^#\n]+)", first, re.MULTILINE)

    added = json.loads(pasted(f"{add} -o json", tmp_path, env))
    for block in others:
        lines = block.replace("CODE", added["code"])
        pasted(lines.replace("localhost:8443", device.server.https), tmp_path, env)

    shown = device.installation.json("device", "show", added["name"])
    assert shown["state"] == "provisioned"
    assert len(shown["certificates"]) == 3


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line[:50])
def test_every_command_of_the_documents_is_one(line: str, installation: Installation) -> None:
    words = [word for word in line.split()[1:] if word.islower() and word.isascii()]
    verb = []
    for word in words:
        if word.startswith("-") or "=" in word:
            break
        verb.append(word)

    ended = installation.call(*verb[:3], "--help")

    assert ended.returncode == 0, line
    for option in re.findall(r"--[a-z-]+", line):
        assert option in ended.stdout, line
