"""DER to `PKIData`: strict and bounded, every body part with a number of its own."""

from collections.abc import Iterable

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.cmc.messages import MAXIMUM_BODY_PART, Control, PKIData, TaggedRequest
from protocols.crmf.decode import read_message
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der

_TCR = 0xA0
_CRM = 0xA1
_ORM = 0xA2
_SEQUENCES = 4
"""RFC 5272 §3.2.1: controls, requests, CMS objects and other messages."""


def decode_pki_data(content: bytes, limits: DERLimits = DEFAULT_LIMITS) -> PKIData:
    """Read a PKIData. Raises Malformed, whatever the octets."""
    try:
        check_der(content, limits)
        (outer,) = der.split(content)
        return _read(outer)
    except EnrollmentError:
        raise
    except Exception as error:
        # Parsers raise exceptions of many kinds on hostile octets. They all mean the same.
        raise Malformed(f"the PKIData cannot be read: {error!s:.200}") from error


def body_part(element: der.Element) -> int:
    """Read a BodyPartID of an element of the message, where 0 is no number (RFC 5272 §3.2.2)."""
    number = int.from_bytes(element.content, signed=True) if element.tag == der.INTEGER else 0
    if not 0 < number <= MAXIMUM_BODY_PART:
        raise Malformed("a body part has no number from 1 to 4294967295")
    return number


def _read(outer: der.Element) -> PKIData:
    sequences = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if [each.tag for each in sequences] != [der.SEQUENCE] * _SEQUENCES:
        raise Malformed("the message is no PKIData")
    controls, requests, objects, others = sequences
    data = PKIData(
        controls=tuple(_control(each) for each in der.split(controls.content)),
        requests=tuple(_request(each) for each in der.split(requests.content)),
        requests_whole=requests.whole,
    )
    _check_numbers(
        (
            *[each.number for each in data.controls],
            *[each.number for each in data.requests],
            *[_number_of(each) for each in der.split(objects.content)],
            *[_number_of(each) for each in der.split(others.content)],
        )
    )
    return data


def _control(element: der.Element) -> Control:
    parts = _parts(element)
    if [each.tag for each in parts[1:]] != [der.OBJECT_IDENTIFIER, der.SET]:
        raise Malformed("a control is no number, type and values")
    return Control(
        number=body_part(parts[0]),
        kind=parts[1].whole,
        values=tuple(der.split(parts[2].content)),
    )


def _request(element: der.Element) -> TaggedRequest:
    parts = der.split(element.content)
    if element.tag == _TCR and [each.tag for each in parts] == [der.INTEGER, der.SEQUENCE]:
        return TaggedRequest(number=body_part(parts[0]), pkcs10=parts[1].whole)
    if element.tag == _CRM and parts:
        message = read_message(
            der.Element(der.SEQUENCE, element.content, der.encode(der.SEQUENCE, element.content))
        )
        if not 0 < message.request_id <= MAXIMUM_BODY_PART:
            raise Malformed("a certification request has no number from 1 to 4294967295")
        return TaggedRequest(number=message.request_id, crmf=message)
    if element.tag == _ORM and [each.tag for each in parts[:2]] == [
        der.INTEGER,
        der.OBJECT_IDENTIFIER,
    ]:
        return TaggedRequest(number=body_part(parts[0]))
    raise Malformed("a certification request is none of the three that there are")


def _number_of(element: der.Element) -> int:
    return body_part(_parts(element)[0])


def _parts(element: der.Element) -> list[der.Element]:
    parts = der.split(element.content) if element.tag == der.SEQUENCE else []
    if not parts:
        raise Malformed("a body part is no SEQUENCE, or empty")
    return parts


def _check_numbers(numbers: Iterable[int]) -> None:
    seen: set[int] = set()
    for each in numbers:
        if each in seen:
            raise Malformed(f"two body parts have the number {each}")
        seen.add(each)
