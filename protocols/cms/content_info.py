"""ContentInfo (RFC 5652 §3): content types by name, and the envelope around every content."""

from functools import lru_cache

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from enroll.failures import Malformed
from protocols import der

DATA = ObjectIdentifier("1.2.840.113549.1.7.1")
SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
ENVELOPED_DATA = ObjectIdentifier("1.2.840.113549.1.7.3")


def wrap(content_type: ObjectIdentifier, content: bytes) -> bytes:
    """Put a content, one DER element, into a ContentInfo."""
    return der.encode(der.SEQUENCE, encode_oid(content_type), der.encode(der.CONTEXT_0, content))


def unwrap(content_info: bytes) -> tuple[ObjectIdentifier, bytes]:
    """Give the type and the content, one DER element, of a ContentInfo that has passed the limits.

    Raises Malformed.
    """
    (outer,) = der.split(content_info)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if [part.tag for part in parts] != [der.OBJECT_IDENTIFIER, der.CONTEXT_0]:
        raise Malformed("the message is no CMS ContentInfo")
    content = der.split(parts[1].content)
    if len(content) != 1:
        raise Malformed("a CMS ContentInfo holds exactly one content")
    return decode_oid(parts[0].whole), content[0].whole


@lru_cache(maxsize=64)
def encode_oid(oid: ObjectIdentifier) -> bytes:
    return asn1.encode_der(oid)


@lru_cache(maxsize=256)
def decode_oid(element: bytes) -> ObjectIdentifier:
    """Read an OBJECT IDENTIFIER, one element. Raises Malformed."""
    try:
        return asn1.decode_der(ObjectIdentifier, element)
    except ValueError as error:
        raise Malformed("an OBJECT IDENTIFIER cannot be read") from error
