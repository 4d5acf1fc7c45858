"""Several workers on the same addresses: what one learns, all know; what dies is replaced."""

import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from cryptography import x509

from tests.interop.test_open_connections import connection, renew
from tests.support.device import Device
from tests.support.installation import ENROLL, Installation, Running

WORKERS = 2
PATIENCE = 20.0


@pytest.fixture(scope="module")
def server(installation: Installation) -> Iterator[Running]:
    with installation.serve("--workers", str(WORKERS)) as running:
        yield running


def workers_of(server: Running) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something that comes by itself."""
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.02)


def events(server: Running, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{")
    return [line for line in lines if line.get("event") == name]


def all_listen(server: Running) -> bool:
    """Tell whether every worker that there is has started: one that starts reads the file too."""
    listening = {each["pid"] for each in events(server, "ready") if each["logger"] == "server"}
    present = {each.pid for each in workers_of(server)}
    return len(present) == WORKERS and present <= listening


def registered(device: Device, name: str) -> x509.Certificate:
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("boot", name), user=f"{name}:{code}")
    return device.keep("boot", answer.certificate)


def client_context(device: Device) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(device.installation.root))
    context.load_cert_chain(device.folder / "boot.pem", device.folder / "boot.key")
    return context


def test_security_S16_a_disable_holds_on_every_workers_open_connections(device: Device) -> None:
    certificate = registered(device, "w-disable")
    context = client_context(device)
    bodies = [device.renewal_request(f"n{number}", certificate) for number in range(16)]

    with ExitStack() as kept:
        held = [kept.enter_context(connection(device, context)) for _ in bodies]
        before = {renew(each, device.folder / "n0.b64") for each in held}
        device.installation.run("device", "disable", "w-disable", "--reason", "test")
        after = {renew(each, body) for each, body in zip(held, bodies, strict=True)}

    assert before == {200}
    assert after == {403}


def test_a_revocation_is_on_every_workers_list_within_a_second(device: Device) -> None:
    certificate = registered(device, "w-revoke")
    serial = f"{certificate.serial_number:x}"
    device.installation.run("certificate", "revoke", serial, "--reason", "superseded", "--yes")

    def listed() -> bool:
        url = f"http://{device.server.http}/crl/issuing.crl"
        lists = [x509.load_der_x509_crl(device.curl(url).body) for _ in range(6)]
        found = [
            crl.get_revoked_certificate_by_serial_number(certificate.serial_number) for crl in lists
        ]
        return None not in found

    until(listed, seconds=3.0)


def test_a_worker_that_dies_is_replaced(device: Device, server: Running) -> None:
    victim = workers_of(server)[0].pid

    os.kill(victim, signal.SIGKILL)

    until(lambda: victim not in {each.pid for each in workers_of(server)})
    until(lambda: len(workers_of(server)) == WORKERS)
    until(lambda: device.curl(f"{device.server.est}/cacerts").status == 200)
    assert events(server, "a worker died")[-1]["status"] == -signal.SIGKILL


def test_metrics_are_those_of_all_workers_together(device: Device, server: Running) -> None:
    def counted() -> float:
        text = device.curl(f"https://{server.management}/metrics").body.decode()
        line = 'enroll_exchanges_total{listener="http",mount="crl",status="200"} '
        return sum(float(each.removeprefix(line)) for each in text.splitlines() if line in each)

    before = counted()
    for _ in range(20):
        device.curl(f"http://{server.http}/crl/issuing.crl")

    assert [counted() for _ in range(4)] == [before + 20] * 4


def test_sighup_takes_new_tls_hosts_over_without_dropping_a_connection(
    device: Device, server: Running
) -> None:
    certificate = registered(device, "w-reload")
    bodies = [device.renewal_request(f"n{number}", certificate) for number in range(2)]
    configuration = device.installation.home / "enroll.toml"
    old = configuration.read_text()
    until(lambda: all_listen(server))  # One may have been killed before.
    reloads = len(events(server, "configuration reloaded"))

    with connection(device, client_context(device)) as opened:
        assert renew(opened, bodies[0]) == 200
        secured = opened.sock
        try:
            configuration.write_text(
                old.replace('hosts = ["127.0.0.1"]', 'hosts = ["127.0.0.1", "added.example"]')
            )
            os.kill(server.process.pid, signal.SIGHUP)
            until(lambda: len(events(server, "configuration reloaded")) == reloads + WORKERS)

            assert renew(opened, bodies[1]) == 200
            assert opened.sock is secured, "the connection was dropped"
            until(lambda: all("added.example" in _names(server) for _ in range(6)))
        finally:
            configuration.write_text(old)


def test_a_configuration_that_cannot_be_used_changes_nothing(
    device: Device, server: Running
) -> None:
    configuration = device.installation.home / "enroll.toml"
    old = configuration.read_text()
    until(lambda: all_listen(server))  # As above.
    refusals = len(events(server, "the configuration was not reloaded"))

    try:
        configuration.write_text(old + "\n[limits]\nconnection = 5\n")
        os.kill(server.process.pid, signal.SIGHUP)
        until(
            lambda: len(events(server, "the configuration was not reloaded")) == refusals + WORKERS
        )
    finally:
        configuration.write_text(old)

    assert "limits.connection" in str(events(server, "the configuration was not reloaded")[-1])
    assert device.curl(f"{device.server.est}/cacerts").status == 200


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")

    with installation.serve("--workers", str(WORKERS)) as running:
        workers = workers_of(running)
        running.process.kill()
        running.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE)

    assert not alive


def test_workers_that_cannot_start_leave_nothing_behind(tmp_path: Path) -> None:
    installation = Installation.initialize(tmp_path / "home")
    (installation.home / "keys" / "issuing.key").chmod(0o644)

    addresses = ("--https", "127.0.0.1:0", "--http", "", "--management", "")
    ended = subprocess.run(
        [*ENROLL, "--home", installation.home, "serve", "--workers", "2", *addresses],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "a worker did not start" in ended.stderr
    assert "chmod 600" in ended.stderr


def _names(server: Running) -> str:
    host, port = server.https.rsplit(":", 1)
    pem = ssl.get_server_certificate((host, int(port)))
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str([each.value for each in names])
