"""DER to `CertReqMsg` (RFC 4211 §3): strict, bounded, and every octet kept that a proof covers."""

from collections.abc import Callable
from typing import TypeVar

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.crmf.messages import (
    CertReqMsg,
    KeyPurpose,
    PrivateKeyMethod,
    PrivateKeyProof,
    ProofOfPossession,
    PublicKeyMAC,
    RAVerified,
    SignatureProof,
    SigningKeyInput,
)
from protocols.crmf.template import read_template
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der

_RA_VERIFIED = 0x80
_SIGNATURE = 0xA1
_PRIVATE_KEY = {0xA2: KeyPurpose.KEY_ENCIPHERMENT, 0xA3: KeyPurpose.KEY_AGREEMENT}
# The tags of POPOPrivKey: primitive for the implicitly tagged strings and the INTEGER.
_METHODS = {
    0x80: PrivateKeyMethod.THIS_MESSAGE,
    0x81: PrivateKeyMethod.SUBSEQUENT_MESSAGE,
    0x82: PrivateKeyMethod.DH_MAC,
    0xA3: PrivateKeyMethod.AGREE_MAC,
    0xA4: PrivateKeyMethod.ENCRYPTED_KEY,
}
_MAXIMUM_MESSAGES = 100
_CERT_REQUEST = ([der.INTEGER, der.SEQUENCE], [der.INTEGER, der.SEQUENCE, der.SEQUENCE])
T = TypeVar("T")


def decode_messages(messages: bytes, limits: DERLimits = DEFAULT_LIMITS) -> tuple[CertReqMsg, ...]:
    """Read CertReqMessages, as CMP carries them. Raises Malformed, whatever the octets."""

    def read() -> tuple[CertReqMsg, ...]:
        check_der(messages, limits)
        (outer,) = der.split(messages)
        found = _parts(outer, "CertReqMessages")
        if not 1 <= len(found) <= _MAXIMUM_MESSAGES:
            raise Malformed(f"there must be 1 to {_MAXIMUM_MESSAGES} certification requests")
        return tuple(read_message(each) for each in found)

    return _guarded(read)


def decode_message(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> CertReqMsg:
    """Read one CertReqMsg. Raises Malformed, whatever the octets."""

    def read() -> CertReqMsg:
        check_der(message, limits)
        (outer,) = der.split(message)
        return read_message(outer)

    return _guarded(read)


def read_message(message: der.Element) -> CertReqMsg:
    """Read a CertReqMsg within what has passed `check_der`. Raises Malformed, ValueError."""
    parts = _parts(message, "CertReqMsg")
    if not parts:
        raise Malformed("a CertReqMsg is empty")
    request, *rest = parts
    fields = _parts(request, "CertRequest")
    if [each.tag for each in fields] not in _CERT_REQUEST:
        raise Malformed("a CertRequest is no number, template and controls")
    request_id, template, *controls = fields
    proof = None
    if rest and rest[0].tag & 0xC0:
        proof = _proof(rest.pop(0))
    if len(rest) > 1 or any(not _pairs(each) for each in rest):
        raise Malformed("a CertReqMsg is no request, proof and registration info")
    return CertReqMsg(
        whole=message.whole,
        request_id=int.from_bytes(request_id.content, signed=True),
        certificate_request=request.whole,
        template=read_template(template),
        controls=_controls(controls[0]) if controls else {},
        proof=proof,
        has_registration_info=bool(rest),
    )


def _controls(controls: der.Element) -> dict[bytes, der.Element]:
    found: dict[bytes, der.Element] = {}
    for kind, value in _pairs(controls):
        if kind.whole in found:
            raise Malformed("a control is there twice", finding="duplicate_control")
        found[kind.whole] = value
    return found


def _pairs(sequence: der.Element) -> list[tuple[der.Element, der.Element]]:
    """Split a SEQUENCE OF AttributeTypeAndValue, which is never empty."""
    pairs = []
    for each in _parts(sequence, "SEQUENCE OF AttributeTypeAndValue"):
        kind, value = _two(each, "AttributeTypeAndValue")
        if kind.tag != der.OBJECT_IDENTIFIER:
            raise Malformed("an AttributeTypeAndValue has no type")
        pairs.append((kind, value))
    if not pairs:
        raise Malformed("there are no controls where some must be")
    return pairs


def _proof(proof: der.Element) -> ProofOfPossession:
    if proof.tag == _RA_VERIFIED and not proof.content:
        return RAVerified()
    if proof.tag == _SIGNATURE:
        return _signature_proof(der.split(proof.content))
    if proof.tag in _PRIVATE_KEY:
        parts = der.split(proof.content)
        if len(parts) == 1 and parts[0].tag in _METHODS:
            return PrivateKeyProof(
                purpose=_PRIVATE_KEY[proof.tag],
                method=_METHODS[parts[0].tag],
                content=parts[0].content,
            )
    raise Malformed("the proof of possession has not the form of one")


def _signature_proof(parts: list[der.Element]) -> SignatureProof:
    key_input = None
    if parts and parts[0].tag == der.CONTEXT_0:
        key_input = _key_input(parts.pop(0))
    if [part.tag for part in parts] != [der.SEQUENCE, der.BIT_STRING]:
        raise Malformed("the proof of possession is no signature with its algorithm")
    algorithm, signature = parts
    return SignatureProof(
        algorithm=algorithm, signature=_whole_octets(signature), key_input=key_input
    )


def _key_input(element: der.Element) -> SigningKeyInput:
    """Read POPOSigningKeyInput, whose signature covers it with the tag of a SEQUENCE."""
    parts = der.split(element.content)
    if len(parts) != 2 or parts[1].tag != der.SEQUENCE:  # noqa: PLR2004 - the two of RFC 4211 §4.1
        raise Malformed("a POPOSigningKeyInput is no pair of an identity and a public key")
    identity, spki = parts
    whole = der.encode(der.SEQUENCE, element.content)
    if identity.tag == der.CONTEXT_0:
        names = der.split(identity.content)
        if len(names) != 1:
            raise Malformed("a POPOSigningKeyInput has not one sender")
        return SigningKeyInput(whole=whole, spki=spki.whole, sender=names[0].whole)
    algorithm, value = _two(identity, "PKMACValue")
    if (algorithm.tag, value.tag) != (der.SEQUENCE, der.BIT_STRING):
        raise Malformed("a PKMACValue is no MAC with its algorithm")
    mac = PublicKeyMAC(algorithm=algorithm.whole, value=_whole_octets(value))
    return SigningKeyInput(whole=whole, spki=spki.whole, mac=mac)


def _whole_octets(bits: der.Element) -> bytes:
    if bits.content[0] != 0:
        raise Malformed("a signature or MAC is not made of whole octets")
    return bits.content[1:]


def _two(element: der.Element, what: str) -> tuple[der.Element, der.Element]:
    parts = _parts(element, what)
    if len(parts) != 2:  # noqa: PLR2004 - a pair
        raise Malformed(f"there is something else where {what} should be")
    return parts[0], parts[1]


def _parts(element: der.Element, what: str) -> list[der.Element]:
    if element.tag != der.SEQUENCE:
        raise Malformed(f"there is something else where {what} should be")
    return der.split(element.content)


def _guarded(read: Callable[[], T]) -> T:
    try:
        return read()
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the certification request cannot be read: {error!s:.200}") from error
