"""Making a root and an issuing CA."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from ca.issuers import (
    authority_information_access,
    crl_distribution_points,
    signature_hash_for,
)
from ca.keys.software import KeyKind

ROOT_YEARS = 20
ISSUING_YEARS = 10
_ROOT_KINDS = {KeyKind.P_256: KeyKind.P_384, KeyKind.RSA_3072: KeyKind.RSA_4096}
ROOT = "root"
ISSUING = "issuing"


def root_kind(issuing: KeyKind) -> KeyKind:
    """Choose a root's key: as an issuing CA's below it, or stronger, for it has to last longer.

    Raises ValueError for a key too weak for either.
    """
    if issuing is KeyKind.RSA_2048:
        raise ValueError("rsa-2048 is too weak for a CA's years; take rsa-3072 or p-256")
    return _ROOT_KINDS.get(issuing, issuing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What both certificates are made of: the installation's name, the moment, the addresses."""

    name: str
    now: datetime
    public_http_url: str

    def root(self, key: CertificateIssuerPrivateKeyTypes, serial_number: int) -> x509.Certificate:
        """Make the self-signed root."""
        subject = _name(f"{self.name} Root CA")
        builder = self._builder(subject, subject, key, serial_number, years=ROOT_YEARS, depth=None)
        return builder.sign(key, signature_hash_for(key))

    def issuing(
        self,
        key: CertificateIssuerPrivateKeyTypes,
        serial_number: int,
        root: x509.Certificate,
        root_key: CertificateIssuerPrivateKeyTypes,
    ) -> x509.Certificate:
        """Make the issuing CA under the root; it signs end entities only (pathLen 0)."""
        subject = _name(f"{self.name} Issuing CA")
        builder = self._builder(
            subject, root.subject, key, serial_number, years=ISSUING_YEARS, depth=0
        )
        above = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above.value)
        crl = crl_distribution_points(self.public_http_url, ROOT)
        access = authority_information_access(self.public_http_url, ROOT)
        builder = (
            builder.add_extension(identifier, critical=False)
            .add_extension(crl, critical=False)
            .add_extension(access, critical=False)
        )
        return builder.sign(root_key, signature_hash_for(root_key))

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: CertificateIssuerPrivateKeyTypes,
        serial_number: int,
        *,
        years: int,
        depth: int | None,
    ) -> x509.CertificateBuilder:
        start = self.now.replace(microsecond=0) - timedelta(minutes=5)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(serial_number)
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=365 * years))
            .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
            .add_extension(_CA_KEY_USAGE, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )


_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
