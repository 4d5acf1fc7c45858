"""What a running server tells of itself: enough for its operator, and never a secret (S19)."""

import base64
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.device import Device
from tests.support.installation import Installation, Running
from tests.support.openssl import make_key, make_request, to_base64
from tests.support.waiting import within

CANARY = "Canary7xSecretWord"
INPUT = "words-of-a-stranger"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Look into one SQLite file: what the database holds is the same on the other."""
    return Installation.initialize(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def server(installation: Installation) -> Iterator[Running]:
    with installation.serve() as running:
        yield running


def log_lines(server: Running) -> list[dict[str, Any]]:
    """Read the log, every line of which is one JSON object."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def stored(home: Path) -> bytes:
    """Read all that the database has on disk."""
    return b"".join(path.read_bytes() for path in sorted(home.glob("registry.db*")))


def management(device: Device, path: str, *words: str) -> Any:
    return device.curl(f"https://{device.server.management}{path}", *words)


def correlation_id(headers: str) -> str:
    found = re.search(r"^x-request-id: ([0-9a-f]{16})\r?$", headers, re.MULTILINE | re.IGNORECASE)
    assert found, headers
    return found[1]


def test_security_S19_no_secret_is_in_the_log_or_the_database(device: Device) -> None:
    code = device.installation.json("device", "add", "pump-s19")["code"]
    key = make_key(device.folder / "canary.key")
    csr = make_request(
        device.folder / "canary.der", key, subject=["CN=pump-s19"], challenge_password=CANARY
    )
    body = device.folder / "canary.b64"
    body.write_bytes(to_base64(csr.read_bytes()))
    plain = device.request("plain", "pump-s19")
    bearer = ("-H", "Content-Type: application/pkcs10", "-H", f"Authorization: Bearer {CANARY}")
    broken = ("-H", "Content-Type: application/pkcs10", "-H", "Authorization: Basic Canary7xSecret")
    hashed = (*bearer[:3], f'Authorization: Digest username="pump-s19", response="{CANARY}"')

    answers = [
        device.post("simpleenroll", body, user=f"pump-s19:{CANARY}"),
        # A challengePassword is taken for a channel binding, which this one is not.
        device.post("simpleenroll", body, user=f"pump-s19:{code}"),
        device.post("simpleenroll", plain, user=f"pump-s19:{code}"),
        device.post("simpleenroll", plain, options=hashed),
        device.post("simpleenroll", plain, options=bearer),
        device.post("simpleenroll", plain, options=broken),
        device.post(f"nowhere/simpleenroll?password={CANARY}", plain, user=f"pump-s19:{code}"),
        device.post("simpleenroll", plain, user=f"pump-s19:{code}", options=("-X", "PUT")),
    ]

    assert [each.status for each in answers] == [401, 400, 200, 400, 401, 401, 404, 405]
    pairs = [f"pump-s19:{secret}".encode() for secret in (CANARY, code)]
    secrets = {
        CANARY,
        "Canary7xSecret",
        code,
        code.replace("-", ""),
        *(base64.b64encode(each).decode() for each in pairs),
        base64.b64encode(CANARY.encode()).decode().rstrip("="),
    }
    log, database = device.server.log.read_bytes(), stored(device.installation.home)
    assert len(log) > 1_000
    assert b"pump-s19" in database
    for secret in secrets:
        assert secret.encode() not in log, secret
        assert secret.encode() not in database, secret


def test_every_exchange_is_one_line_under_the_id_that_its_sender_got(device: Device) -> None:
    answer = device.curl(f"{device.server.est}/cacerts?x=y")

    found = [
        each
        for each in log_lines(device.server)
        if each.get("correlation_id") == correlation_id(answer.headers)
    ]
    (line,) = found
    assert line["event"] == "served"
    assert (line["method"], line["status"], line["listener"]) == ("GET", 200, "https")
    assert line["path"] == "/.well-known/est/cacerts"
    assert line["peer"] == "127.0.0.1"
    assert line["ms"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])


def test_a_refusal_is_told_with_its_reason_under_the_same_id(device: Device) -> None:
    answer = device.post("simpleenroll", device.request("none", "x"))

    events = {
        each["event"]: each
        for each in log_lines(device.server)
        if each.get("correlation_id") == correlation_id(answer.headers)
    }
    assert set(events) == {"served", "refused"}
    assert events["refused"]["finding"] == "no_credential"


