"""How CMS names a certificate: by issuer and serial number, or by its subject key identifier."""

from cryptography import x509

from protocols import der

_CONTEXT_0_PRIMITIVE = 0x80


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Encode IssuerAndSerialNumber (RFC 5652 §10.2.4), both octet for octet as in the certificate.

    A name that is read and written again may change its octets, and then nobody finds it.
    """
    (tbs,) = der.split(certificate.tbs_certificate_bytes)
    fields = der.split(tbs.content)
    if fields[0].tag == der.CONTEXT_0:
        fields = fields[1:]
    serial, _, issuer = fields[:3]
    return der.encode(der.SEQUENCE, issuer.whole, serial.whole)


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Give what the certificate itself says; None when it says nothing."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return found.value.digest


def tagged_key_identifier(key_identifier: bytes) -> bytes:
    """Encode `[0] IMPLICIT SubjectKeyIdentifier`, the other choice of SignerIdentifier."""
    return der.encode(_CONTEXT_0_PRIMITIVE, key_identifier)
