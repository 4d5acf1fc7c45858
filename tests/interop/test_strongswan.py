"""strongSwan's `pki --est` and `pki --estca`: an EST client with a TLS stack of its own."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.device import Device
from tests.support.openssl import program

pytestmark = pytest.mark.interop


def pki(*words: str | Path) -> bytes:
    """Run `pki`, which has to succeed; its plugins' complaints on standard error are usual."""
    done = subprocess.run(
        [program("pki"), *(str(each) for each in words)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def issuing(device: Device) -> Path:
    """Put the issuing CA where `pki` wants it: it asks for the whole chain."""
    der = device.curl(f"http://{device.server.http}/ca/issuing.crt").body
    path = device.folder / "issuing.pem"
    path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    return path


def request(device: Device, name: str, subject: str) -> Path:
    key = device.folder / f"{name}.key"
    key.write_bytes(pki("--gen", "--type", "ecdsa", "--size", "256", "--outform", "der"))
    path = device.folder / f"{name}.der"
    path.write_bytes(
        pki("--req", "--type", "ecdsa", "--in", key, "--dn", subject, "--outform", "der")
    )
    return path


def est(device: Device, issuing: Path, csr: Path, *words: str | Path) -> bytes:
    return pki(
        "--est",
        "--url",
        f"https://{device.server.https}",
        "--in",
        csr,
        "--cacert",
        device.installation.root,
        "--cacert",
        issuing,
        "--outform",
        "pem",
        *words,
    )


def test_est_C1_estca_fetches_the_ca_certificates(device: Device) -> None:
    out = device.folder / "ca.pem"

    pki(
        "--estca",
        "--url",
        f"https://{device.server.https}",
        "--cacert",
        device.installation.root,
        "--caout",
        out,
        "--outform",
        "pem",
        "--force",
    )

    fetched = sorted(device.folder.glob("ca*.pem"))
    root = x509.load_pem_x509_certificate(device.installation.root.read_bytes())
    assert any(root in x509.load_pem_x509_certificates(each.read_bytes()) for each in fetched)


def test_est_E1_and_E6_est_enrolls_by_code_and_renews_by_certificate(
    device: Device, issuing: Path
) -> None:
    code = device.installation.json("device", "add", "swan-1")["code"]

    first = est(device, issuing, request(device, "a", "CN=swan-1"), "--userpass", f"swan-1:{code}")
    certificate = device.folder / "a.pem"
    certificate.write_bytes(first)
    renewed = est(
        device,
        issuing,
        request(device, "b", "CN=swan-1"),
        "--cert",
        certificate,
        "--key",
        device.folder / "a.key",
    )

    one, two = (x509.load_pem_x509_certificate(each) for each in (first, renewed))
    assert one.subject == two.subject
    assert one.serial_number != two.serial_number
    assert device.installation.json("device", "show", "swan-1")["state"] == "registered"


def test_est_T8_est_is_told_no(device: Device, issuing: Path) -> None:
    device.installation.run("device", "add", "swan-2")
    csr = request(device, "a", "CN=swan-2")

    with pytest.raises(AssertionError, match="401"):
        est(device, issuing, csr, "--userpass", "swan-2:AAAA-AAAA-AAAA-AAAA-AAAA")
