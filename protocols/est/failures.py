"""How EST words a failure or a wait: one total table, and the answers of HTTP below it."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from enroll.credentials import SECRETS
from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.plain_text import PLAIN_TEXT, printable, text_answer
from protocols.wire import ProtocolViolation, TransportFault, WireResponse

Headers = tuple[tuple[str, str], ...]
DEFAULT_RETRY_AFTER = 5
_NO_OPERATION = "There is no such operation here."

# Status and sentence for every reason. UNKNOWN_DEVICE and NOT_AUTHORIZED are one and the same on
# the wire, so that nobody learns which devices there are.
FAILURES: Mapping[FailureReason, tuple[int, str]] = {
    FailureReason.MALFORMED_REQUEST: (
        400,
        "The request is not a PKCS#10 certification request in base64 of DER.",
    ),
    FailureReason.BAD_MESSAGE_CHECK: (400, "The integrity of the request cannot be verified."),
    FailureReason.UNSUPPORTED_ALGORITHM: (400, "The request uses an algorithm not allowed here."),
    FailureReason.BAD_TIME: (400, "The time in the request is too far from the server's."),
    FailureReason.BAD_PROOF_OF_POSSESSION: (
        400,
        "The request does not prove possession of its private key.",
    ),
    FailureReason.NOT_AUTHENTICATED: (401, "A valid credential is needed."),
    FailureReason.SIGNER_NOT_TRUSTED: (403, "The client certificate is not trusted here."),
    FailureReason.UNKNOWN_DEVICE: (403, "This enrollment is not permitted."),
    FailureReason.NOT_AUTHORIZED: (403, "This enrollment is not permitted."),
    FailureReason.BAD_CERTIFICATE_TEMPLATE: (
        400,
        "No certificate can be issued for what the request asks.",
    ),
    FailureReason.UNACCEPTED_EXTENSION: (400, "The request asks for an extension not allowed."),
    FailureReason.CERTIFICATE_UNKNOWN: (403, "The certificate or transaction is not known."),
    FailureReason.CERTIFICATE_REVOKED: (403, "The client certificate is revoked."),
    FailureReason.TRANSACTION_CONFLICT: (409, "Another request of this device is in progress."),
    FailureReason.RATE_LIMITED: (429, "Too many failed attempts from this address; wait."),
    FailureReason.CA_UNAVAILABLE: (503, "The certification authority is not available; try again."),
    FailureReason.INTERNAL: (500, "The server failed; its operator finds why under this id."),
}

_TRANSPORT_FAULTS: Mapping[TransportFault, tuple[int, str, tuple[tuple[str, str], ...]]] = {
    TransportFault.LENGTH_REQUIRED: (411, "Send Content-Length, or a chunked body.", ()),
    TransportFault.TOO_LARGE: (413, "The request is too large.", ()),
    TransportFault.BODY_TIMEOUT: (408, "The request did not arrive in time.", ()),
    TransportFault.CONTENT_ENCODING: (
        415,
        "Send the request without Content-Encoding.",
        (("Accept-Encoding", "identity"),),
    ),
}
# What another credential may help against. A certificate that is good but not enough is told 403.
_UNPROVEN = frozenset(
    {
        FailureReason.NOT_AUTHENTICATED,
        FailureReason.SIGNER_NOT_TRUSTED,
        FailureReason.CERTIFICATE_REVOKED,
    }
)
_FIELD_IS_TOLD = frozenset(
    {
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        FailureReason.UNACCEPTED_EXTENSION,
        FailureReason.BAD_PROOF_OF_POSSESSION,
        FailureReason.UNSUPPORTED_ALGORITHM,
    }
)
_NAMES = frozenset({"subject", "subjectAltName"})
# What is said instead to the holder of a certificate that is good but for its time (est-T7), and
# to who waited for a person's decision (est-E4).
_PLAINLY = {
    "certificate_expired": "The client certificate has expired.",
    "certificate_not_yet_valid": "The client certificate is not valid yet.",
    "approval_rejected": "This enrollment was rejected.",
    "approval_expired": "Nobody decided on this enrollment in time.",
    "approval_cancelled": "This enrollment was cancelled.",
    "key_generation_limit": "Too many keys were asked for; wait.",
    "cipher_too_weak": "The TLS cipher is weaker than the key that it would carry.",
    "cipher_unknown": "Here a key is only sent encrypted; name a key to encrypt it with.",
}
# RFC 7030 §3.5: the text tells what is required. A wrong value and none that could be compared are
# told apart for the operator only.
_LINKING_FAILED = (
    "POP linking failed: linking of identity and proof-of-possession failed, for the "
    "challengePassword is not this TLS connection's channel binding."
)
_LINKING = {
    "linking_required": (
        "POP linking failed: linking of identity and proof-of-possession is required, by this "
        "TLS connection's channel binding as challengePassword."
    ),
    "linking_failed": _LINKING_FAILED,
    "linking_unavailable": _LINKING_FAILED,
}


def encode_rejection(
    rejected: Rejected, *, authorization_shown: bool, challenges: Callable[[], Headers]
) -> WireResponse:
    """Answer a refusal: a fixed sentence and the correlation id, or an empty 401 with challenges.

    401 and 403 change places by whether the profile takes HTTP authentication and whether the
    request carried any (RFC 7030 §3.2.3, RFC 9110 §15.5.2).
    """
    status, _ = FAILURES[rejected.reason]
    if rejected.reason in _UNPROVEN:
        status = _unproven_status(status, rejected, authorization_shown=authorization_shown)
    if status == HTTPStatus.UNAUTHORIZED:
        # Bouncy Castle 1.72 cannot take a body here.
        return WireResponse(status=status, media_type=PLAIN_TEXT, headers=challenges())
    return _in_words(status, rejected)


def encode_words(rejected: Rejected) -> WireResponse:
    """Answer a refusal where HTTP authentication would not help: never by 401, and in words."""
    status, _ = FAILURES[rejected.reason]
    return _in_words(
        HTTPStatus.FORBIDDEN if status == HTTPStatus.UNAUTHORIZED else status, rejected
    )


def encode_sentence(status: int, sentence: str, correlation_id: str) -> WireResponse:
    """Answer in other words than the table's."""
    return text_answer(status, sentence, correlation_id, ())


