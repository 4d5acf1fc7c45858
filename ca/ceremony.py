"""Making roots and issuing CAs: the first, and those that take their place."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.x509.oid import NameOID

from ca.issuers import (
    authority_information_access,
    crl_distribution_points,
    signature_hash_for,
)
from ca.keys.software import KeyKind

ROOT_YEARS = 20
ISSUING_YEARS = 10
ROOT = "root"
ISSUING = "issuing"

_ROOT_KINDS = {KeyKind.P_256: KeyKind.P_384, KeyKind.RSA_3072: KeyKind.RSA_4096}


def root_kind(issuing: KeyKind) -> KeyKind:
    """Choose a root's key: as an issuing CA's below it, or stronger, for it has to last longer.

    Raises ValueError for a key too weak for either.
    """
    if issuing is KeyKind.RSA_2048:
        raise ValueError("rsa-2048 is too weak for a CA's years; take rsa-3072 or p-256")
    return _ROOT_KINDS.get(issuing, issuing)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRoot:
    """A root with its key, and the name that its addresses have."""

    name: str
    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What the certificates are made of: the installation's name, the moment, the addresses."""

    name: str
    now: datetime
    public_http_url: str

    def root(self, key: CertificateIssuerPrivateKeyTypes, serial_number: int) -> x509.Certificate:
        """Make the first root, self-signed."""
        return self.root_named(_name(f"{self.name} Root CA"), key, serial_number)

    def root_named(
        self, subject: x509.Name, key: CertificateIssuerPrivateKeyTypes, serial_number: int
    ) -> x509.Certificate:
        """Make a root of this name. One that takes another's place keeps its name (RFC 4210 §4.4).

        Certificates of the one's key by the other are then self-issued, and do not count for the
        length of a path (RFC 5280 §4.2.1.9).
        """
        ends = self._start + timedelta(days=365 * ROOT_YEARS)
        builder = _builder(subject, key.public_key(), serial_number, (self._start, ends))
        builder = builder.issuer_name(subject)
        return builder.sign(key, signature_hash_for(key))

    def issuing(
        self,
        key: CertificateIssuerPrivateKeyTypes,
        serial_number: int,
        root: x509.Certificate,
        root_key: CertificateIssuerPrivateKeyTypes,
    ) -> x509.Certificate:
        """Make the first issuing CA under the root."""
        above = SigningRoot(name=ROOT, certificate=root, key=root_key)
        return self.issuing_named(_name(f"{self.name} Issuing CA"), key, serial_number, above)

    def issuing_named(
        self,
        subject: x509.Name,
        key: CertificateIssuerPrivateKeyTypes,
        serial_number: int,
        root: SigningRoot,
    ) -> x509.Certificate:
        """Make an issuing CA; it signs end entities only (pathLen 0), and ends before its root.

        It also signs the message that makes the next CA known (RFC 8894 §4.7.1).
        """
        ends = min(
            self._start + timedelta(days=365 * ISSUING_YEARS), root.certificate.not_valid_after_utc
        )
        builder = _builder(
            subject, key.public_key(), serial_number, (self._start, ends), path_length=0
        )
        return self._signed(builder, root)

    def cross(
        self, root: x509.Certificate, serial_number: int, by: SigningRoot
    ) -> x509.Certificate:
        """Certify the key of one root by another (RFC 4210 §4.4.1).

        Valid from when the key was made, until the first of the two roots ends.
        """
        ends = min(root.not_valid_after_utc, by.certificate.not_valid_after_utc)
        builder = _builder(
            root.subject, root.public_key(), serial_number, (root.not_valid_before_utc, ends)
        )
        return self._signed(builder, by)

    @property
    def _start(self) -> datetime:
        return self.now.replace(microsecond=0) - timedelta(minutes=5)

    def _signed(self, builder: x509.CertificateBuilder, root: SigningRoot) -> x509.Certificate:
        """Add what a root adds to the certificates of CAs below it, and sign."""
        above = root.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above.value)
        crl = crl_distribution_points(self.public_http_url, root.name)
        access = authority_information_access(self.public_http_url, root.name)
        builder = (
            builder.issuer_name(root.certificate.subject)
            .add_extension(identifier, critical=False)
            .add_extension(crl, critical=False)
            .add_extension(access, critical=False)
        )
        return builder.sign(root.key, signature_hash_for(root.key))


def numbered(subject: x509.Name, number: int) -> x509.Name:
    """Name the CA that comes after those before it: its common name, and which one it is.

    Revocation lists of two CAs of one name could be taken for each other's.
    """
    common_name = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[-1]
    words = str(common_name.value).split(" ")
    if number > FIRST_NUMBERED and words[-1] == str(number - 1):
        words.pop()
    text = " ".join((*words, str(number)))
    return x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(NameOID.COMMON_NAME, text) if each is common_name else each
            for each in rdn
        )
        for rdn in subject.rdns
    )


FIRST_NUMBERED = 2


def _key_usage(*, messages: bool) -> x509.KeyUsage:
    """Let a CA sign certificates and lists, and messages as well where it has any to sign."""
    return x509.KeyUsage(
        digital_signature=messages,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    key: CertificatePublicKeyTypes,
    serial_number: int,
    validity: tuple[datetime, datetime],
    *,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    begins, ends = validity
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial_number)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(messages=path_length == 0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
