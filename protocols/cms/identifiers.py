"""How CMS names a certificate: by issuer and serial number, or by its subject key identifier."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from protocols import der

_KEPT = 16
"""How many certificates are remembered: while a message is read, its own is asked for often."""
_CONTEXT_0_PRIMITIVE = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedKey:
    """A public key that has no certificate yet; in its place it goes by a number and no name.

    RFC 9810 §5.2.8.3.3: the number is the certReqId of who asks for the certificate.
    """

    key: CertificatePublicKeyTypes
    number: int

    def public_key(self) -> CertificatePublicKeyTypes:
        return self.key


def issuer_and_serial(certificate: x509.Certificate | NumberedKey) -> bytes:
    """Encode IssuerAndSerialNumber (RFC 5652 §10.2.4), both octet for octet as in the certificate.

    A name that is read and written again may change its octets, and then nobody finds it.
    """
    if isinstance(certificate, NumberedKey):
        number = certificate.number
        octets = number.to_bytes(number.bit_length() // 8 + 1, signed=True)
        return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE), der.encode(der.INTEGER, octets))
    serial, _, issuer, *_ = _fields(certificate)
    return der.encode(der.SEQUENCE, issuer.whole, serial.whole)


def public_key_info(certificate: x509.Certificate) -> der.Element:
    """Give the SubjectPublicKeyInfo, octet for octet."""
    return _fields(certificate)[5]


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether issuer and subject are the same name, octet for octet, readable or not."""
    _, _, issuer, _, subject, *_ = _fields(certificate)
    return issuer.whole == subject.whole


def names(identifier: bytes, certificate: x509.Certificate) -> bool:
    """Tell whether a SignerIdentifier or RecipientIdentifier means this certificate."""
    if identifier[0] != _CONTEXT_0_PRIMITIVE:
        return identifier == issuer_and_serial(certificate)
    key_identifier = subject_key_identifier(certificate)
    return key_identifier is not None and identifier == tagged_key_identifier(key_identifier)


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Give what the certificate itself says; None when it says nothing that can be read."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return None
    return found.value.digest


def names_of(
    certificate: x509.Certificate, by_key_identifier: Callable[[bytes], bytes]
) -> frozenset[bytes]:
    """Give every RecipientIdentifier that means this certificate."""
    key_identifier = subject_key_identifier(certificate)
    also = () if key_identifier is None else (by_key_identifier(key_identifier),)
    return frozenset((issuer_and_serial(certificate), *also))


def tagged_key_identifier(key_identifier: bytes) -> bytes:
    """Encode `[0] IMPLICIT SubjectKeyIdentifier`, the other choice of SignerIdentifier."""
    return der.encode(_CONTEXT_0_PRIMITIVE, key_identifier)


@lru_cache(maxsize=_KEPT)
def _fields(certificate: x509.Certificate) -> tuple[der.Element, ...]:
    """Give the fields of TBSCertificate (RFC 5280 §4.1), from the serial number on."""
    (tbs,) = der.split(certificate.tbs_certificate_bytes)
    fields = der.split(tbs.content)
    return tuple(fields[1:] if fields[0].tag == der.CONTEXT_0 else fields)
