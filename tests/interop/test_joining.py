"""Devices that register themselves: the recipe of docs/operations.md as pasted, and its kin."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.architecture.source import ROOT
from tests.support.device import Device
from tests.support.openssl import make_key, program
from tests.support.waiting import within

pytestmark = pytest.mark.interop
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MAKER = ROOT / "openssl-fixtures" / "devices"


def recipe(title: str) -> list[str]:
    """Give the commands under a heading, block by block."""
    section = PAGE[PAGE.index(f"### {title}") :].partition("\n### ")[0].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def paste(device: Device, lines: str) -> str:
    """Have a shell read the lines as if they were typed, and give what it printed."""
    program("openssl")
    folder = device.folder / "bin"
    folder.mkdir(exist_ok=True)
    enroll = folder / "enroll"
    home = device.installation.home
    enroll.write_text(f'#!/bin/sh\nexec {sys.executable} -m server.cli --home "{home}" "$@"\n')
    enroll.chmod(0o755)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=lines,
        cwd=device.folder,
        env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shown(device: Device, name: str) -> Any:
    return device.installation.json("device", "show", name)


def last_finding(device: Device) -> str:
    return str(device.installation.json("attempts", "--limit", "1")[0]["finding"])


@pytest.fixture
def bench(device: Device) -> Device:
    """Set the bench up by the recipe, once for an installation; its secret is in bench.secret."""
    kept = device.installation.home.parent / "bench.secret"
    if not kept.exists():
        setting_up, _ = recipe("A test bench")
        paste(device, setting_up)
        kept.write_bytes((device.folder / "bench.secret").read_bytes())
        caps = f"http://{device.server.http}/scep/bench?operation=GetCACaps"
        assert within(10, lambda: device.curl(caps).status == 200)
    (device.folder / "bench.secret").write_bytes(kept.read_bytes())
    (device.folder / "roots.pem").write_bytes(device.installation.root.read_bytes())
    return device


def test_lifecycle_T05_one_reference_serves_the_subjects_of_a_bench_over_cmp(bench: Device) -> None:
    _, on_the_bench = recipe("A test bench")

    paste(bench, on_the_bench.replace("localhost:8080", bench.server.http))

    for name in ("dut-1", "dut-2", "dut-3"):
        got = x509.load_pem_x509_certificate((bench.folder / f"{name}.pem").read_bytes())
        assert got.subject.rfc4514_string() == f"CN={name}"
        known = shown(bench, name)
        assert (known["state"], known["group"]) == ("registered", "bench")
    (secret,) = bench.installation.json("group", "secret", "list", "bench")
    assert secret["uses"] >= 3
    events = json.dumps(bench.installation.run("audit", "export"))
    assert events.count("device.auto_provisioned") >= 3


def test_lifecycle_T05_a_name_that_is_held_is_not_taken_over_over_cmp(bench: Device) -> None:
    secret = (bench.folder / "bench.secret").read_text().strip()
    address = ("-server", f"{bench.server.http}/.well-known/cmp/p/bench")
    words = ("-ref", "bench", "-secret", f"pass:{secret}", "-subject", "/CN=held-1")
    trusted = ("-trusted", str(bench.installation.root))

    def ir(key: str) -> int:
        made = make_key(bench.folder / key)
        command = ["cmp", "-cmd", "ir", *address, *words, *trusted]
        return subprocess.run(
            [program("openssl"), *command, "-newkey", made, "-certout", "got.pem"],
            capture_output=True,
            check=False,
            cwd=bench.folder,
        ).returncode

    assert ir("first.key") == 0
    assert ir("second.key") != 0
    assert last_finding(bench) == "clone_suspected"
    assert len(shown(bench, "held-1")["certificates"]) == 1


def test_lifecycle_T03_a_device_that_waits_is_let_in_while_it_polls_over_cmp(
    bench: Device,
) -> None:
    bench.installation.run("group", "add", "screened", "--copy", "bench", "device_approval=auto")
    bench.installation.run("group", "set", "screened", "approval_retry_after=1s")
    made = bench.installation.json("group", "secret", "add", "screened", "--reference", "screened")
    address = ("-server", f"{bench.server.http}/.well-known/cmp/p/bench")
    words = ("-ref", "screened", "-secret", f"pass:{made['secret']}", "-subject", "/CN=late-1")
    key = make_key(bench.folder / "late.key")
    command = ["cmp", "-cmd", "ir", *address, *words, "-trusted", str(bench.installation.root)]

    def waits() -> bool:
        found = bench.installation.call("device", "show", "late-1", "-o", "json")
        return found.returncode == 0 and json.loads(found.stdout)["state"] == "pending_approval"

    with subprocess.Popen(
        [program("openssl"), *command, "-newkey", key, "-certout", "late.pem"],
        cwd=bench.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as client:
        assert within(20, waits)
        bench.installation.run("device", "approve", "late-1")
        assert client.wait(30) == 0

    assert shown(bench, "late-1")["state"] == "registered"


def test_lifecycle_T05_a_device_joins_over_est_by_the_reference_as_user_name(
    bench: Device,
) -> None:
    secret = (bench.folder / "bench.secret").read_text().strip()
    body = bench.request("new", "dut-est")

    answer = bench.post("bench/simpleenroll", body, user=f"bench:{secret}")
    other = bench.post("bench/simpleenroll", body, user=f"dut-est:{secret}")

    assert answer.status == 200
    assert answer.certificate.subject.rfc4514_string() == "CN=dut-est"
    assert shown(bench, "dut-est")["state"] == "registered"
    assert other.status == 401


def test_lifecycle_T05_a_device_joins_over_scep_by_the_challenge_password(bench: Device) -> None:
    secret = (bench.folder / "bench.secret").read_text().strip()
    url = f"http://{bench.server.http}/scep/bench"
    folder = bench.folder
    get = ("pki", "--scepca", "--url", url, "--outform", "pem", "--force")
    _run([*get, "--caout", "ca.pem", "--raout", "ra.pem"], folder)
    key = folder / "swan.key"
    _run(["openssl", "genrsa", "-out", str(key), "2048"], folder)
    asked = ("--in", str(key), "--dn", "CN=dut-scep", "--password", secret)
    trusted = ("--cacert-enc", "ra.pem", "--cacert-sig", "ra.pem")
    chain = ("--cacert", "ca.pem", "--cacert", "ca-1.pem")

    got = _run(
        ["pki", "--scep", "--url", url, "--outform", "pem", *trusted, *chain, *asked], folder
    )

    assert x509.load_pem_x509_certificate(got).subject.rfc4514_string() == "CN=dut-scep"
    assert shown(bench, "dut-scep")["state"] == "registered"


def test_lifecycle_T05_a_device_joins_over_est_by_its_makers_certificate(device: Device) -> None:
    root = str(MAKER / "maker-root.pem")
    lines = recipe("A maker's devices, unseen")[0].replace("maker.pem", root)
    chain = b"".join(
        (MAKER / f"{each}.pem").read_bytes() for each in ("idevid", "maker-intermediate")
    )
    (device.folder / "factory.pem").write_bytes(chain)
    key = ROOT / "openssl-fixtures" / "keys" / "idevid.pem"
    (device.folder / "factory.key").write_bytes(key.read_bytes())
    body = device.request("boot", "anything")
    refused = device.post("simpleenroll", body, certificate="factory")

    paste(device, lines)

    assert refused.status in {401, 403}
    assert within(
        10, lambda: device.post("simpleenroll", body, certificate="factory").status == 200
    )
    known = shown(device, "SN-00817")
    assert known["state"] == "registered"
    assert {each["kind"] for each in known["identities"]} >= {"serial_number", "idevid_cert_sha256"}


def _run(words: list[str], folder: Path) -> bytes:
    done = subprocess.run(
        [program(words[0]), *words[1:]], capture_output=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
