"""How CMP words a failure: one total table, and the answers of HTTP where no PKIMessage can be."""

from collections.abc import Mapping

from enroll.failures import FailureReason
from enroll.result import Rejected
from protocols.cmp.messages import FailInfo, PKIStatus, PKIStatusInfo
from protocols.plain_text import printable, text_answer
from protocols.wire import ProtocolViolation, TransportFault, WireResponse

DEFAULT_RETRY_AFTER = 5
NO_STORE = ("Cache-Control", "no-store")
_UNREADABLE = "This is no CMP message that can be answered."

NOT_VERIFIED = "The protection of the message cannot be verified."
"""What everybody is told whose protection did not hold: one text, whatever it was."""

# Reason to failInfo and statusString.
FAILURES: Mapping[FailureReason, tuple[FailInfo, str]] = {
    FailureReason.MALFORMED_REQUEST: (
        FailInfo.BAD_DATA_FORMAT,
        "The message cannot be read.",
    ),
    FailureReason.BAD_MESSAGE_CHECK: (FailInfo.BAD_MESSAGE_CHECK, NOT_VERIFIED),
    FailureReason.UNSUPPORTED_ALGORITHM: (
        FailInfo.BAD_ALG,
        "The message uses an algorithm, or parameters of one, not allowed here.",
    ),
    FailureReason.BAD_TIME: (
        FailInfo.BAD_TIME,
        "The time in the message is too far from the server's.",
    ),
    FailureReason.BAD_PROOF_OF_POSSESSION: (
        FailInfo.BAD_POP,
        "The request does not prove possession of its private key.",
    ),
    FailureReason.NOT_AUTHENTICATED: (FailInfo.BAD_MESSAGE_CHECK, NOT_VERIFIED),
    FailureReason.SIGNER_NOT_TRUSTED: (
        FailInfo.SIGNER_NOT_TRUSTED,
        "The certificate that signs the message is not trusted here.",
    ),
    # One and the same, so that nobody learns which devices there are.
    FailureReason.UNKNOWN_DEVICE: (
        FailInfo.NOT_AUTHORIZED,
        "This enrollment is not permitted.",
    ),
    FailureReason.NOT_AUTHORIZED: (
        FailInfo.NOT_AUTHORIZED,
        "This enrollment is not permitted.",
    ),
    FailureReason.BAD_CERTIFICATE_TEMPLATE: (
        FailInfo.BAD_CERT_TEMPLATE,
        "No certificate can be issued for what the request asks.",
    ),
    FailureReason.UNACCEPTED_EXTENSION: (
        FailInfo.UNACCEPTED_EXTENSION,
        "The request asks for an extension not allowed.",
    ),
    FailureReason.CERTIFICATE_UNKNOWN: (
        FailInfo.BAD_CERT_ID,
        "The certificate is not known.",
    ),
    FailureReason.CERTIFICATE_REVOKED: (
        FailInfo.CERT_REVOKED,
        "The certificate is revoked.",
    ),
    FailureReason.TRANSACTION_CONFLICT: (
        FailInfo.TRANSACTION_ID_IN_USE,
        "Another request of this device is in progress, or its transactionID was used before.",
    ),
    FailureReason.RATE_LIMITED: (
        FailInfo.SYSTEM_UNAVAIL,
        "Too many failed attempts from this address; wait.",
    ),
    FailureReason.CA_UNAVAILABLE: (
        FailInfo.SYSTEM_UNAVAIL,
        "The certification authority is not available; try again.",
    ),
    FailureReason.INTERNAL: (
        FailInfo.SYSTEM_FAILURE,
        "The server failed; its operator finds why under this id.",
    ),
}
# What RFC 9483 §3.5 has a bit of its own for, and no reason of ours tells.
_BY_FINDING: Mapping[str, tuple[FailInfo, str]] = {
    "body_unsupported": (FailInfo.BAD_REQUEST, "Messages of this type are not served here."),
    "body_of_another_operation": (
        FailInfo.BAD_REQUEST,
        "The message is not of the operation that its address names.",
    ),
    "request_count": (FailInfo.BAD_REQUEST, "Ask for one certificate in a message."),
    "request_number": (FailInfo.BAD_REQUEST, "The certReqId is not the one that it must be."),
    "info_value": (
        FailInfo.BAD_REQUEST,
        "A question in the genm has a value that it must not have, or lacks the one it must.",
    ),
    "question_twice": (FailInfo.BAD_REQUEST, "Ask for each thing once in a message."),
    "question_count": (FailInfo.BAD_REQUEST, "Ask for one thing in a message, and for one known."),
    "language_unknown": (FailInfo.BAD_REQUEST, "Texts are written in English (en) here."),
    "passphrase_unsupported": (
        FailInfo.BAD_REQUEST,
        "Passphrases for revocations are not kept here; revoke with the certificate.",
    ),
    "cert_profile_unknown": (
        FailInfo.BAD_CERT_TEMPLATE,
        "certProfile names no profile that is served here.",
    ),
    "cert_profile_contradiction": (
        FailInfo.BAD_CERT_TEMPLATE,
        "certProfile and the address name different profiles.",
    ),
    "transaction_unknown": (FailInfo.BAD_REQUEST, "There is no such transaction."),
    "transaction_state": (
        FailInfo.BAD_REQUEST,
        "The message does not belong into this state of the transaction.",
    ),
    "transaction_id_missing": (FailInfo.BAD_DATA_FORMAT, "The message has no transactionID."),
    "version_unsupported": (FailInfo.UNSUPPORTED_VERSION, "The pvno must be 2 or 3."),
    "sender_nonce": (
        FailInfo.BAD_SENDER_NONCE,
        "The senderNonce must be there, fresh and of 128 bits at least.",
    ),
    "key_wish_version": (FailInfo.BAD_REQUEST, "A key is made for messages of pvno 3 only."),
    "recipient_key": (
        FailInfo.NOT_AUTHORIZED,
        "Nothing can be encrypted to the key that signs the message.",
    ),
    "recipient_key_usage": (
        FailInfo.NOT_AUTHORIZED,
        "The certificate that signs the message must permit keyEncipherment or keyAgreement.",
    ),
    "key_generation_off": (FailInfo.NOT_AUTHORIZED, "No keys are made here; bring one."),
    "recipient_nonce": (
        FailInfo.BAD_RECIPIENT_NONCE,
        "The recipNonce is not the senderNonce of the message before.",
    ),
    "recipient_nonce_unasked": (
        FailInfo.BAD_RECIPIENT_NONCE,
        "The first message of a transaction has no recipNonce.",
    ),
    "message_time_missing": (FailInfo.BAD_TIME, "The message has no messageTime."),
    "sender_kid_missing": (FailInfo.BAD_MESSAGE_CHECK, "The message has no senderKID."),
    "sender_not_reference": (
        FailInfo.BAD_MESSAGE_CHECK,
        "The sender's common name must be the reference that is in senderKID.",
    ),
    "extra_certs_order": (
        FailInfo.BAD_MESSAGE_CHECK,
        "extraCerts must begin with the certificate that signs, each followed by its issuer's.",
    ),
    "implicit_confirm": (
        FailInfo.BAD_REQUEST,
        "implicitConfirm must be NULL, and without confirmWaitTime.",
    ),
    "profile_count": (FailInfo.BAD_REQUEST, "certProfile must name one profile."),
    "wrong_integrity": (
        FailInfo.WRONG_INTEGRITY,
        "The message must be protected in another way.",
    ),
    "mac_changed": (
        FailInfo.BAD_MESSAGE_CHECK,
        "The transaction goes on with the MAC algorithm that it began with.",
    ),
    "protection_missing": (FailInfo.BAD_MESSAGE_CHECK, "The message is not protected."),
    "revocation_reason": (FailInfo.BAD_DATA_FORMAT, "The reason of the revocation is none."),
    "revocation_reasons": (FailInfo.BAD_REQUEST, "Give one reason to revoke a certificate."),
    "revocation_too_late": (FailInfo.CERT_REVOKED, "The certificate has expired."),
    "certificate_unnamed": (
        FailInfo.ADD_INFO_NOT_AVAILABLE,
        "Name the certificate by its issuer and serial number.",
    ),
    "certificate_mismatch": (
        FailInfo.BAD_CERT_ID,
        "The certificate of this issuer and serial number is not as the template says.",
    ),
    "certificate_named_twice": (FailInfo.BAD_REQUEST, "The certificate is named twice."),
    "certificate_on_hold": (FailInfo.CERT_REVOKED, "The certificate is on hold."),
    "not_on_hold": (FailInfo.BAD_REQUEST, "The certificate is not on hold."),
    "held_by_another": (
        FailInfo.NOT_AUTHORIZED,
        "The certificate is to be released by whoever put it on hold.",
    ),
    "certificate_confirmed": (
        FailInfo.CERT_CONFIRMED,
        "The certificate has been confirmed before.",
    ),
    "pbes2_in_pbmac1": (
        FailInfo.BAD_ALG,
        "PBMAC1 names PBES2 (1.2.840.113549.1.5.13) where PBKDF2 belongs; update the client.",
    ),
    "name_changed": (
        FailInfo.BAD_CERT_TEMPLATE,
        "The names must be those of the certificate that is renewed.",
    ),
    "certificate_expired": (FailInfo.SIGNER_NOT_TRUSTED, "The signing certificate has expired."),
    "certificate_not_yet_valid": (
        FailInfo.SIGNER_NOT_TRUSTED,
        "The signing certificate is not valid yet.",
    ),
    "renewal_too_early": (FailInfo.NOT_AUTHORIZED, "It is too early to renew."),
    "possession_vouched": (
        FailInfo.NOT_AUTHORIZED,
        "Only a registration authority may say raVerified, and only of a new request.",
    ),
    "protection_replaced": (
        FailInfo.NOT_AUTHORIZED,
        "Hand this message on as it is, or add your protection in a nested message.",
    ),
    "original_message": (
        FailInfo.BAD_MESSAGE_CHECK,
        "The message in origPKIMessage is not the original of this one.",
    ),
    "original_count": (
        FailInfo.BAD_DATA_FORMAT,
        "origPKIMessage must hold the original of each message, in their order.",
    ),
    "nested_depth": (
        FailInfo.BAD_REQUEST,
        "Messages within messages are taken one within another, no deeper, and few at a time.",
    ),
    "nested_transaction": (
        FailInfo.BAD_REQUEST,
        "The ids of a nested message are those of the one that it protects, or a batch's own.",
    ),
    "relay_not_authorized": (
        FailInfo.NOT_AUTHORIZED,
        "Only a registration authority may send nested messages.",
    ),
    "cross_certification": (
        FailInfo.NOT_AUTHORIZED,
        "Cross-certificates are not issued here.",
    ),
    "control_misplaced": (
        FailInfo.BAD_REQUEST,
        "regToken belongs into ir, and oldCertID into kur.",
    ),
    "archive_wanted": (FailInfo.BAD_REQUEST, "Private keys are not archived here."),
    "pop_version": (
        FailInfo.BAD_POP,
        "What is to be decrypted with a key of this kind is sent in messages of pvno 3.",
    ),
    "pop_answer": (FailInfo.BAD_POP, "The number is not the one of the challenge."),
    "approval_rejected": (FailInfo.NOT_AUTHORIZED, "This enrollment was rejected."),
    "approval_expired": (FailInfo.SYSTEM_UNAVAIL, "Nobody decided on this enrollment in time."),
    "approval_cancelled": (FailInfo.NOT_AUTHORIZED, "This enrollment was cancelled."),
}
_OTHER_KEY = (FailInfo.BAD_CERT_TEMPLATE, "No certificate is issued for this key; make another.")
"""RFC 9483 §3.6.4 leaves it to policy whether a key gets more than one certificate."""

