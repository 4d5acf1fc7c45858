"""Writing the extensions that a request should hold, as templates of requests have them."""

from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtensionOID

from enroll.profiles import KeyUsageBit
from enroll.requirements import AlternativeNameKind, RequestRequirements, WantedName
from protocols import der

# Tags of GeneralName (RFC 5280 §4.2.1.6) with nothing in them yet: RFC 9908 §3.4, RFC 9483 §4.3.3.
_PLACES: Mapping[AlternativeNameKind, bytes] = {
    AlternativeNameKind.EMAIL: b"\x81\0",
    AlternativeNameKind.DNS: b"\x82\0",
    AlternativeNameKind.URI: b"\x86\0",
    AlternativeNameKind.IP: b"\x87\0",
}
_TRUE = b"\x01\x01\xff"


def encode_extensions(wanted: RequestRequirements, *, names: bool) -> list[bytes]:
    """Write each Extension that is wanted; of the alternative names only with `names`."""
    extensions = []
    if wanted.key_usage:
        usage = _key_usage(wanted.key_usage).public_bytes()
        extensions.append(_extension(ExtensionOID.KEY_USAGE, usage, critical=True))
    if wanted.extended_key_usage:
        purposes = x509.ExtendedKeyUsage(wanted.extended_key_usage).public_bytes()
        extensions.append(_extension(ExtensionOID.EXTENDED_KEY_USAGE, purposes))
    if names and wanted.alternative_names:
        value = der.encode(der.SEQUENCE, *map(_general_name, wanted.alternative_names))
        extensions.append(_extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value))
    return extensions


def are_whole(names: Iterable[WantedName]) -> bool:
    return all(each.value is not None for each in names)


def _general_name(wanted: WantedName) -> bytes:
    if wanted.value is None:
        return _PLACES[wanted.kind]
    (names,) = der.split(x509.SubjectAlternativeName([wanted.value]).public_bytes())
    return names.content


def _key_usage(usage: frozenset[KeyUsageBit]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=KeyUsageBit.DIGITAL_SIGNATURE in usage,
        content_commitment=KeyUsageBit.NON_REPUDIATION in usage,
        key_encipherment=KeyUsageBit.KEY_ENCIPHERMENT in usage,
        data_encipherment=False,
        key_agreement=KeyUsageBit.KEY_AGREEMENT in usage,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _extension(kind: x509.ObjectIdentifier, value: bytes, *, critical: bool = False) -> bytes:
    flag = _TRUE if critical else b""
    octets = der.encode(der.OCTET_STRING, value)
    return der.encode(der.SEQUENCE, asn1.encode_der(kind), flag, octets)
