"""Parties to CMS messages: certificates with their keys, of each kind, and as files for openssl."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from protocols.cms.digests import Digest
from protocols.cms.signed_data import Signer
from tests.support.csr import Key, a_key, a_name

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The holder of a certificate."""

    certificate: x509.Certificate
    key: Key | x25519.X25519PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_identifier(self) -> bytes:
        extension = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return extension.value.digest

    def signer(
        self,
        digest: Digest = Digest.SHA256,
        *,
        pss: bool = False,
        key_identifier: bytes | None = None,
    ) -> Signer:
        return Signer.holding(
            self.certificate, self.key, digest=digest, pss=pss, key_identifier=key_identifier
        )

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Write certificate and key, PEM, as openssl takes them."""
        certificate, key = folder / "party.pem", folder / "party.key"
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


@cache
def a_party(kind: str = "rsa-2048", name: str = "pump-1") -> Party:
    """Give a party with a key of this kind: self-signed where such keys sign, else by a P-256."""
    if kind == "x25519":
        key: Key | x25519.X25519PrivateKey = x25519.X25519PrivateKey.generate()
        issuing = a_key("p-256")
    else:
        key = issuing = a_key(kind)
    digest = None if kind in {"ed25519", "ed448"} else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name(name))
        .public_key(key.public_key())
        .serial_number(0xC0FFEE)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuing, digest)
    )
    return Party(certificate=certificate, key=key)
