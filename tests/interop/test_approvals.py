"""Requests that a person decides on, by curl and by strongSwan's pki, against a real server."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.device import Answer, Device
from tests.support.installation import Installation, Running
from tests.support.openssl import program
from tests.support.waiting import within

SECOND = 1.0
GROUP = ("--group", "decided")


@pytest.fixture(scope="module")
def decided(installation: Installation) -> Installation:
    """An installation with a group in which people decide."""
    settings = ("approval=manual", "renewal_approval=manual", "approval_retry_after=7s")
    installation.run("group", "add", "decided", *settings)
    return installation


@pytest.fixture
def device(tmp_path: Path, decided: Installation, server: Running) -> Device:
    return Device(folder=tmp_path, installation=decided, server=server)


def added(installation: Installation, name: str) -> str:
    """Register a device in that group and give what curl shows for it."""
    code = installation.json("device", "add", name, *GROUP)["code"]
    return f"{name}:{code}"


def pending(installation: Installation, name: str) -> list[str]:
    """Give the ids of the orders that a device waits for."""
    orders = installation.json("approval", "list")
    return [each["id"] for each in orders if each["device"] == name]


def is_told_to_wait(answer: Answer) -> bool:
    headers = [each.lower() for each in answer.headers.splitlines()]
    return (answer.status, answer.body) == (202, b"") and "retry-after: 7" in headers


def test_est_E4_curl_waits_and_a_running_server_sees_the_decision_at_once(device: Device) -> None:
    user = added(device.installation, "pump-1")
    first = device.post("simpleenroll", device.request("boot", "pump-1"), user=user)
    # Signed anew, as libest does it: the same key, other octets.
    again = device.post("simpleenroll", device.request("again", "pump-1", key="boot"), user=user)
    (order,) = pending(device.installation, "pump-1")

    device.installation.run("approval", "approve", order)

    def has_it() -> bool:
        answer = device.post("simpleenroll", device.request("boot", "pump-1"), user=user)
        return answer.status == 200 and bool(answer.certificate)

    assert is_told_to_wait(first)
    assert is_told_to_wait(again)
    assert within(SECOND, has_it)
    assert device.installation.json("device", "show", "pump-1")["state"] == "registered"


def test_est_E4_a_rejected_request_is_403_with_a_reason(device: Device) -> None:
    user = added(device.installation, "pump-2")
    body = device.request("boot", "pump-2")
    device.post("simpleenroll", body, user=user)
    (order,) = pending(device.installation, "pump-2")
    device.installation.run("approval", "reject", order, "--reason", "not on the list")

    refused = device.post("simpleenroll", body, user=user)
    other_key = device.post("simpleenroll", device.request("other", "pump-2"), user=user)

    assert refused.status == 403
    assert refused.body.startswith(b"This enrollment was rejected.")
    assert b"list" not in refused.body
    assert (other_key.status, other_key.body) == (401, b"")


def test_est_E4_strongswan_polls_until_somebody_decides(device: Device) -> None:
    user = added(device.installation, "swan-1")
    csr, key, out = (device.folder / each for each in ("a.der", "a.key", "a.pem"))
    pki = program("pki")
    made = subprocess.run(
        [pki, "--gen", "--type", "ecdsa", "--size", "256"], capture_output=True, check=True
    )
    key.write_bytes(made.stdout)
    asked = subprocess.run(
        [pki, "--req", "--type", "ecdsa", "--in", key, "--dn", "CN=swan-1"],
        capture_output=True,
        check=True,
    )
    csr.write_bytes(asked.stdout)
    issuing = device.folder / "issuing.pem"
    fetched = device.curl(f"http://{device.server.http}/ca/issuing.crt").body
    issuing.write_bytes(x509.load_der_x509_certificate(fetched).public_bytes(Encoding.PEM))
    words: list[str | Path] = ["--est", "--url", f"https://{device.server.https}", "--in", csr]
    words += ["--outform", "pem"]
    words += ["--cacert", device.installation.root, "--cacert", issuing, "--userpass", user]
    words += ["--interval", "1", "--maxpolltime", "30"]

    with out.open("wb") as target, subprocess.Popen([pki, *words], stdout=target) as polling:
        waits = within(20, lambda: bool(pending(device.installation, "swan-1")))
        (order,) = pending(device.installation, "swan-1")
        device.installation.run("approval", "approve", order)
        ended = polling.wait(30)

    certificate = x509.load_pem_x509_certificate(out.read_bytes())
    shown = device.installation.json("device", "show", "swan-1")["certificates"]
    assert (waits, ended) == (True, 0)
    assert [each["serial_number"] for each in shown] == [f"{certificate.serial_number:x}"]


def test_what_waits_is_counted_for_prometheus(device: Device) -> None:
    user = added(device.installation, "pump-4")
    device.post("simpleenroll", device.request("boot", "pump-4"), user=user)
    wanted = len(device.installation.json("approval", "list"))

    def is_counted() -> bool:
        metrics = device.curl(f"https://{device.server.management}/metrics").body.decode()
        return f"\nenroll_orders_pending {float(wanted)}\n" in metrics

    assert within(15, is_counted)