def test_a_hostile_path_stays_inside_its_line(device: Device) -> None:
    host, port = device.server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b'GET /"},{"event":"\x7f\\u0000%0a HTTP/1.0\r\n\r\n')
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 4")
    log_lines(device.server)


def test_the_management_listener_says_that_it_lives_is_ready_and_which_it_is(
    device: Device,
) -> None:
    for path in ("/livez", "/readyz"):
        answer = management(device, path)
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})
        assert "content-type: application/json" in answer.headers.lower()
        correlation_id(answer.headers)
    version = json.loads(management(device, "/version").body)
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version["version"])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/metrics"])
def test_est_H4_management_is_for_reading(device: Device, path: str) -> None:
    answer = management(device, path, "-X", "DELETE")

    assert answer.status == 405
    assert "allow: get, head" in answer.headers.lower()


def test_the_management_listener_serves_no_devices(device: Device) -> None:
    assert management(device, "/.well-known/est/cacerts").status == 404
    assert device.curl(f"https://{device.server.https}/metrics").status == 404


def test_the_figures_hold_words_of_ours_only(device: Device) -> None:
    device.post(f"{INPUT}/simpleenroll", device.request("m", INPUT), user=f"{INPUT}:x")
    device.curl(f"https://{device.server.https}/{INPUT}", "-X", "PROPFIND")
    device.curl(f"{device.server.est}/cacerts")

    figures = management(device, "/metrics").body.decode()

    assert INPUT not in figures
    assert "PROPFIND" not in figures
    for name in (
        'enroll_exchanges_total{listener="https",mount="est",status="200"}',
        'enroll_exchanges_total{listener="https",mount="",status="404"}',
        'enroll_exchange_seconds_bucket{le="0.1",mount="est"}',
        "enroll_enrollments_total",
        "enroll_handshake_failures_total",
        "enroll_connections",
        "enroll_crl_age_seconds",
        "enroll_build_info",
    ):
        assert name in figures


def test_est_H12_failures_slow_their_address_down_and_never_lock_the_device(
    tmp_path: Path, installation: Installation
) -> None:
    # Three failures in a row are one too many, so that the test need not fail a thousand times.
    limits = {
        "ENROLL_LIMITS__FAILURES_PER_ADDRESS": "3",
        "ENROLL_LIMITS__FAILURES_RECOVERED_PER_SECOND": "0.5",
    }
    code = installation.json("device", "add", "pump-h12")["code"]
    with installation.serve(env=limits) as limited:
        device = Device(folder=tmp_path, installation=installation, server=limited)
        body = device.request("boot", "pump-h12")

        answers = [device.post("simpleenroll", body, user="pump-h12:wrong") for _ in range(6)]

        assert {each.status for each in answers[:3]} == {401}
        assert answers[-1].status == 429
        assert re.search(r"(?im)^retry-after: [1-9]\d*\r?$", answers[-1].headers)
        assert re.search(r"(?im)^content-type: text/plain", answers[-1].headers)
        assert installation.json("device", "show", "pump-h12")["status"] == "enabled"

        def works_again() -> bool:
            return device.post("simpleenroll", body, user=f"pump-h12:{code}").status == 200

        assert within(20, works_again)


def test_the_pure_python_parser_refuses_alike(installation: Installation) -> None:
    requests = (
        b"GET /roots.pem HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /roots.pem HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
        b"GET /roots.pem HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"POST /crl HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
    )
    with installation.serve(env={"AIOHTTP_NO_EXTENSIONS": "1"}) as running:
        host, port = running.http.rsplit(":", 1)
        for request in requests:
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(request)
                answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"\r\nConnection: close\r\n" in answer


def test_a_server_that_is_asked_to_end_finishes_what_runs_and_ends_well(
    installation: Installation,
) -> None:
    with installation.serve() as running:
        host, port = running.http.rsplit(":", 1)
        with (
            socket.create_connection((host, int(port)), timeout=20) as idle,
            socket.create_connection((host, int(port)), timeout=20) as begun,
        ):
            idle.sendall(b"GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(65_536).startswith(b"HTTP/1.1 200 ")
            begun.sendall(
                b"GET /roots.pem HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                b"Expect: 100-continue\r\n\r\n"
            )
            assert begun.recv(65_536).startswith(b"HTTP/1.1 100 ")

            running.process.send_signal(signal.SIGTERM)

            assert idle.recv(65_536) == b""
            begun.sendall(b"ab")
            answer = begun.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nConnection: close\r\n" in answer
            assert running.process.wait(20) == 0