def _in_words(status: int, rejected: Rejected) -> WireResponse:
    _, sentence = FAILURES[rejected.reason]
    headers: tuple[tuple[str, str], ...] = ()
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        wait = rejected.retry_after if rejected.retry_after is not None else DEFAULT_RETRY_AFTER
        headers = (("Retry-After", str(max(1, wait))),)
    if rejected.finding == "key_generation_off":
        status, sentence = HTTPStatus.NOT_FOUND, _NO_OPERATION
    if rejected.reason in {FailureReason.NOT_AUTHORIZED, FailureReason.RATE_LIMITED}:
        sentence = _PLAINLY.get(rejected.finding, sentence)
    if rejected.finding == "attributes_missing":
        sentence = "The request lacks what /csrattrs asks for."
    if rejected.reason is FailureReason.BAD_PROOF_OF_POSSESSION:
        sentence = _LINKING.get(rejected.finding, sentence)
    if rejected.field is not None and _may_name_field(rejected):
        sentence = f"{sentence} Field: {printable(rejected.field)}."
    return text_answer(status, sentence, rejected.correlation_id, headers)


def encode_pending(retry_after: int) -> WireResponse:
    """Ask to repeat the request later (RFC 7030 §4.2.3): in seconds, for libest reads no date."""
    headers = (("Retry-After", str(max(1, retry_after))),)
    return WireResponse(status=202, media_type=PLAIN_TEXT, headers=headers)


def unknown_path(correlation_id: str, detail: str) -> ProtocolViolation:
    return _violation(404, _NO_OPERATION, "unknown_path", correlation_id, detail)


def unknown_profile(correlation_id: str, label: str) -> ProtocolViolation:
    return _violation(
        404,
        _NO_OPERATION,
        "unknown_profile",
        correlation_id,
        f"no profile {label!r} is reached by EST",
    )


def method_not_allowed(correlation_id: str, allowed: tuple[str, ...]) -> ProtocolViolation:
    methods = ", ".join(allowed)
    return _violation(
        405,
        f"This operation takes {methods} only.",
        "method_not_allowed",
        correlation_id,
        f"the operation takes {methods} only",
        (("Allow", methods),),
    )


def unsupported_media_type(correlation_id: str, given: str, wanted: str) -> ProtocolViolation:
    return _violation(
        415,
        f"Send the request as {wanted}.",
        "unsupported_media_type",
        correlation_id,
        f"Content-Type is {given[:100]!r}",
        (("Accept", wanted),),
    )


def transport_fault(correlation_id: str, fault: TransportFault) -> ProtocolViolation:
    status, sentence, headers = _TRANSPORT_FAULTS[fault]
    return ProtocolViolation(
        text_answer(status, sentence, correlation_id, headers, close=True), fault.value, sentence
    )


def _unproven_status(status: int, rejected: Rejected, *, authorization_shown: bool) -> int:
    offered = rejected.profile is None or rejected.profile.est.http_authentication
    if rejected.accepted.isdisjoint(SECRETS) or not offered:
        return HTTPStatus.FORBIDDEN
    return status if authorization_shown else HTTPStatus.UNAUTHORIZED


def _violation(
    status: int,
    sentence: str,
    finding: str,
    correlation_id: str,
    detail: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> ProtocolViolation:
    return ProtocolViolation(
        text_answer(status, sentence, correlation_id, headers), finding, detail
    )


def _may_name_field(rejected: Rejected) -> bool:
    """Tell whether the caller may learn which part of the request is at fault."""
    if rejected.reason is FailureReason.NOT_AUTHORIZED:
        return rejected.field in _NAMES
    return rejected.reason in _FIELD_IS_TOLD
