"""The form of SignedData (RFC 5652 §5): taken apart, nothing of it judged but its form."""

from collections.abc import Mapping
from typing import NamedTuple

from cryptography.x509 import ObjectIdentifier

from enroll.failures import Malformed
from protocols import der
from protocols.cms.ber import to_der
from protocols.cms.content_info import SIGNED_DATA, decode_oid, unwrap
from protocols.limits import DERLimits

_SIGNED_DATA = (der.INTEGER, der.SET, der.SEQUENCE)
_KEY_IDENTIFIER = 0x80


class Parts(NamedTuple):
    """A SignedData in its parts."""

    content_type: ObjectIdentifier
    content: bytes | None
    certificates: tuple[bytes, ...]
    """X.509 certificates in DER, in the order received; attribute certificates are left out."""
    signers: tuple[der.Element, ...]


class SignerParts(NamedTuple):
    """A SignerInfo with signed attributes, in its parts; elements are whole."""

    identifier: bytes
    digest_algorithm: bytes
    signed_octets: bytes
    attributes: Mapping[ObjectIdentifier, tuple[bytes, ...]]
    algorithm: bytes
    signature: bytes


def take_apart(message: bytes, limits: DERLimits) -> Parts:
    """Take a ContentInfo that holds a SignedData apart. Raises Malformed."""
    content_type, signed_data = unwrap(to_der(message, limits))
    (outer,) = der.split(signed_data)
    fields = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if content_type != SIGNED_DATA or not _is_signed_data(fields):
        raise Malformed("the message is no SignedData")
    held = der.split(fields[2].content)
    if not held or held[0].tag != der.OBJECT_IDENTIFIER:
        raise Malformed("the SignedData does not say what it holds")
    certificates = der.split(fields[3].content) if fields[3].tag == der.CONTEXT_0 else []
    return Parts(
        decode_oid(held[0].whole),
        _content(held[1:]),
        tuple([each.whole for each in certificates if each.tag == der.SEQUENCE]),
        tuple(der.split(fields[-1].content)),
    )


def take_signer_apart(signer: der.Element) -> SignerParts:
    """Take a SignerInfo apart. Raises Malformed, also when it has no signed attributes."""
    fields = der.split(signer.content) if signer.tag == der.SEQUENCE else []
    tags = [field.tag for field in fields[:6]]
    if tags[:1] + tags[2:] != [
        der.INTEGER,
        der.SEQUENCE,
        der.CONTEXT_0,
        der.SEQUENCE,
        der.OCTET_STRING,
    ] or tags[1] not in {der.SEQUENCE, _KEY_IDENTIFIER}:
        raise Malformed("the signer has no signed attributes, or is no SignerInfo")
    if [field.tag for field in fields[6:]] not in ([], [der.CONTEXT_1]):
        raise Malformed("the SignerInfo has more fields than there are")
    attributes = fields[3]
    return SignerParts(
        fields[1].whole,
        fields[2].whole,
        # RFC 5652 §5.4: what was signed has the tag of a SET OF instead.
        bytes((der.SET,)) + attributes.whole[1:],
        _attributes(attributes.content),
        fields[4].whole,
        fields[5].content,
    )


def _is_signed_data(fields: list[der.Element]) -> bool:
    tags = [field.tag for field in fields]
    return (
        tuple(tags[:3]) == _SIGNED_DATA
        and tags[-1] == der.SET
        and tags[3:-1] in ([], [der.CONTEXT_0], [der.CONTEXT_1], [der.CONTEXT_0, der.CONTEXT_1])
    )


def _content(fields: list[der.Element]) -> bytes | None:
    """Give the octets of eContent, `[0] EXPLICIT OCTET STRING OPTIONAL`."""
    if not fields:
        return None
    if [field.tag for field in fields] == [der.CONTEXT_0]:
        inner = der.split(fields[0].content)
        if [field.tag for field in inner] == [der.OCTET_STRING]:
            return inner[0].content
    raise Malformed("the content of the SignedData is no OCTET STRING")


def _attributes(content: bytes) -> dict[ObjectIdentifier, tuple[bytes, ...]]:
    """Read the attributes; none may stand there twice, for then each reader has one of its own."""
    attributes: dict[ObjectIdentifier, tuple[bytes, ...]] = {}
    for each in der.split(content):
        parts = der.split(each.content) if each.tag == der.SEQUENCE else []
        if [part.tag for part in parts] != [der.OBJECT_IDENTIFIER, der.SET]:
            raise Malformed("a signed attribute is no Attribute")
        kind = decode_oid(parts[0].whole)
        if kind in attributes:
            raise Malformed(f"the signed attribute {kind.dotted_string} stands there twice")
        attributes[kind] = tuple([value.whole for value in der.split(parts[1].content)])
    return attributes