_FIELD_IS_TOLD = frozenset(
    {
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        FailureReason.UNACCEPTED_EXTENSION,
        FailureReason.BAD_PROOF_OF_POSSESSION,
        FailureReason.UNSUPPORTED_ALGORITHM,
    }
)
_TRANSPORT_FAULTS: Mapping[TransportFault, tuple[int, str]] = {
    TransportFault.LENGTH_REQUIRED: (411, "The length of the message must be given."),
    TransportFault.TOO_LARGE: (413, "The message is too large."),
    TransportFault.BODY_TIMEOUT: (408, "The message took too long to arrive."),
    TransportFault.CONTENT_ENCODING: (415, "Send the message without a content encoding."),
}
# What is answered by HTTP although a PKIMessage could be made, for nothing has been read yet.
_LATER: Mapping[FailureReason, int] = {
    FailureReason.RATE_LIMITED: 429,
    FailureReason.CA_UNAVAILABLE: 503,
    FailureReason.INTERNAL: 500,
}


def word(rejected: Rejected) -> PKIStatusInfo:
    """Give status, failInfo and statusString for a refusal."""
    fail_info, sentence = _find(rejected)
    if rejected.field is not None and rejected.reason in _FIELD_IS_TOLD:
        sentence = f"{sentence} Field: {printable(rejected.field)}."
    correlation = f"Correlation id: {printable(rejected.correlation_id)}"
    return PKIStatusInfo(
        status=PKIStatus.REJECTION,
        texts=(f"{sentence} {correlation}",),
        fail_info=frozenset({fail_info}),
    )


