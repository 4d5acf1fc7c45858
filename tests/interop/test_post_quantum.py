"""Devices and issuers with ML-DSA keys over TLS 1.3 with X25519MLKEM768, by OpenSSL 4."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)

from tests.support.csr import a_csr, a_key, a_name
from tests.support.installation import Installation, Running
from tests.support.openssl4 import Seen, ask, why_not_verified

ISSUERS = ("ml-dsa-65", "p-256")
HYBRID = "X25519MLKEM768"


@pytest.fixture(scope="module", params=ISSUERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, Running]]:
    home = tmp_path_factory.mktemp(request.param) / "home"
    installation = Installation.initialize(home, "--key-algorithm", request.param)
    with installation.serve() as running:
        yield installation, running


def post(
    served: tuple[Installation, Running],
    operation: str,
    csr: bytes,
    *,
    user: str = "",
    certificate: Path | None = None,
) -> Seen:
    """Send a CSR as an EST client does."""
    installation, running = served
    body = b64encode(csr)
    head = [
        f"POST /.well-known/est/{operation} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/pkcs10",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if user:
        head.append(f"Authorization: Basic {b64encode(user.encode()).decode()}")
    request = "\r\n".join(head).encode() + b"\r\n\r\n" + body
    return ask(running.https, installation.root, request, certificate)


def leaf_in(seen: Seen) -> x509.Certificate:
    assert seen.status == 200, seen.body
    (leaf,) = pkcs7.load_der_pkcs7_certificates(b64decode(seen.body))
    return leaf


def keep(folder: Path, name: str, kind: str, leaf: x509.Certificate) -> Path:
    """Store a certificate and its key as files for the next connection."""
    key = a_key(kind, hash(folder)).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(key)
    (folder / f"{name}.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    return folder / f"{name}.pem"


def certificate_of(installation: Installation, name: str) -> x509.Certificate:
    pem = (installation.home / "ca" / f"{name}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize("kind", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "p-256"])
def test_est_H10_a_device_enrolls_and_renews_with_a_key_of_ml_dsa(
    served: tuple[Installation, Running], tmp_path: Path, kind: str
) -> None:
    """The largest of these requests has 10 kB: well within what is read by default."""
    installation, _ = served
    name = f"pump-{kind}"
    code = installation.json("device", "add", name)["code"]
    csr = a_csr(a_key(kind, hash(tmp_path)), subject=a_name(name))

    enrolled = post(served, "simpleenroll", csr, user=f"{name}:{code}")
    held = keep(tmp_path, "bootstrap", kind, leaf_in(enrolled))
    operational = post(served, "operational/simpleenroll", a_csr(a_key(kind, -1)), certificate=held)
    renewed = post(
        served,
        "operational/simplereenroll",
        a_csr(a_key(kind, hash(tmp_path) + 1), subject=leaf_in(operational).subject),
        certificate=held,
    )

    for seen in (enrolled, operational, renewed):
        assert (seen.version, seen.group) == ("TLSv1.3", HYBRID)
    root, issuing = (certificate_of(installation, each) for each in ("root", "issuing"))
    for each in (leaf_in(enrolled), leaf_in(operational)):
        assert why_not_verified(each, roots=[root], between=[issuing]) is None
        each.verify_directly_issued_by(issuing)
    assert leaf_in(enrolled).public_key() == a_key(kind, hash(tmp_path)).public_key()


def test_est_H10_a_request_of_60_kb_is_a_matter_of_configuration(
    tmp_path: Path,
) -> None:
    """As large as SLH-DSA's: it is read where `limits.body_bytes` lets it, and judged."""
    installation = Installation.initialize(tmp_path / "home")
    code = installation.json("device", "add", "pump-1")["code"]
    label = ".".join(["x" * 60] * 4)
    csr = a_csr(names=[x509.DNSName(f"{each}.{label}") for each in range(225)])
    assert 55_000 < len(csr) < 61_440
    statuses = []

    for octets in ("65536", "131072"):
        with installation.serve(env={"ENROLL_LIMITS__BODY_BYTES": octets}) as running:
            seen = post((installation, running), "simpleenroll", csr, user=f"pump-1:{code}")
            statuses.append(seen.status)

    assert statuses == [413, 200]
