"""Requests as a listener would hand them to a protocol."""

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from multidict import CIMultiDict

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.options import ServerKeyGeneration
from enroll.profiles import CertificateClass, EnrollmentProfile
from enroll.requirements import RequestRequirements
from enroll.result import Issued
from protocols.wire import TransportFault, WireRequest
from tests.support.csr import a_csr, a_key, a_name
from tests.support.fakes import START

PKCS10_HEADERS = MappingProxyType({"Content-Type": "application/pkcs10"})


def a_wire(
    path: str = "simpleenroll",
    *,
    method: str = "POST",
    body: bytes | None = None,
    headers: dict[str, str] | MappingProxyType[str, str] = PKCS10_HEADERS,
    peer_chain: tuple[bytes, ...] = (),
    fault: TransportFault | None = None,
) -> WireRequest:
    """Make an enrollment in base64, or whatever else is asked for."""
    return WireRequest(
        method=method,
        path=path,
        query="",
        headers=CIMultiDict(headers),
        body=b64encode(a_csr()) if body is None else body,
        peer_chain=peer_chain,
        peer_address="192.0.2.7",
        correlation_id="c0ffee",
        received_at=START,
        target=f"/.well-known/est/{path}",
        fault=fault,
    )


def basic(username: str, password: str) -> dict[str, str]:
    pair = b64encode(f"{username}:{password}".encode()).decode()
    return {**PKCS10_HEADERS, "Authorization": f"Basic {pair}"}


@lru_cache
def a_certificate(common_name: str = "pump-1") -> bytes:
    """Make a self-signed certificate, DER."""
    key = a_key()
    name = a_name(common_name)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(len(common_name) + 1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=3650))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def an_issued(certificate: bytes | None = None) -> Issued:
    """Make a result that holds a certificate, and a chain above it."""
    der = certificate or a_certificate()
    record = CertificateRecord(
        fingerprint="00" * 32,
        issuer="issuing",
        serial_number="07",
        device_id="d-1",
        profile="bootstrap",
        certificate_class=CertificateClass.BOOTSTRAP,
        certificate_profile="bootstrap",
        certificate_profile_version=1,
        spki_sha256="11" * 32,
        der=der,
        not_valid_before=START,
        not_valid_after=START + timedelta(days=90),
        status=CertificateStatus.ACTIVE,
        issued_at=START,
    )
    return Issued(record=record, chain=(a_certificate("issuing"), a_certificate("root")))


@dataclass
class FixedLabels:
    """Labels that are what a test says they are."""

    names: set[str] = field(default_factory=lambda: {"floor 2", "operational"})
    profiles: dict[str | None, EnrollmentProfile] = field(default_factory=dict)
    wanted: dict[str | None, RequestRequirements] = field(default_factory=dict)
    certificates: tuple[bytes, ...] = field(default_factory=lambda: (a_certificate("root"),))

    def exists(self, label: str) -> bool:
        return label in self.names

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        return self.profiles.get(label)

    def makes_keys(self, label: str | None) -> bool:
        found = self.profile(label)
        return found is not None and (
            found.est.server_key_generation is ServerKeyGeneration.ALLOWED
        )

    def requirements(self, label: str | None) -> RequestRequirements:
        return self.wanted.get(label, RequestRequirements())

    def ca_certificates(self, label: str | None) -> tuple[bytes, ...]:
        del label
        return self.certificates