def _find(rejected: Rejected) -> tuple[FailInfo, str]:
    """Look up what is told; a secret that failed is told in one way, whatever was found."""
    if rejected.reason in {FailureReason.NOT_AUTHENTICATED, FailureReason.UNKNOWN_DEVICE}:
        return FAILURES[rejected.reason]
    if rejected.reason is FailureReason.NOT_AUTHORIZED and rejected.field == "publicKey":
        return _OTHER_KEY
    return _BY_FINDING.get(rejected.finding, FAILURES[rejected.reason])


def encode_http(rejected: Rejected) -> WireResponse:
    """Answer by HTTP alone: nothing could be read or protected, or it may be tried again later."""
    status = _LATER.get(rejected.reason, 400)
    sentence, headers = _UNREADABLE, [NO_STORE]
    if rejected.reason in _LATER:
        sentence = FAILURES[rejected.reason][1]
    if rejected.reason in {FailureReason.RATE_LIMITED, FailureReason.CA_UNAVAILABLE}:
        wait = rejected.retry_after if rejected.retry_after is not None else DEFAULT_RETRY_AFTER
        headers.append(("Retry-After", str(max(1, wait))))
    return text_answer(status, sentence, rejected.correlation_id, tuple(headers))


def unreadable(correlation_id: str, finding: str, detail: str) -> ProtocolViolation:
    response = text_answer(400, _UNREADABLE, correlation_id, (NO_STORE,))
    return ProtocolViolation(response, finding, detail)


