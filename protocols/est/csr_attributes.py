"""Writing CsrAttrs: the list of RFC 7030 §4.5.2, and the template of RFC 9908 §3.4 within it."""

from functools import lru_cache

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from enroll.options import CSRAttributesStyle
from enroll.profiles import KeyAlgorithm
from enroll.requirements import RequestRequirements, WantedAttribute
from protocols import der
from protocols.key_algorithms import (
    CURVES,
    EC_PUBLIC_KEY,
    RSA_BITS,
    RSA_ENCRYPTION,
    SIGNATURES,
    encode_algorithm,
    encode_oid,
)
from protocols.wanted_extensions import are_whole, encode_extensions

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105 - an OBJECT IDENTIFIER
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
CSR_TEMPLATE = "1.2.840.113549.1.9.16.2.61"
EXTENSION_REQUEST_TEMPLATE = "1.2.840.113549.1.9.16.2.62"

_VERSION_1 = der.encode(der.INTEGER, b"\0")
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
    items = [encode_oid(CHALLENGE_PASSWORD)] if wanted.channel_binding else []
    key = wanted.key
    if key is not None and key in CURVES:
        items.append(_attribute(EC_PUBLIC_KEY, encode_oid(CURVES[key])))
    elif key is not None and key in RSA_BITS:
        items.append(_attribute(RSA_ENCRYPTION, asn1.encode_der(RSA_BITS[key])))
    whole = are_whole(wanted.alternative_names)
    extensions = encode_extensions(wanted, names=whole)
    if extensions:
        items.append(_attribute(EXTENSION_REQUEST, der.encode(der.SEQUENCE, *extensions)))
    kinds = dict.fromkeys(each.type.dotted_string for each in wanted.subject)
    items += [encode_oid(each) for each in kinds]
    if wanted.alternative_names and not whole:
        items.append(encode_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string))
    if key is not None:
        items.append(encode_oid(SIGNATURES[key]))
    return items


def _template(wanted: RequestRequirements) -> bytes:
    """Write CertificationRequestInfoTemplate; `attributes` is always there (RFC 9908 §3.4)."""
    parts = [_VERSION_1]
    if wanted.subject:
        parts.append(der.encode(der.SEQUENCE, *(_rdn(each) for each in wanted.subject)))
    if wanted.key is not None:
        parts.append(der.encode(der.CONTEXT_0, *_key(wanted.key)))
    extensions = encode_extensions(wanted, names=True)
    attributes = []
    if extensions:
        whole = are_whole(wanted.alternative_names)
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
    if algorithm in RSA_BITS:
        placeholder = rsa.RSAPublicNumbers(65537, (1 << RSA_BITS[algorithm] - 1) | 1).public_key()
        (spki,) = der.split(
            placeholder.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return (spki.content,)
    return (encode_algorithm(algorithm),)


def _attribute(kind: str, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, encode_oid(kind), der.encode(der.SET, value))
