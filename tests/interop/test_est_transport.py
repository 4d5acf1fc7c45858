"""EST's transport as openssl and curl see it: versions, suites, and certificates of clients."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from server.home import Home
from tests.support.device import Device
from tests.support.installation import Installation
from tests.support.lint import check_home
from tests.support.openssl import program

pytestmark = pytest.mark.interop
ANY_STRENGTH = "ALL:COMPLEMENTOFALL@SECLEVEL=0"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite: where the registry is does not matter here."""
    made = Installation.initialize(tmp_path_factory.mktemp("site") / "home")
    yield made
    check_home(Home(made.home))


def s_client(device: Device, *words: str | Path, typed: str = "") -> tuple[int, str]:
    """Connect with openssl, type something, and give its exit code and all that it said."""
    done = subprocess.run(
        [
            *(program("openssl"), "s_client", "-connect", device.server.https),
            *("-CAfile", device.installation.root, "-verify_return_error", *words),
        ],
        input=typed.encode(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def registered(device: Device, name: str) -> x509.Certificate:
    code = device.installation.json("device", "add", name)["code"]
    answer = device.post("simpleenroll", device.request("boot", name), user=f"{name}:{code}")
    return device.keep("boot", answer.certificate)


def stranger(device: Device, name: str) -> None:
    """Give the device a certificate of a CA that nobody here knows."""
    made = trustme.CA().issue_cert(f"{name}.example", common_name=name)
    made.cert_chain_pems[0].write_to_path(device.folder / "rogue.pem")
    made.private_key_pem.write_to_path(device.folder / "rogue.key")


def last(device: Device) -> str:
    return str(device.installation.json("attempts", "--limit", "1")[0]["finding"])


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_est_T1_old_versions_of_tls_end_in_an_alert(device: Device, version: str) -> None:
    code, said = s_client(device, version, "-cipher", ANY_STRENGTH)

    assert code != 0
    assert "alert protocol version" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_est_T2_tls_1_2_and_1_3_are_spoken(device: Device, version: str) -> None:
    code, said = s_client(device, version, typed="Q\n")

    assert code == 0, said
    assert "Verification: OK" in said


@pytest.mark.parametrize(
    "suite",
    [
        *("NULL", "aNULL", "ECDHE-ECDSA-NULL-SHA", "AECDH-AES256-SHA", "PSK-AES256-GCM-SHA384"),
        *("AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256"),
        "DHE-RSA-AES256-GCM-SHA384",
    ],
)
def test_est_T3_weak_suites_alone_end_in_an_alert(device: Device, suite: str) -> None:
    words = ("-psk", "1a2b3c4d") if suite.startswith("PSK") else ()

    code, said = s_client(device, "-tls1_2", "-cipher", f"{suite}@SECLEVEL=0", *words)

    assert code != 0
    assert "handshake failure" in said


def test_est_T5_ca_certificates_need_no_certificate(device: Device) -> None:
    assert device.curl(f"{device.server.est}/cacerts").status == 200


def test_est_T5_a_certificate_is_asked_for_and_any_is_taken(device: Device) -> None:
    stranger(device, "pump-t5")

    code, said = s_client(
        device,
        *("-cert", device.folder / "rogue.pem", "-key", device.folder / "rogue.key"),
        typed="Q\n",
    )
    answer = device.curl(
        f"{device.server.est}/cacerts",
        *("--cert", str(device.folder / "rogue.pem"), "--key", str(device.folder / "rogue.key")),
    )

    assert code == 0, said
    assert "Requested Signature Algorithms" in said, "no certificate was asked for"
    assert answer.status == 200


def test_est_T6_a_certificate_of_an_unknown_ca_is_refused_with_a_reason(device: Device) -> None:
    stranger(device, "pump-t6")
    body = device.request("k", "pump-t6")

    renewal = device.post("simplereenroll", body, certificate="rogue")
    renewal_finding = last(device)
    first = device.post("operational/simpleenroll", body, certificate="rogue")

    assert (renewal.status, first.status) == (403, 403)
    assert renewal_finding == last(device) != "None"


def test_est_T6_a_stranger_who_may_yet_show_a_code_is_asked_for_it(device: Device) -> None:
    stranger(device, "pump-t6c")

    answer = device.post("simpleenroll", device.request("k", "pump-t6c"), certificate="rogue")

    assert (answer.status, answer.body) == (401, b"")
    assert "www-authenticate: basic" in answer.headers.lower()


def test_est_T6_a_revoked_certificate_is_refused_with_a_reason(device: Device) -> None:
    certificate = registered(device, "pump-t6r")
    device.installation.run(
        *("certificate", "revoke", f"{certificate.serial_number:x}"),
        *("--reason", "privilegeWithdrawn", "--yes"),
    )

    answer = device.post(
        "simplereenroll", device.renewal_request("n", certificate), certificate="boot"
    )

    assert answer.status == 403
    assert last(device) == "certificate_revoked"


def test_est_T10_tls_srp_is_not_spoken(device: Device) -> None:
    words = ("-srpuser", "pump-1", "-srppass", "pass:secret")

    code, said = s_client(device, "-tls1_2", "-cipher", "SRP@SECLEVEL=0", *words)

    assert code != 0
    assert "handshake failure" in said


def test_est_T16_a_certificate_is_asked_for_in_the_handshake_and_never_after(
    device: Device,
) -> None:
    request = "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    _, said = s_client(device, "-tls1_3", "-enable_pha", "-msg", "-ign_eof", typed=request)

    assert "200 OK" in said
    assert said.count("CertificateRequest") == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        *("/.well-known/est", "/.well-known/est/", "/.well-known//est/cacerts/"),
        *("/.well-known/est/cacerts", "/.well-known/est/nowhere/simpleenroll", "/.well-known/"),
        *("/.well-known/est/simpleenroll", "/.well-known/est/bootstrap/csrattrs/", "/"),
    ],
)
def test_est_T17_nobody_is_sent_elsewhere(device: Device, path: str, method: str) -> None:
    answer = device.curl(f"https://{device.server.https}{path}", "-X", method, "-d", "x")

    assert not 300 <= answer.status < 400
    assert "\nlocation:" not in answer.headers.lower()


def test_est_T20_no_session_is_resumed(device: Device) -> None:
    code, said = s_client(device, "-tls1_2", "-reconnect", typed="Q\n")

    assert code == 0, said
    assert said.count("New, TLSv1.2") == 6, "openssl connects once, and five times again"
    assert "Reused" not in said


def test_est_T21_a_client_cannot_renegotiate(device: Device) -> None:
    code, said = s_client(device, "-tls1_2", typed="R\nGET /roots.pem HTTP/1.0\n\n")

    assert code != 0 or "no renegotiation" in said
    assert "200 OK" not in said
    assert "BEGIN CERTIFICATE" not in said.split("RENEGOTIATING")[-1]