def unknown_path(correlation_id: str, detail: str) -> ProtocolViolation:
    response = text_answer(404, "There is no such operation here.", correlation_id)
    return ProtocolViolation(response, "unknown_path", detail)


def unknown_profile(correlation_id: str, label: str) -> ProtocolViolation:
    response = text_answer(404, "There is no such profile here.", correlation_id)
    return ProtocolViolation(response, "unknown_profile", f"no profile {label!r} is reached by CMP")


def method_not_allowed(correlation_id: str) -> ProtocolViolation:
    response = text_answer(405, "Only POST is served here.", correlation_id, (("Allow", "POST"),))
    return ProtocolViolation(response, "method_not_allowed", "the method is not POST")


def unsupported_media_type(correlation_id: str, given: str, wanted: str) -> ProtocolViolation:
    response = text_answer(
        415, f"Send the message as {wanted}.", correlation_id, (("Accept", wanted),)
    )
    return ProtocolViolation(response, "unsupported_media_type", f"Content-Type is {given[:100]!r}")


def transport_fault(correlation_id: str, fault: TransportFault) -> ProtocolViolation:
    status, sentence = _TRANSPORT_FAULTS[fault]
    response = text_answer(status, sentence, correlation_id, close=True)
    return ProtocolViolation(response, fault.value, sentence)
