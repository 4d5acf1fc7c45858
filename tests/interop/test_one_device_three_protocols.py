"""One device, by one protocol after the other: its record tells that story."""

import subprocess

import pytest
from cryptography import x509

from tests.interop.test_cmp import by_certificate, by_code, cmp, new_code, state_of, succeeded
from tests.support.device import Device
from tests.support.openssl import make_key, make_request, openssl, program

pytestmark = pytest.mark.interop
NAME = "pump-three"


def run(device: Device, *words: str) -> bytes:
    done = subprocess.run(
        [program(words[0]), *words[1:]], capture_output=True, check=False, cwd=device.folder
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def enroll_by_cmp(device: Device) -> None:
    key = make_key(device.folder / "first.key", "rsa-2048")
    words = ("-newkey", key, "-certout", "first.pem", "-subject", f"/CN={NAME}")
    code = new_code(device, NAME)
    succeeded(cmp(device, "ir", *by_code(NAME, code), *words))


def renew_by_est(device: Device) -> None:
    key = make_key(device.folder / "second.key", "rsa-2048")
    request = make_request(device.folder / "second.csr", key, subject=(f"CN={NAME}",))
    body = device.folder / "second.b64"
    body.write_bytes(openssl("base64", "-in", request))

    answer = device.post("simplereenroll", body, certificate="first")

    assert answer.status == 200
    device.keep("second", answer.certificate)


def renew_by_scep(device: Device) -> None:
    scep = ("pki", "--scep", "--url", f"http://{device.server.http}/scep", "--outform", "pem")
    authorities = ("--caout", "ca.pem", "--raout", "ra.pem", "--force")
    run(device, "pki", "--scepca", *scep[2:], *authorities)
    make_key(device.folder / "third.key", "rsa-2048")
    openssl(
        *("x509", "-in", device.folder / "second.pem"),
        *("-outform", "DER", "-out", device.folder / "second.der"),
    )
    trusted = ("--cacert-enc", "ra.pem", "--cacert-sig", "ra.pem")
    issuers = ("--cacert", "ca.pem", "--cacert", "ca-1.pem")
    held = ("--cert", "second.der", "--key", "second.key")

    pem = run(
        device,
        *(*scep, *trusted, *issuers, *held),
        *("--in", "third.key", "--dn", f"CN={NAME}"),
    )

    device.keep("third", x509.load_pem_x509_certificate(pem))


def test_one_device_is_enrolled_renewed_and_revoked_by_three_protocols(device: Device) -> None:
    enroll_by_cmp(device)
    renew_by_est(device)
    renew_by_scep(device)
    revocation = ("-oldcert", "third.pem", "-revreason", "1")
    succeeded(cmp(device, "rr", *by_certificate("third"), *revocation))

    found = device.installation.json("device", "show", NAME)["certificates"]
    attempts = device.installation.json("attempts")
    story = [each for each in reversed(attempts) if each["device"] == NAME]
    assert [(each["protocol"], each["operation"], each["outcome"]) for each in story] == [
        ("cmp", "ir", "issued"),
        ("cmp", "certConf", "confirmed"),
        ("est", "simplereenroll", "issued"),
        ("scep", "RenewalReq", "issued"),
        ("cmp", "rr", "revoked"),
    ]
    # The third had not been seen in use, so the second had not been superseded by it.
    assert [each["status"] for each in found] == ["revoked", "active", "superseded"]
    assert state_of(device, NAME) == "registered"
    device.installation.run("audit", "verify")
