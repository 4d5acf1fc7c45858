"""How SCEP words a failure: one total table, and the answers of HTTP where no CertRep can be."""

from collections.abc import Mapping

from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.plain_text import printable, text_answer
from protocols.scep.messages import FailInfo
from protocols.wire import ProtocolViolation, TransportFault, WireResponse

DEFAULT_RETRY_AFTER = 5
NO_STORE = ("Cache-Control", "no-store")

REFUSED = "The request is refused."
"""What everybody is told until something is proven: one text, whatever it was."""

# Reason to failInfo and failInfoText. Until the sender is proven nothing is told apart, for what
# is told of an envelope that was opened tells what is in it (errors.md, rule 2).
FAILURES: Mapping[FailureReason, tuple[FailInfo, str]] = {
    FailureReason.MALFORMED_REQUEST: (FailInfo.BAD_REQUEST, REFUSED),
    FailureReason.BAD_MESSAGE_CHECK: (
        FailInfo.BAD_MESSAGE_CHECK,
        "The signature of the message cannot be verified.",
    ),
    FailureReason.UNSUPPORTED_ALGORITHM: (
        FailInfo.BAD_ALG,
        "The message uses an algorithm not allowed here.",
    ),
    FailureReason.BAD_TIME: (
        FailInfo.BAD_TIME,
        "The time in the message is too far from the server's.",
    ),
    FailureReason.BAD_PROOF_OF_POSSESSION: (FailInfo.BAD_REQUEST, REFUSED),
    FailureReason.NOT_AUTHENTICATED: (FailInfo.BAD_REQUEST, REFUSED),
    FailureReason.SIGNER_NOT_TRUSTED: (FailInfo.BAD_REQUEST, REFUSED),
    FailureReason.UNKNOWN_DEVICE: (FailInfo.BAD_REQUEST, "This enrollment is not permitted."),
    FailureReason.NOT_AUTHORIZED: (FailInfo.BAD_REQUEST, "This enrollment is not permitted."),
    FailureReason.BAD_CERTIFICATE_TEMPLATE: (
        FailInfo.BAD_REQUEST,
        "No certificate can be issued for what the request asks.",
    ),
    FailureReason.UNACCEPTED_EXTENSION: (
        FailInfo.BAD_REQUEST,
        "The request asks for an extension not allowed.",
    ),
    FailureReason.CERTIFICATE_UNKNOWN: (
        FailInfo.BAD_CERT_ID,
        "The certificate or transaction is not known.",
    ),
    FailureReason.CERTIFICATE_REVOKED: (
        FailInfo.BAD_REQUEST,
        "The signing certificate is revoked.",
    ),
    FailureReason.TRANSACTION_CONFLICT: (
        FailInfo.BAD_REQUEST,
        "Another request of this device is in progress.",
    ),
    FailureReason.RATE_LIMITED: (
        FailInfo.BAD_REQUEST,
        "Too many failed attempts from this address; wait.",
    ),
    FailureReason.CA_UNAVAILABLE: (
        FailInfo.BAD_REQUEST,
        "The certification authority is not available; try again.",
    ),
    FailureReason.INTERNAL: (FailInfo.BAD_REQUEST, "The server failed."),
}
# What is answered by HTTP although a CertRep could be made: SCEP has no word for "later".
_LATER: Mapping[FailureReason, int] = {
    FailureReason.RATE_LIMITED: 429,
    FailureReason.CA_UNAVAILABLE: 503,
}
_TRANSPORT_FAULTS: Mapping[TransportFault, tuple[int, str]] = {
    TransportFault.LENGTH_REQUIRED: (411, "The length of the message must be given."),
    TransportFault.TOO_LARGE: (413, "The message is too large."),
    TransportFault.BODY_TIMEOUT: (408, "The message took too long to arrive."),
    TransportFault.CONTENT_ENCODING: (415, "Send the message without a content encoding."),
}
_FIELD_IS_TOLD = frozenset(
    {
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        FailureReason.UNACCEPTED_EXTENSION,
        FailureReason.NOT_AUTHORIZED,
    }
)
# What is said instead to whoever proved a certificate, where that helps and tells no secret.
_SAID: Mapping[str, str] = {
    "certificate_expired": "The signing certificate has expired.",
    "certificate_not_yet_valid": "The signing certificate is not valid yet.",
    "renewal_too_early": "It is too early to renew.",
    "no_recipient_key": "There is no way to encrypt an answer to this key.",
}


def word(rejected: Rejected) -> tuple[FailInfo, str]:
    """Give failInfo and failInfoText for a refusal."""
    fail_info, sentence = FAILURES[rejected.reason]
    if sentence == REFUSED:
        return fail_info, sentence
    sentence = _SAID.get(rejected.finding, sentence)
    if rejected.field is not None and rejected.reason in _FIELD_IS_TOLD:
        sentence = f"{sentence} Field: {printable(rejected.field)}."
    if rejected.reason is FailureReason.INTERNAL:
        sentence = f"{sentence} Correlation id: {printable(rejected.correlation_id)}"
    return fail_info, sentence


def is_for_later(rejected: Rejected) -> bool:
    """Tell whether HTTP says that it may be tried again."""
    return rejected.reason in _LATER


def encode_http(rejected: Rejected) -> WireResponse:
    """Answer by HTTP alone: nothing could be signed, or it is to be tried again later."""
    status = _LATER.get(rejected.reason, 500 if rejected.reason is FailureReason.INTERNAL else 400)
    headers: tuple[tuple[str, str], ...] = (NO_STORE,)
    sentence = "This is no message that can be answered."
    if rejected.reason in _LATER or rejected.reason is FailureReason.INTERNAL:
        sentence = FAILURES[rejected.reason][1]
    if rejected.reason in _LATER:
        wait = rejected.retry_after if rejected.retry_after is not None else DEFAULT_RETRY_AFTER
        headers = (("Retry-After", str(max(1, wait))), NO_STORE)
    return text_answer(status, sentence, rejected.correlation_id, headers)


def unreadable(correlation_id: str, finding: str, detail: str) -> ProtocolViolation:
    response = text_answer(
        400, "This is no message that can be answered.", correlation_id, (NO_STORE,)
    )
    return ProtocolViolation(response, finding, detail)


def unknown_profile(correlation_id: str, label: str) -> ProtocolViolation:
    response = text_answer(404, "There is no such profile here.", correlation_id)
    return ProtocolViolation(
        response, "unknown_profile", f"no profile {label!r} is reached by SCEP"
    )


def unknown_operation(correlation_id: str, operation: str) -> ProtocolViolation:
    response = text_answer(400, "There is no such operation.", correlation_id)
    return ProtocolViolation(response, "unknown_operation", f"operation is {operation!r}")


def nothing_next(correlation_id: str) -> ProtocolViolation:
    response = text_answer(404, "There is no next certification authority.", correlation_id)
    return ProtocolViolation(
        response, "no_next_ca", "there is none that is published and could be told of"
    )


def method_not_allowed(correlation_id: str) -> ProtocolViolation:
    response = text_answer(
        405, "Only GET and POST are served here.", correlation_id, (("Allow", "GET, POST"),)
    )
    return ProtocolViolation(response, "method_not_allowed", "the method is neither GET nor POST")


def transport_fault(correlation_id: str, fault: TransportFault) -> ProtocolViolation:
    status, sentence = _TRANSPORT_FAULTS[fault]
    response = text_answer(status, sentence, correlation_id, close=True)
    return ProtocolViolation(response, fault.value, sentence)
