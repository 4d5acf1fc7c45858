"""The bodies that a client may send (RFC 9810 §5.3): strict, bounded, all others refused."""

from collections.abc import Callable, Mapping

from enroll.failures import Malformed
from protocols import der
from protocols.cmp.decode import guarded, infos_of, inner_of, parts_of, texts_of
from protocols.cmp.messages import (
    Body,
    BodyType,
    CertConfirmContent,
    CertificationRequest,
    CertReqMessages,
    CertStatus,
    ErrorMsgContent,
    FailInfo,
    GenMsgContent,
    NestedMessageContent,
    PKIMessage,
    PKIStatus,
    PKIStatusInfo,
    PollReqContent,
    POPODecKeyRespContent,
    RevDetails,
    RevReqContent,
)
from protocols.crmf.decode import read_message
from protocols.crmf.template import read_template
from protocols.limits import DEFAULT_LIMITS, DERLimits
from protocols.request_attributes import extension_values

_MAXIMUM = 20
_HASH_OCTETS = 64
_REASON_CODE = bytes.fromhex("0603551d15")
_STATUS_OPTIONS: tuple[list[int], ...] = (
    [],
    [der.SEQUENCE],
    [der.BIT_STRING],
    [der.SEQUENCE, der.BIT_STRING],
)


def decode_body(message: PKIMessage, limits: DERLimits = DEFAULT_LIMITS) -> Body:
    """Read the body of a message that came from `decode`. Raises EnrollmentError only.

    Finding `body_unsupported` is a body that nobody sends to this server.
    """
    read = _READERS.get(message.body_type)
    if read is None:
        raise Malformed(
            f"a message of type {message.body_type.name.lower()} is not served here",
            finding="body_unsupported",
        )

    def guarded_read() -> Body:
        (outer,) = der.split(message.body_octets)
        (content,) = der.split(outer.content)
        return read(content, limits)

    return guarded(guarded_read)


def _requests(content: der.Element, limits: DERLimits) -> CertReqMessages:
    del limits
    messages = _several(content, "CertReqMessages")
    return CertReqMessages(messages=tuple(read_message(each) for each in messages))


def _pkcs10(content: der.Element, limits: DERLimits) -> CertificationRequest:
    del limits
    if content.tag != der.SEQUENCE:
        raise Malformed("there is something else where a CertificationRequest should be")
    return CertificationRequest(der=content.whole)


def _confirmation(content: der.Element, limits: DERLimits) -> CertConfirmContent:
    del limits
    statuses = _several(content, "CertConfirmContent", least=0)
    return CertConfirmContent(statuses=tuple(_cert_status(each) for each in statuses))


def _cert_status(element: der.Element) -> CertStatus:
    cert_hash, number, *rest = _at_least(element, "CertStatus", der.OCTET_STRING, der.INTEGER)
    if not 0 < len(cert_hash.content) <= _HASH_OCTETS:
        raise Malformed(f"a certHash has 1 to {_HASH_OCTETS} octets")
    tags = [each.tag for each in rest]
    if tags not in ([], [der.SEQUENCE], [der.CONTEXT_0], [der.SEQUENCE, der.CONTEXT_0]):
        raise Malformed("a CertStatus holds what must not be there, or not so")
    by_tag = {each.tag: each for each in rest}
    info, algorithm = by_tag.get(der.SEQUENCE), by_tag.get(der.CONTEXT_0)
    return CertStatus(
        cert_hash=cert_hash.content,
        cert_req_id=_integer(number),
        status_info=_status_info(info) if info is not None else None,
        hash_alg=(
            inner_of(algorithm, der.SEQUENCE, "hashAlg").whole if algorithm is not None else None
        ),
    )


def _status_info(element: der.Element) -> PKIStatusInfo:
    status, *rest = _at_least(element, "PKIStatusInfo", der.INTEGER)
    if [each.tag for each in rest] not in _STATUS_OPTIONS:
        raise Malformed("a PKIStatusInfo holds what must not be there, or not so")
    by_tag = {each.tag: each for each in rest}
    texts, bits = by_tag.get(der.SEQUENCE), by_tag.get(der.BIT_STRING)
    return PKIStatusInfo(
        status=PKIStatus(_integer(status)),
        texts=texts_of(texts) if texts is not None else (),
        fail_info=_fail_info(bits.content) if bits is not None else frozenset(),
    )


