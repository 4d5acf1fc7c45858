"""The form of a PKCS#10 request (RFC 2986 §4): taken apart, and judged as far as octets tell."""

from typing import NamedTuple

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.limits import DERLimits, check_der
from protocols.public_keys import (
    P_256_POINT,
    P_256_SPKI_OCTETS,
    KeyKind,
    check_key,
    check_signature_algorithm,
)

VERSION_1 = der.encode(der.INTEGER, b"\0")
_ECDSA_SHA256 = der.encode(der.SEQUENCE, bytes.fromhex("06082a8648ce3d040302"))
_DEPTH = 2
_NODES = 11
"""How deep subject and attributes lie in a request, and how many elements there are beside them."""
_OID_OCTETS = 8
_LONG_FORM = 0x80


class Parts(NamedTuple):
    """A request of good form. In DER, whole elements, except where another thing is said."""

    info: bytes
    subject: bytes
    spki: bytes
    key: KeyKind
    attributes: bytes
    """The content of the attributes' element: the attributes, one after the other."""
    algorithm: bytes
    signature: bytes
    """The octets that the BIT STRING holds."""


class KeylessParts(NamedTuple):
    """A request whose key and signature are not looked at. Elements are whole, as in `Parts`."""

    subject: bytes
    spki: bytes
    attributes: bytes


def take_apart_keyless(request: bytes, limits: DERLimits) -> KeylessParts:
    """Check the limits and the form, and judge neither algorithms, key nor signature.

    Raises Malformed.
    """
    check_der(request, limits)
    info, _, _ = _outer(request)
    _, subject, spki, attributes = _inner(info)
    return KeylessParts(subject.whole, spki.whole, attributes.content)


def take_apart(request: bytes, limits: DERLimits, *, sha1: bool = False) -> Parts:
    """Check the limits, and judge algorithms and key (`protocols.public_keys`).

    Raises Malformed, and EnrollmentError with UNSUPPORTED_ALGORITHM, BAD_CERTIFICATE_TEMPLATE or
    BAD_PROOF_OF_POSSESSION.
    """
    return _of_p_256(request, limits) or _of_any_kind(request, limits, sha1=sha1)


def _of_any_kind(request: bytes, limits: DERLimits, *, sha1: bool = False) -> Parts:
    check_der(request, limits)
    info, algorithm, signature = _outer(request)
    _, subject, spki, attributes = _inner(info)
    if signature.content[0] != 0:
        # Otherwise one signature would have several encodings.
        raise Malformed("the signature is not made of whole octets")
    signs_with = check_signature_algorithm(algorithm, sha1=sha1)
    key = check_key(spki)
    if key is not signs_with:
        raise EnrollmentError(
            FailureReason.BAD_PROOF_OF_POSSESSION,
            "the signature algorithm does not belong to the public key",
            field="signature",
        )
    return Parts(
        info.whole,
        subject.whole,
        spki.whole,
        key,
        attributes.content,
        algorithm.whole,
        signature.content[1:],
    )


def _of_p_256(request: bytes, limits: DERLimits) -> Parts | None:
    """Take apart what nearly everybody sends, P-256 with SHA-256, by comparing it with its form.

    Only what varies is looked into. Gives None for whatever is not of that very form.
    """
    spki_at = request.find(P_256_POINT)
    attributes_at = spki_at + P_256_SPKI_OCTETS
    algorithm_at = request.find(_ECDSA_SHA256, attributes_at)
    if spki_at < 0 or algorithm_at <= attributes_at or not _fits(request, limits):
        return None
    info_at = _content_at(request, 0)
    version_at = _content_at(request, info_at)
    subject_at = version_at + len(VERSION_1)
    bits_at = algorithm_at + len(_ECDSA_SHA256)
    signature_at = _content_at(request, bits_at) + 1
    if (
        subject_at >= spki_at
        or signature_at > len(request)
        or request[:info_at] != der.header(der.SEQUENCE, len(request) - info_at)
        or request[info_at:version_at] != der.header(der.SEQUENCE, algorithm_at - version_at)
        or request[version_at:subject_at] != VERSION_1
        or request[subject_at] != der.SEQUENCE
        or request[attributes_at] != der.CONTEXT_0
        or request[bits_at:signature_at]
        != der.header(der.BIT_STRING, len(request) - signature_at + 1) + b"\0"
    ):
        return None
    subject, attributes = request[subject_at:spki_at], request[attributes_at:algorithm_at]
    try:
        nodes = _NODES + check_der(subject, limits, depth=_DEPTH, nodes=_NODES)
        check_der(attributes, limits, depth=_DEPTH, nodes=nodes)
    except Malformed:
        return None  # What was found may lie within something else: the long way tells.
    return Parts(
        request[info_at:algorithm_at],
        subject,
        request[spki_at:attributes_at],
        KeyKind.EC,
        attributes[_content_at(attributes, 0) :],
        _ECDSA_SHA256,
        request[signature_at:],
    )


def _content_at(message: bytes, element_at: int) -> int:
    """Tell where the content begins of the element that begins there, if there is one."""
    length = message[element_at + 1] if element_at + 1 < len(message) else 0
    return element_at + (2 if length < _LONG_FORM else 2 + (length & 0x7F))


def _fits(request: bytes, limits: DERLimits) -> bool:
    """Tell whether what is the same in all requests of that form is within the limits."""
    return (
        len(request) <= limits.octets
        and limits.depth > _DEPTH + 1
        and limits.oid_octets >= _OID_OCTETS
    )


def _outer(request: bytes) -> list[der.Element]:
    (outer,) = der.split(request)
    return _split(outer, (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING))


def _inner(info: der.Element) -> list[der.Element]:
    parts = _split(info, (der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.CONTEXT_0))
    if parts[0].whole != VERSION_1:
        raise Malformed("the certification request is not of version 1")
    return parts


def _split(outer: der.Element, tags: tuple[int, ...]) -> list[der.Element]:
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if tuple([part.tag for part in parts]) != tags:
        raise Malformed("this is no certification request")
    return parts
