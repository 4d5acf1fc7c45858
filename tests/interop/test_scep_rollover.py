"""SCEP while a CA is about to follow: openssl verifies what is told of it, strongSwan enrolls."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.support.device import Device
from tests.support.installation import Installation
from tests.support.openssl import make_key, openssl, program
from tests.support.waiting import within

pytestmark = pytest.mark.interop
SOON = 20.0
"""A next CA is told of three seconds after its RA was made; a busy machine gets more."""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Give a device of an installation of its own, whose next CA is published."""
    installation = Installation.initialize(tmp_path / "home")
    with installation.serve() as server:
        device = Device(folder=tmp_path, installation=installation, server=server)
        assert device.curl(f"{url_of(device)}?operation=GetNextCACert").status == 404
        installation.run("issuer", "rollover", "prepare")
        installation.run("issuer", "rollover", "publish")
        assert within(SOON, lambda: b"GetNextCACert\n" in capabilities(device))
        yield device


def url_of(device: Device) -> str:
    return f"http://{device.server.http}/scep"


def capabilities(device: Device) -> bytes:
    return device.curl(f"{url_of(device)}?operation=GetCACaps").body


def told(device: Device) -> dict[str, Path]:
    """Ask for the next CA, have openssl verify it for the old root, and keep what is in it."""
    answer = device.curl(f"{url_of(device)}?operation=GetNextCACert")
    assert answer.status == 200
    assert "application/x-x509-next-ca-cert" in answer.headers
    message, content = device.folder / "next.p7", device.folder / "next.der"
    message.write_bytes(answer.body)
    openssl(
        *("cms", "-verify", "-inform", "DER", "-in", message, "-binary", "-out", content),
        *("-purpose", "any", "-CAfile", device.installation.home / "ca" / "root.pem"),
    )
    found = {}
    for number, each in enumerate(pkcs7.load_der_pkcs7_certificates(content.read_bytes())):
        name = "RA" if isinstance(each.public_key(), rsa.RSAPublicKey) else common_name(each)
        found[name] = device.folder / f"next-{number}.pem"
        found[name].write_bytes(each.public_bytes(Encoding.PEM))
    return found


def common_name(certificate: x509.Certificate, *, issuer: bool = False) -> str:
    name = certificate.issuer if issuer else certificate.subject
    return str(name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def test_scep_30_and_56_strongswan_enrolls_with_the_next_ca_that_openssl_verified(
    device: Device,
) -> None:
    following = told(device)
    assert {"RA", "Test Issuing CA 2", "Test Root CA"} == following.keys()
    installation, home = device.installation, device.installation.home / "ca"
    fetched = device.folder / "present.pem"
    run(
        *("pki", "--scepca", "--url", url_of(device), "--outform", "pem", "--force"),
        *("--caout", device.folder / "ca.pem", "--raout", fetched),
        cwd=device.folder,
    )

    by_next = enroll(
        *(device, "early", following["RA"]),
        *(home / "root-2.pem", following["Test Issuing CA 2"]),
    )
    by_present = enroll(device, "usual", fetched, home / "root.pem", home / "issuing.pem")
    installation.run("issuer", "rollover", "activate")
    assert within(SOON, lambda: b"GetNextCACert\n" not in capabilities(device))
    afterwards = enroll(
        *(device, "late", following["RA"]),
        *(home / "root-2.pem", following["Test Issuing CA 2"]),
    )

    assert common_name(by_next, issuer=True) == "Test Issuing CA 2"
    assert common_name(by_present, issuer=True) == "Test Issuing CA"
    assert common_name(afterwards, issuer=True) == "Test Issuing CA 2"


def enroll(device: Device, name: str, ra: Path, *authorities: Path) -> x509.Certificate:
    """Enroll by strongSwan, sealed to this RA."""
    code = device.installation.json("device", "add", name)["code"]
    key = make_key(device.folder / f"{name}.key", "rsa-2048")
    anchors = [word for each in authorities for word in ("--cacert", each)]
    printed = run(
        *("pki", "--scep", "--url", url_of(device), "--outform", "pem", "--in", key),
        *("--cacert-enc", ra, "--cacert-sig", ra, *anchors),
        *("--dn", f"CN={name}", "--password", code),
        cwd=device.folder,
    )
    return x509.load_pem_x509_certificate(printed)


def run(*words: str | Path, cwd: Path) -> bytes:
    done = subprocess.run(
        [program(str(words[0])), *map(str, words[1:])], capture_output=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