def _fail_info(bits: bytes) -> frozenset[FailInfo]:
    """Read PKIFailureInfo; bits that have no name yet are passed over."""
    octets = bits[1:]
    return frozenset(
        each
        for each in FailInfo
        if each // 8 < len(octets) and octets[each // 8] & (0x80 >> each % 8)
    )


def _poll(content: der.Element, limits: DERLimits) -> PollReqContent:
    del limits
    numbers = []
    for each in _several(content, "PollReqContent"):
        number, *rest = _at_least(each, "a request of pollReq", der.INTEGER)
        if rest:
            raise Malformed("a request of pollReq is one number")
        numbers.append(_integer(number))
    return PollReqContent(cert_req_ids=tuple(numbers))


def _challenge_response(content: der.Element, limits: DERLimits) -> POPODecKeyRespContent:
    del limits
    numbers = _several(content, "POPODecKeyRespContent")
    if any(each.tag != der.INTEGER for each in numbers):
        raise Malformed("there is something else than numbers in a POPODecKeyRespContent")
    return POPODecKeyRespContent(numbers=tuple(each.content for each in numbers))


def _general(content: der.Element, limits: DERLimits) -> GenMsgContent:
    del limits
    return GenMsgContent(infos=infos_of(content))


def _revocations(content: der.Element, limits: DERLimits) -> RevReqContent:
    del limits
    details = _several(content, "RevReqContent")
    return RevReqContent(details=tuple(_rev_details(each) for each in details))


def _rev_details(element: der.Element) -> RevDetails:
    template, *rest = _at_least(element, "RevDetails", der.SEQUENCE)
    if [each.tag for each in rest] not in ([], [der.SEQUENCE]):
        raise Malformed("a RevDetails is a template, and perhaps extensions")
    extensions = der.split(rest[0].content) if rest else []
    # One by one: a reason that is there twice is told as such, and not as what cannot be read.
    values = (extension_values([each]) for each in extensions)
    return RevDetails(
        template=read_template(template, asks=False),
        reasons=tuple(each[_REASON_CODE] for each in values if _REASON_CODE in each),
    )


def _error(content: der.Element, limits: DERLimits) -> ErrorMsgContent:
    del limits
    info, *rest = _at_least(content, "ErrorMsgContent", der.SEQUENCE)
    tags = [each.tag for each in rest]
    if tags not in ([], [der.INTEGER], [der.SEQUENCE], [der.INTEGER, der.SEQUENCE]):
        raise Malformed("an ErrorMsgContent holds what must not be there, or not so")
    by_tag = {each.tag: each for each in rest}
    code, details = by_tag.get(der.INTEGER), by_tag.get(der.SEQUENCE)
    return ErrorMsgContent(
        status_info=_status_info(info),
        error_code=_integer(code) if code is not None else None,
        details=texts_of(details) if details is not None else (),
    )


def _nested(content: der.Element, limits: DERLimits) -> NestedMessageContent:
    del limits
    messages = _several(content, "NestedMessageContent")
    if any(each.tag != der.SEQUENCE for each in messages):
        raise Malformed("there is something else where a PKIMessage should be")
    return NestedMessageContent(messages=tuple(each.whole for each in messages))


def _several(content: der.Element, what: str, *, least: int = 1) -> list[der.Element]:
    found = parts_of(content, what)
    if not least <= len(found) <= _MAXIMUM:
        raise Malformed(f"{what} must be {least} to {_MAXIMUM} elements")
    return found


def _at_least(element: der.Element, what: str, *tags: int) -> list[der.Element]:
    """Split a SEQUENCE that begins with elements of these tags."""
    parts = parts_of(element, what)
    if [each.tag for each in parts[: len(tags)]] != [*tags]:
        raise Malformed(f"{what} does not begin as it must")
    return parts


def _integer(element: der.Element) -> int:
    return int.from_bytes(element.content, signed=True)


_READERS: Mapping[BodyType, Callable[[der.Element, DERLimits], Body]] = {
    BodyType.IR: _requests,
    BodyType.CR: _requests,
    BodyType.KUR: _requests,
    BodyType.P10CR: _pkcs10,
    BodyType.CERT_CONF: _confirmation,
    BodyType.POLL_REQ: _poll,
    BodyType.POPDECR: _challenge_response,
    BodyType.GENM: _general,
    BodyType.RR: _revocations,
    BodyType.ERROR: _error,
    BodyType.NESTED: _nested,
}
