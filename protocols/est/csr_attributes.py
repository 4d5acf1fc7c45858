"""Writing CsrAttrs: the list of RFC 7030 §4.5.2, and the template of RFC 9908 §3.4 within it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from enroll.options import CSRAttributesStyle
from enroll.profiles import KeyAlgorithm, KeyUsageBit
from enroll.requirements import (
    AlternativeNameKind,
    RequestRequirements,
    WantedAttribute,
    WantedName,
)
from protocols import der

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105 - an OBJECT IDENTIFIER
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
CSR_TEMPLATE = "1.2.840.113549.1.9.16.2.61"
EXTENSION_REQUEST_TEMPLATE = "1.2.840.113549.1.9.16.2.62"
EC_PUBLIC_KEY = "1.2.840.10045.2.1"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"

_CURVES: Mapping[KeyAlgorithm, str] = {
    KeyAlgorithm.P_256: "1.2.840.10045.3.1.7",
    KeyAlgorithm.P_384: "1.3.132.0.34",
    KeyAlgorithm.P_521: "1.3.132.0.35",
}
_RSA_BITS: Mapping[KeyAlgorithm, int] = {
    KeyAlgorithm.RSA_2048: 2048,
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
}
# What a key of each sort signs its request with; where one identifier says both, it is the key's.
_SIGNATURES: Mapping[KeyAlgorithm, str] = {
    **dict.fromkeys(_RSA_BITS, "1.2.840.113549.1.1.11"),
    KeyAlgorithm.P_256: "1.2.840.10045.4.3.2",
    KeyAlgorithm.P_384: "1.2.840.10045.4.3.3",
    KeyAlgorithm.P_521: "1.2.840.10045.4.3.4",
    KeyAlgorithm.ED25519: "1.3.101.112",
    KeyAlgorithm.ED448: "1.3.101.113",
    KeyAlgorithm.ML_DSA_44: "2.16.840.1.101.3.4.3.17",
    KeyAlgorithm.ML_DSA_65: "2.16.840.1.101.3.4.3.18",
    KeyAlgorithm.ML_DSA_87: "2.16.840.1.101.3.4.3.19",
}
# Tags of GeneralName (RFC 5280 §4.2.1.6) with nothing in them yet, as RFC 9908 §3.4 has them.
_PLACES: Mapping[AlternativeNameKind, bytes] = {
    AlternativeNameKind.EMAIL: b"\x81\0",
    AlternativeNameKind.DNS: b"\x82\0",
    AlternativeNameKind.URI: b"\x86\0",
    AlternativeNameKind.IP: b"\x87\0",
}
_VERSION_1 = der.encode(der.INTEGER, b"\0")
_TRUE = b"\x01\x01\xff"
KEPT = 256


@lru_cache(maxsize=KEPT)
def encode(wanted: RequestRequirements, style: CSRAttributesStyle) -> bytes:
    """Write CsrAttrs in DER, or nothing at all where nothing is wanted.

    The list first, for clients that read no template, and then the template, which says the same.
    A template cannot ask for a value that only the sender knows, as a challengePassword is; and
    who reads the template must ignore the list (RFC 9908 §4). So there is none beside it.
    """
    if style is CSRAttributesStyle.NONE:
        return b""
    items = _list(wanted)
    if items and style is CSRAttributesStyle.BOTH and not wanted.channel_binding:
        items.append(_attribute(CSR_TEMPLATE, _template(wanted)))
    return der.encode(der.SEQUENCE, *items) if items else b""


def _list(wanted: RequestRequirements) -> list[bytes]:
    """Write what RFC 7030 knows (RFC 9908 §3.2), in the order of RFC 9908 §5.

    The list has no way to say what a name should be, only which are wanted.
    """
    items = [_oid(CHALLENGE_PASSWORD)] if wanted.channel_binding else []
    key = wanted.key
    if key is not None and key in _CURVES:
        items.append(_attribute(EC_PUBLIC_KEY, _oid(_CURVES[key])))
    elif key is not None and key in _RSA_BITS:
        items.append(_attribute(RSA_ENCRYPTION, asn1.encode_der(_RSA_BITS[key])))
    whole = _are_whole(wanted.alternative_names)
    extensions = _extensions(wanted, names=whole)
    if extensions:
        items.append(_attribute(EXTENSION_REQUEST, der.encode(der.SEQUENCE, *extensions)))
    kinds = dict.fromkeys(each.type.dotted_string for each in wanted.subject)
    items += [_oid(each) for each in kinds]
    if wanted.alternative_names and not whole:
        items.append(_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string))
    if key is not None:
        items.append(_oid(_SIGNATURES[key]))
    return items


def _template(wanted: RequestRequirements) -> bytes:
    """Write CertificationRequestInfoTemplate; `attributes` is always there (RFC 9908 §3.4)."""
    parts = [_VERSION_1]
    if wanted.subject:
        parts.append(der.encode(der.SEQUENCE, *(_rdn(each) for each in wanted.subject)))
    if wanted.key is not None:
        parts.append(der.encode(der.CONTEXT_0, *_key(wanted.key)))
    extensions = _extensions(wanted, names=True)
    attributes = []
    if extensions:
        whole = _are_whole(wanted.alternative_names)
        kind = EXTENSION_REQUEST if whole else EXTENSION_REQUEST_TEMPLATE
        attributes.append(_attribute(kind, der.encode(der.SEQUENCE, *extensions)))
    parts.append(der.encode(der.CONTEXT_1, *attributes))
    return der.encode(der.SEQUENCE, *parts)


def _rdn(wanted: WantedAttribute) -> bytes:
    if wanted.value is None:
        return der.encode(der.SET, der.encode(der.SEQUENCE, asn1.encode_der(wanted.type)))
    name = x509.Name([x509.NameAttribute(wanted.type, wanted.value)]).public_bytes()
    (sequence,) = der.split(name)
    return sequence.content


def _key(algorithm: KeyAlgorithm) -> tuple[bytes, ...]:
    """Write the content of SubjectPublicKeyInfoTemplate: a key itself only for an RSA size."""
    if algorithm in _RSA_BITS:
        placeholder = rsa.RSAPublicNumbers(65537, (1 << _RSA_BITS[algorithm] - 1) | 1).public_key()
        (spki,) = der.split(
            placeholder.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return (spki.content,)
    if algorithm in _CURVES:
        return (der.encode(der.SEQUENCE, _oid(EC_PUBLIC_KEY), _oid(_CURVES[algorithm])),)
    return (der.encode(der.SEQUENCE, _oid(_SIGNATURES[algorithm])),)


def _extensions(wanted: RequestRequirements, *, names: bool) -> list[bytes]:
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


def _general_name(wanted: WantedName) -> bytes:
    if wanted.value is None:
        return _PLACES[wanted.kind]
    (names,) = der.split(x509.SubjectAlternativeName([wanted.value]).public_bytes())
    return names.content


def _are_whole(names: Iterable[WantedName]) -> bool:
    return all(each.value is not None for each in names)


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


def _attribute(kind: str, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, _oid(kind), der.encode(der.SET, value))


def _oid(dotted: str) -> bytes:
    return asn1.encode_der(x509.ObjectIdentifier(dotted))
