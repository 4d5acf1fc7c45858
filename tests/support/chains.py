"""Makers of devices for tests: CAs, what they issue, and anything wrong that can be with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.csr import Key, a_key, some_key_usage
from tests.support.fakes import START

FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The end of an IDevID (RFC 5280 §4.1.2.5)."""

HARDWARE_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
Extensions = Sequence[tuple[x509.ExtensionType, bool]]
SigningKey = Key | mldsa.MLDSA65PrivateKey


def a_dn(common_name: str | None = None, **others: str) -> x509.Name:
    """Make a name: O, then CN, then serialNumber."""
    kinds = {
        "organization": NameOID.ORGANIZATION_NAME,
        "serial_number": NameOID.SERIAL_NUMBER,
        "email": NameOID.EMAIL_ADDRESS,
    }
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, others.pop("organization", "Maker"))]
    if common_name is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    parts += [x509.NameAttribute(kinds[kind], value) for kind, value in others.items()]
    return x509.Name(parts)


def a_ca_extensions(
    path_length: int | None = None, *more: tuple[x509.ExtensionType, bool]
) -> Extensions:
    return (
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (some_key_usage(key_cert_sign=True, crl_sign=True), True),
        *more,
    )


IDEVID_EXTENSIONS: Extensions = ((some_key_usage(digital_signature=True), True),)
CLIENT_AUTH: tuple[x509.ExtensionType, bool] = (
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
    False,
)
SERVER_AUTH: tuple[x509.ExtensionType, bool] = (
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    False,
)


@dataclass(frozen=True)
class Authority:
    """A CA with its key. What it issues is what the test says, right or wrong."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)

    @classmethod
    def root(
        cls,
        name: x509.Name | None = None,
        *,
        number: int = 0,
        kind: str = "p-256",
        not_after: datetime = FOREVER,
        extensions: Extensions | None = None,
    ) -> "Authority":
        """Make a self-signed CA; the same number gives the same key."""
        key = a_key(kind, 100 + number)
        subject = name or a_dn("Maker Root")
        certificate = _signed(
            subject,
            subject,
            key,
            key,
            a_ca_extensions() if extensions is None else extensions,
            not_after=not_after,
        )
        return cls(certificate, key)

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def ca(
        self,
        name: x509.Name | None = None,
        *,
        number: int = 1,
        kind: str = "p-256",
        **changes: object,
    ) -> "Authority":
        """Issue to another CA."""
        key = a_key(kind, 100 + number)
        options = {"extensions": a_ca_extensions(), **changes}
        return Authority(self.issue(name or a_dn(f"Maker CA {number}"), key=key, **options), key)  # type: ignore[arg-type]  # passed on as given

    def issue(
        self,
        subject: x509.Name,
        *,
        key: SigningKey | None = None,
        names: Sequence[x509.GeneralName] = (),
        extensions: Extensions = IDEVID_EXTENSIONS,
        not_before: datetime = START - timedelta(days=300),
        not_after: datetime = FOREVER,
        issuer: x509.Name | None = None,
        digest: hashes.HashAlgorithm | None = None,
    ) -> x509.Certificate:
        """Issue a certificate, to the usual device key unless another is given."""
        if names:
            extensions = (*extensions, (x509.SubjectAlternativeName(names), False))
        return _signed(
            subject,
            issuer or self.certificate.subject,
            key or a_key("p-256", 1),
            self.key,
            extensions,
            not_before=not_before,
            not_after=not_after,
            digest=digest,
        )


def a_hardware_module(serial: bytes = b"HW-1") -> x509.OtherName:
    """Make the hardwareModuleName of an IDevID (RFC 4108 §5), type 2.999.1."""
    kind = bytes.fromhex("0603883701")
    content = kind + bytes([0x04, len(serial)]) + serial
    return x509.OtherName(HARDWARE_MODULE_NAME, bytes([0x30, len(content)]) + content)


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: SigningKey,
    signer: SigningKey,
    extensions: Extensions,
    *,
    not_before: datetime = START - timedelta(days=300),
    not_after: datetime = FOREVER,
    digest: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    hashing = isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return builder.sign(signer, (digest or hashes.SHA256()) if hashing else None)  # type: ignore[arg-type]  # MD5 and SHA-1 are for tests of refusal
