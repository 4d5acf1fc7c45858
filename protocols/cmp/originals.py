"""What a registration authority shows of the messages that it replaced (RFC 9810 §5.1.1.3)."""

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import CertificateRequest
from protocols import der, pkcs10
from protocols.cmp.bodies import decode_body
from protocols.cmp.decode import decode, guarded, parts_of
from protocols.cmp.messages import (
    BodyType,
    CertificationRequest,
    CertReqMessages,
    PKIHeader,
    PKIMessage,
)
from protocols.cmp.protection import check_mac_algorithm, check_protection, is_mac
from protocols.cmp.senders import by_signature
from protocols.crmf.request import to_certificate_request
from protocols.limits import DERLimits

_REPLACED = frozenset({BodyType.IR, BodyType.CR, BodyType.P10CR})
"""What may be protected anew: a kur has to stay as it was signed (RFC 9483 §5.2.3)."""


def read_originals(header: PKIHeader, count: int, limits: DERLimits) -> tuple[PKIMessage, ...]:
    """Read origPKIMessage: none, or as many messages as there are (cmp-N4). Raises Malformed."""
    value = header.originals
    if value is None:
        return ()

    def read() -> tuple[PKIMessage, ...]:
        elements = der.split(value)
        messages = parts_of(elements[0], "PKIMessages") if len(elements) == 1 else []
        if len(messages) != count:
            raise Malformed(
                f"origPKIMessage has to hold the original of every message: {count} of them",
                finding="original_count",
            )
        return tuple(decode(each.whole, limits) for each in messages)

    return guarded(read)


def check_original(header: PKIHeader, wanted: CertificateRequest, limits: DERLimits) -> None:
    """Check that the original, where it is shown, is of this request and proves the same key.

    Its signature has to hold. A MAC is between its sender and whoever replaced it: only they know
    the secret. Raises Malformed, EnrollmentError (BAD_MESSAGE_CHECK, UNSUPPORTED_ALGORITHM,
    BAD_PROOF_OF_POSSESSION, BAD_CERTIFICATE_TEMPLATE).
    """
    for original in read_originals(header, 1, limits):
        own = original.header
        if original.body_type not in _REPLACED:
            raise _of_another("the original message asks for no certificate")
        if (own.transaction_id, own.sender_nonce) != (header.transaction_id, header.sender_nonce):
            raise _of_another("the original message has another transactionID or senderNonce")
        check_protection(original)
        if is_mac(original):
            check_mac_algorithm(original)
        else:
            by_signature(original)
        if _asked_for(original, limits).spki_sha256 != wanted.spki_sha256:
            raise _of_another("the original message asks for another key")


def _asked_for(original: PKIMessage, limits: DERLimits) -> CertificateRequest:
    body = decode_body(original, limits)
    if isinstance(body, CertificationRequest):
        return pkcs10.decode(body.der, limits)
    assert isinstance(body, CertReqMessages)  # noqa: S101 - by its type; for the type checker
    if len(body.messages) != 1:
        raise _of_another("the original message asks for several certificates")
    return to_certificate_request(body.messages[0], limits)


def _of_another(detail: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.BAD_MESSAGE_CHECK, detail, finding="original_message")
