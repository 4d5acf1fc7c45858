"""rr with openssl's client at a running server: what the CRL and the next request know of it."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags

from tests.interop.test_cmp import (
    by_certificate,
    by_code,
    certificate,
    cmp,
    enroll,
    new_code,
    new_key,
    refused,
    state_of,
    succeeded,
)
from tests.support.device import Device
from tests.support.openssl import make_key, make_request, program
from tests.support.waiting import within

pytestmark = pytest.mark.interop


def provision(device: Device, name: str) -> None:
    """Get both certificates of a new device: NAME.pem and NAME-op.pem, with their keys."""
    enroll(device, name)
    words = (*new_key(device, f"{name}-op"), "-subject", f"/CN={name}")
    succeeded(cmp(device, "cr", *by_certificate(name), *words, profile="operational"))


def listed(device: Device, found: x509.Certificate) -> x509.RevokedCertificate | None:
    """Look a certificate up in the CRL that is served now."""
    crl = x509.load_der_x509_crl(device.curl(f"http://{device.server.http}/crl/issuing.crl").body)
    return crl.get_revoked_certificate_by_serial_number(found.serial_number)


def reason_of(entry: x509.RevokedCertificate | None) -> ReasonFlags | None:
    assert entry is not None
    reasons = [each.value.reason for each in entry.extensions if each.oid == x509.CRLReason.oid]
    return reasons[0] if reasons else None


@pytest.mark.parametrize(
    ("words", "reason"),
    [((), None), (("-revreason", "1"), ReasonFlags.key_compromise)],
    ids=["without a reason", "key compromise"],
)
def test_lifecycle_T24_a_device_revokes_its_certificate_and_is_refused_with_it(
    device: Device, words: tuple[str, ...], reason: ReasonFlags | None
) -> None:
    name = f"pump-r1{len(words)}"
    provision(device, name)
    own = f"{name}-op"
    before = state_of(device, name)

    said = succeeded(cmp(device, "rr", *by_certificate(own), "-oldcert", f"{own}.pem", *words))
    again = refused(cmp(device, "rr", *by_certificate(own), "-oldcert", f"{own}.pem", *words))
    renewal = refused(cmp(device, "kur", *by_certificate(own), *new_key(device, "no")))

    assert b"revocation accepted (PKIStatus=accepted)" in said
    assert b"PKIFailureInfo: certRevoked" in again
    assert b"PKIFailureInfo: certRevoked" in renewal
    assert (before, state_of(device, name)) == ("provisioned", "registered")
    assert within(10, lambda: listed(device, certificate(device, own)) is not None)
    assert reason_of(listed(device, certificate(device, own))) is reason


def test_a_certificate_is_held_and_released_by_another_of_the_device(device: Device) -> None:
    provision(device, "pump-r2")
    of_other = ("-oldcert", "pump-r2-op.pem", "-revreason")

    succeeded(cmp(device, "rr", *by_certificate("pump-r2"), *of_other, "6"))
    assert within(10, lambda: listed(device, certificate(device, "pump-r2-op")) is not None)
    entry = listed(device, certificate(device, "pump-r2-op"))
    succeeded(cmp(device, "rr", *by_certificate("pump-r2"), *of_other, "8"))

    assert reason_of(entry) is ReasonFlags.certificate_hold
    assert within(10, lambda: listed(device, certificate(device, "pump-r2-op")) is None)
    succeeded(cmp(device, "kur", *by_certificate("pump-r2-op"), *new_key(device, "next")))


def test_cmp_O6_a_certificate_of_another_device_is_not_revoked(device: Device) -> None:
    enroll(device, "pump-r3")
    enroll(device, "pump-r4")

    said = refused(cmp(device, "rr", *by_certificate("pump-r3"), "-oldcert", "pump-r4.pem"))

    assert b"PKIFailureInfo: badCertId" in said


def test_cmp_P12_a_revocation_under_a_mac_is_for_profiles_that_take_it(device: Device) -> None:
    options = ("--copy", "bootstrap", "--set", "cmp.mac_revocation=true")
    device.installation.run("profile", "add", "by-code", *options)
    code = new_code(device, "pump-r5")
    mac = by_code("pump-r5", code)
    url = f"http://{device.server.http}/cmp/by-code"
    assert within(10, lambda: device.curl(url).status == 405)
    words = (*new_key(device, "pump-r5"), "-subject", "/CN=pump-r5")
    succeeded(cmp(device, "ir", *mac, *words, path="cmp/by-code"))

    said = refused(cmp(device, "rr", *mac, "-oldcert", "pump-r5.pem"))
    succeeded(cmp(device, "rr", *mac, "-oldcert", "pump-r5.pem", path="cmp/by-code"))

    assert b"PKIFailureInfo: wrongIntegrity" in said
    (found,) = device.installation.json("device", "show", "pump-r5")["certificates"]
    assert found["status"] == "revoked"


def test_the_command_line_says_who_held_what(device: Device) -> None:
    provision(device, "pump-r6")
    serial = f"{certificate(device, 'pump-r6-op').serial_number:x}"
    succeeded(
        cmp(
            device,
            "rr",
            *by_certificate("pump-r6"),
            *("-oldcert", "pump-r6-op.pem", "-revreason", "6"),
        )
    )
    shown = device.installation.json("certificate", "show", serial)

    device.installation.run("certificate", "release", serial)

    identity = device.installation.json("device", "show", "pump-r6")["id"]
    assert (shown["status"], shown["held_by"]) == ("on_hold", f"device:{identity}")
    assert device.installation.json("certificate", "show", serial)["status"] == "active"


def test_one_device_over_three_protocols_leaves_one_story(device: Device) -> None:
    name, folder = "pump-story", device.folder
    keys = [make_key(folder / f"{each}.key", "rsa-2048") for each in ("boot", "est", "scep")]
    mac = by_code(name, new_code(device, name))

    words = ("-newkey", keys[0], "-certout", "boot.pem", "-subject", f"/CN={name}")
    succeeded(cmp(device, "ir", *mac, *words))
    request = folder / "est.b64"
    csr = make_request(folder / "est.csr", keys[1], subject=(f"CN={name}",))
    request.write_bytes(base64.encodebytes(csr.read_bytes()))
    renewed = device.post("simplereenroll", request, certificate="boot")
    device.keep("est", renewed.certificate)
    again = by_strongswan(device, name, keys[2], folder / "est.pem", keys[1])
    (folder / "scep.pem").write_bytes(again)
    said = succeeded(cmp(device, "rr", *by_certificate("scep"), "-oldcert", "scep.pem"))

    assert b"revocation accepted" in said
    told = device.installation.json("attempts")
    own = [each for each in reversed(told) if each["device"] == name]
    assert [(each["protocol"], each["operation"], each["outcome"]) for each in own] == [
        ("cmp", "ir", "issued"),
        ("cmp", "certConf", "confirmed"),
        ("est", "simplereenroll", "issued"),
        ("scep", "RenewalReq", "issued"),
        ("cmp", "rr", "revoked"),
    ]
    found = device.installation.json("device", "show", name)["certificates"]
    assert [each["status"] for each in found] == ["revoked", "active", "superseded"]
    serials = [f"{certificate(device, each).serial_number:x}" for each in ("scep", "est", "boot")]
    assert [each["serial_number"] for each in found] == serials


def by_strongswan(device: Device, name: str, key: Path, held: Path, held_key: Path) -> bytes:
    """Renew over SCEP; give the certificate, PEM."""
    url = f"http://{device.server.http}/scep"

    def pki(*words: str | Path) -> bytes:
        done = subprocess.run(
            [program("pki"), *map(str, words)], capture_output=True, check=False, cwd=device.folder
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    pki("--scepca", "--url", url, "--outform", "pem", "--caout", "ca.pem", "--raout", "ra.pem")
    trusted = ("--cacert-enc", "ra.pem", "--cacert-sig", "ra.pem", "--cacert", "ca.pem")
    shown = ("--cert", held, "--key", held_key, "--in", key, "--dn", f"CN={name}")
    return pki(
        *("--scep", "--url", url, "--outform", "pem", *trusted, "--cacert", "ca-1.pem"), *shown
    )
