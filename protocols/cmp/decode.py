"""DER to `PKIMessage` (RFC 9810 §5.1): strict, bounded, and every octet kept that is protected."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from enroll.failures import EnrollmentError, Malformed
from protocols import der
from protocols.cmp.messages import (
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    DIRECTORY_NAME,
    IMPLICIT_CONFIRM,
    ORIG_PKI_MESSAGE,
    BodyType,
    InfoTypeAndValue,
    PKIHeader,
    PKIMessage,
)
from protocols.limits import DEFAULT_LIMITS, DERLimits, check_der

UTF8_STRING = 0x0C
GENERALIZED_TIME = 0x18
_CONTEXT = 0x80
_CONSTRUCTED_CONTEXT = 0xA0
_MAXIMUM_EXTRA_CERTS = 10
_MAXIMUM_TEXTS = 20
_MAXIMUM_INFOS = 50
# rfc822Name, dNSName and uniformResourceIdentifier.
_TEXT_NAMES = frozenset({0x81, 0x82, 0x86})
_LAST_BODY = max(BodyType)
_IDENTIFIER_OCTETS = 128
_GENERALIZED_TIME_OCTETS = 15
# The optional fields of PKIHeader, each under an explicit tag: what stands inside.
_OPTIONAL = (
    GENERALIZED_TIME,  # messageTime
    der.SEQUENCE,  # protectionAlg
    der.OCTET_STRING,  # senderKID
    der.OCTET_STRING,  # recipKID
    der.OCTET_STRING,  # transactionID
    der.OCTET_STRING,  # senderNonce
    der.OCTET_STRING,  # recipNonce
    der.SEQUENCE,  # freeText
    der.SEQUENCE,  # generalInfo
)
(
    _MESSAGE_TIME,
    _PROTECTION_ALG,
    _SENDER_KID,
    _RECIP_KID,
    _TRANSACTION_ID,
    _SENDER_NONCE,
    _RECIP_NONCE,
    _FREE_TEXT,
    _GENERAL_INFO,
) = range(len(_OPTIONAL))
_Fields = Mapping[int, der.Element]
T = TypeVar("T")


def decode(message: bytes, limits: DERLimits = DEFAULT_LIMITS) -> PKIMessage:
    """Read a message but for its body, which `decode_body` reads. Raises Malformed only."""

    def read() -> PKIMessage:
        check_der(message, limits)
        (outer,) = der.split(message)
        return _message(outer)

    return guarded(read)


def guarded(read: Callable[[], T]) -> T:
    """Let a reader raise no other than EnrollmentError, whatever the octets."""
    try:
        return read()
    except EnrollmentError:
        raise
    except (ValueError, IndexError, OverflowError) as error:
        raise Malformed(f"the message cannot be read: {error!s:.200}") from error


def parts_of(element: der.Element, what: str) -> list[der.Element]:
    if element.tag != der.SEQUENCE:
        raise Malformed(f"there is something else where {what} should be")
    return der.split(element.content)


def inner_of(element: der.Element, tag: int, what: str) -> der.Element:
    """Take an explicit tag off: there is one element inside, of this tag."""
    inner = der.only(element.content, tag)
    if inner is None:
        raise Malformed(f"there is something else where {what} should be")
    return inner


def texts_of(sequence: der.Element) -> tuple[str, ...]:
    """Read RFC 9810 §5.1.1 PKIFreeText, or any other SEQUENCE OF UTF8String."""
    texts = parts_of(sequence, "a SEQUENCE OF UTF8String")
    if not 1 <= len(texts) <= _MAXIMUM_TEXTS or any(each.tag != UTF8_STRING for each in texts):
        raise Malformed(f"there must be 1 to {_MAXIMUM_TEXTS} texts in UTF-8")
    return tuple(each.content.decode() for each in texts)


def infos_of(sequence: der.Element) -> tuple[InfoTypeAndValue, ...]:
    """Read a SEQUENCE OF InfoTypeAndValue."""
    infos = parts_of(sequence, "a SEQUENCE OF InfoTypeAndValue")
    if len(infos) > _MAXIMUM_INFOS:
        raise Malformed(f"there are more than {_MAXIMUM_INFOS} of InfoTypeAndValue")
    return tuple(_info(each) for each in infos)


def _info(element: der.Element) -> InfoTypeAndValue:
    parts = parts_of(element, "InfoTypeAndValue")
    if not 1 <= len(parts) <= 2 or parts[0].tag != der.OBJECT_IDENTIFIER:  # noqa: PLR2004 - a type and perhaps a value
        raise Malformed("an InfoTypeAndValue is no type with a value or none")
    return InfoTypeAndValue(
        info_type=parts[0].whole, info_value=parts[1].whole if parts[1:] else None
    )


def _message(outer: der.Element) -> PKIMessage:
    parts = parts_of(outer, "PKIMessage")
    if len(parts) < 2:  # noqa: PLR2004 - header and body
        raise Malformed("a PKIMessage has a header and a body")
    header, body, *rest = parts
    tags = [each.tag for each in rest]
    if tags not in ([], [der.CONTEXT_0], [der.CONTEXT_1], [der.CONTEXT_0, der.CONTEXT_1]):
        raise Malformed("a PKIMessage holds what must not be there, or not so")
    trailer = {each.tag: each for each in rest}
    protection, extra_certs = trailer.get(der.CONTEXT_0), trailer.get(der.CONTEXT_1)
    return PKIMessage(
        header=_header(header),
        header_octets=header.whole,
        body_type=_body_type(body),
        body_octets=body.whole,
        protection=_protection(protection) if protection is not None else None,
        extra_certs=_extra_certs(extra_certs) if extra_certs is not None else (),
    )


def _body_type(body: der.Element) -> BodyType:
    number = body.tag & 0x1F
    if body.tag & 0xE0 != _CONSTRUCTED_CONTEXT or number > _LAST_BODY:
        raise Malformed("the body of the PKIMessage is of no type that there is")
    if not body.content or der.only(body.content, body.content[0]) is None:
        raise Malformed("the body of the PKIMessage is not one element")
    return BodyType(number)


def _protection(element: der.Element) -> bytes:
    bits = inner_of(element, der.BIT_STRING, "PKIProtection")
    if bits.content[0] != 0:
        raise Malformed("the protection is not made of whole octets")
    return bits.content[1:]


def _extra_certs(element: der.Element) -> tuple[bytes, ...]:
    certificates = parts_of(inner_of(element, der.SEQUENCE, "extraCerts"), "extraCerts")
    if not 1 <= len(certificates) <= _MAXIMUM_EXTRA_CERTS:
        raise Malformed(
            f"extraCerts must be 1 to {_MAXIMUM_EXTRA_CERTS} certificates", finding="extra_certs"
        )
    if any(each.tag != der.SEQUENCE for each in certificates):
        raise Malformed("extraCerts holds something else than certificates")
    return tuple(each.whole for each in certificates)


def _header(header: der.Element) -> PKIHeader:
    parts = parts_of(header, "PKIHeader")
    if len(parts) < 3:  # noqa: PLR2004 - what no header is without
        raise Malformed("a PKIHeader has a version, a sender and a recipient")
    version, sender, recipient, *rest = parts
    if version.tag != der.INTEGER or not _is_name(sender) or not _is_name(recipient):
        raise Malformed("a PKIHeader does not begin with a version, a sender and a recipient")
    check_sender(sender)
    fields = _optional(rest)
    time, algorithm = fields.get(_MESSAGE_TIME), fields.get(_PROTECTION_ALG)
    free_text, infos = fields.get(_FREE_TEXT), fields.get(_GENERAL_INFO)
    general_info = {
        each.info_type: each.info_value for each in (infos_of(infos) if infos is not None else ())
    }
    return PKIHeader(
        pvno=int.from_bytes(version.content, signed=True),
        sender=sender.whole,
        recipient=recipient.whole,
        message_time=_time(time) if time is not None else None,
        protection_alg=_algorithm(algorithm) if algorithm is not None else None,
        sender_kid=_octets(fields, _SENDER_KID),
        recip_kid=_octets(fields, _RECIP_KID),
        transaction_id=_octets(fields, _TRANSACTION_ID),
        sender_nonce=_octets(fields, _SENDER_NONCE),
        recip_nonce=_octets(fields, _RECIP_NONCE),
        free_text=texts_of(free_text) if free_text is not None else (),
        implicit_confirm=IMPLICIT_CONFIRM in general_info,
        confirm_wait_time=_wait_time(general_info.get(CONFIRM_WAIT_TIME)),
        cert_profile=_profiles(general_info.get(CERT_PROFILE)),
        general_info=general_info,
        originals=_originals(general_info),
    )


def _is_name(element: der.Element) -> bool:
    """Tell whether it can be a GeneralName: one of the tags [0] to [8], which are of context."""
    return element.tag & 0xC0 == _CONTEXT and element.tag & 0x1F <= 8  # noqa: PLR2004 - registeredID


def check_sender(sender: der.Element) -> None:
    """Demand a name of good form, for every answer repeats it (RFC 9483 §5.1)."""
    if sender.tag in _TEXT_NAMES and sender.content.isascii():
        return
    name = der.only(sender.content, der.SEQUENCE) if sender.tag == DIRECTORY_NAME else None
    if name is None:
        raise Malformed("the sender is neither a directoryName nor an address")
    for relative in der.split(name.content):
        attributes = der.split(relative.content) if relative.tag == der.SET else []
        if not attributes or not all(_is_attribute(each) for each in attributes):
            raise Malformed("the sender's directoryName is no Name")


def _is_attribute(element: der.Element) -> bool:
    parts = der.split(element.content) if element.tag == der.SEQUENCE else []
    return len(parts) == 2 and parts[0].tag == der.OBJECT_IDENTIFIER  # noqa: PLR2004 - a type and a value


def _optional(elements: list[der.Element]) -> dict[int, der.Element]:
    fields: dict[int, der.Element] = {}
    last = -1
    for each in elements:
        number = each.tag - _CONSTRUCTED_CONTEXT
        if not last < number < len(_OPTIONAL):
            raise Malformed("a PKIHeader holds a field that must not be there, or not so")
        inner = der.only(each.content, _OPTIONAL[number])
        if inner is None:
            raise Malformed(
                f"there is something else where field [{number}] of PKIHeader should be"
            )
        fields[number] = inner
        last = number
    return fields


def _octets(fields: _Fields, number: int) -> bytes | None:
    found = fields.get(number)
    if found is None:
        return None
    if len(found.content) > _IDENTIFIER_OCTETS:
        raise Malformed(f"field [{number}] of PKIHeader has more than {_IDENTIFIER_OCTETS} octets")
    return found.content


def _algorithm(element: der.Element) -> bytes:
    parts = der.split(element.content)
    if not 1 <= len(parts) <= 2 or parts[0].tag != der.OBJECT_IDENTIFIER:  # noqa: PLR2004 - an algorithm and perhaps parameters
        raise Malformed("protectionAlg is no AlgorithmIdentifier")
    return element.whole


def _time(element: der.Element) -> datetime:
    """Read GeneralizedTime as RFC 5280 §4.1.2.5.2 has it: in UTC, to the second."""
    text = element.content
    if len(text) != _GENERALIZED_TIME_OCTETS or text[-1:] != b"Z" or not text[:-1].isdigit():
        raise Malformed("a GeneralizedTime is not YYYYMMDDHHMMSSZ")
    day, time = text[:8].decode(), text[8:].decode()
    return datetime.fromisoformat(f"{day}T{time}")


def _wait_time(value: bytes | None) -> datetime | None:
    """Read confirmWaitTime, which is the server's to send: of a client's any form will do."""
    if value is None:
        return None
    (time,) = der.split(value)
    return _time(time) if time.tag == GENERALIZED_TIME else None


def _originals(general_info: Mapping[bytes, bytes | None]) -> bytes | None:
    """Give the value of origPKIMessage; one without a value is no value that anybody can read."""
    if ORIG_PKI_MESSAGE not in general_info:
        return None
    return general_info[ORIG_PKI_MESSAGE] or b""


def _profiles(value: bytes | None) -> tuple[str, ...]:
    if value is None:
        return ()
    (names,) = der.split(value)
    return texts_of(names)
