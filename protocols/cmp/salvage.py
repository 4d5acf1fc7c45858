"""What there is to answer to, of a message that cannot be read: who sent it, and its ids."""

from enroll.failures import EnrollmentError
from protocols import der
from protocols.cmp.decode import check_sender, guarded
from protocols.cmp.messages import PKIHeader
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der

_TRANSACTION_ID = 0xA4
_SENDER_NONCE = 0xA5
_LONG_FORM = 0x80
_MOST_OCTETS = 128


def salvage_header(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> PKIHeader | None:
    """Read as much of a header as an answer needs, whatever stands in it beside and after it.

    None where the message is no SEQUENCE that is all there, or begins with no header in DER.
    """
    if len(message) > limits.octets:
        return None
    try:
        return guarded(lambda: _read(message, limits))
    except EnrollmentError:
        return None


def _read(message: bytes, limits: DERLimits) -> PKIHeader:
    header = _first(_first(message).content)
    check_der(header.whole, limits)
    version, sender, recipient, *rest = der.split(header.content)
    if (header.tag, version.tag) != (der.SEQUENCE, der.INTEGER):
        raise ValueError("this is no header")
    check_sender(sender)
    fields = {each.tag: der.split(each.content) for each in rest}
    return PKIHeader(
        pvno=int.from_bytes(version.content, signed=True),
        sender=sender.whole,
        recipient=recipient.whole,
        transaction_id=_octets(fields.get(_TRANSACTION_ID, [])),
        sender_nonce=_octets(fields.get(_SENDER_NONCE, [])),
    )


def _first(octets: bytes) -> der.Element:
    """Take one SEQUENCE off the front; what it holds, and what follows it, has not been checked."""
    length, content = octets[1], 2
    if length > _LONG_FORM:
        content += length & 0x7F
        length = int.from_bytes(octets[2:content])
    if octets[0] != der.SEQUENCE or length == _LONG_FORM or content + length > len(octets):
        raise ValueError("this is no SEQUENCE that is all there")
    return der.Element(octets[0], octets[content : content + length], octets[: content + length])


def _octets(inside: list[der.Element]) -> bytes | None:
    if [each.tag for each in inside] != [der.OCTET_STRING] or len(inside[0].content) > _MOST_OCTETS:
        return None
    return inside[0].content
