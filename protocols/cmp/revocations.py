"""rr and rp: which certificates are to be stopped, and what became of it (RFC 9483 §4.2)."""

from collections.abc import Mapping
from functools import partial

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enroll.certificates import Measure, RevocationReason
from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.options import CMPOptions
from enroll.request import RevocationRequest, RevocationWish
from enroll.result import Rejected, RevocationResult
from protocols import der
from protocols.cmp import failures
from protocols.cmp.encode import ACCEPTED, encode_revocation_response
from protocols.cmp.enrollments import Asked
from protocols.cmp.exchanges import key_for
from protocols.cmp.messages import RevDetails, RevReqContent
from protocols.cmp.senders import ByMAC
from protocols.cmp.strictness import WINDOW
from protocols.cmp.terms import Terms
from protocols.crmf.messages import CertTemplate
from protocols.limits import DERLimits, check_der
from protocols.wire import Revocation, WireResponse

_ENUMERATED = 0x0A
_REMOVE_FROM_CRL = 8
# RFC 5280 §5.3.1: 7 is not used, and 8 is no reason to revoke.
_REASONS: Mapping[int, RevocationReason] = {
    0: RevocationReason.UNSPECIFIED,
    1: RevocationReason.KEY_COMPROMISE,
    2: RevocationReason.CA_COMPROMISE,
    3: RevocationReason.AFFILIATION_CHANGED,
    4: RevocationReason.SUPERSEDED,
    5: RevocationReason.CESSATION_OF_OPERATION,
    6: RevocationReason.CERTIFICATE_HOLD,
    _REMOVE_FROM_CRL: RevocationReason.UNSPECIFIED,
    9: RevocationReason.PRIVILEGE_WITHDRAWN,
    10: RevocationReason.AA_COMPROMISE,
}


def open_revocations(asked: Asked, terms: Terms) -> Revocation:
    """Read a request to stop certificates.

    Raises Malformed for one under a MAC where the profile takes none, and where it is strict for
    one about several certificates; what is wrong with one of them is told in its own status.
    """
    assert isinstance(asked.body, RevReqContent)  # noqa: S101 - the caller tells bodies apart
    options, details = terms.profile.cmp, asked.body.details
    if isinstance(asked.sender, ByMAC) and not options.mac_revocation:
        raise Malformed("a revocation is signed here", finding="wrong_integrity")
    if options.strict and len(details) != 1:
        raise Malformed("a message revokes one certificate here", finding="request_count")
    wishes = [
        _timely(_wish(each, terms.limits, strict=options.strict), asked, options)
        for each in details
    ]
    return Revocation(
        request=RevocationRequest(
            origin=asked.origin,
            reference=(asked.message.header.transaction_id or b"").hex(),
            wishes=tuple(wishes),
            credentials=(asked.sender.credential,),
        ),
        answer=partial(_answer, asked),
    )


def _answer(asked: Asked, result: RevocationResult) -> WireResponse:
    """Tell of each certificate in rp; who may not ask at all, in an error message."""
    if isinstance(result, Rejected):
        return asked.reply.error(result, key_for(result, asked.sender))
    statuses = [ACCEPTED if each is None else failures.word(each) for each in result.refusals]
    return asked.reply.send(encode_revocation_response(statuses), key=asked.sender.key)


def _wish(
    details: RevDetails, limits: DERLimits, *, strict: bool
) -> RevocationWish | EnrollmentError:
    template = details.template
    if template.issuer is None or template.serial_number is None:
        return EnrollmentError(
            FailureReason.CERTIFICATE_UNKNOWN,
            "the certificate is not named by its issuer and serial number",
            finding="certificate_unnamed",
        )
    try:
        code = _reason_in(details, limits, strict=strict)
    except EnrollmentError as error:
        return error
    reason = _REASONS[code]
    measure = Measure.HOLD if reason is RevocationReason.CERTIFICATE_HOLD else Measure.REVOKE
    return RevocationWish(
        issuer=template.issuer,
        serial_number=f"{template.serial_number:x}",
        measure=Measure.RELEASE if code == _REMOVE_FROM_CRL else measure,
        reason=reason,
        agrees=partial(_agrees, template),
    )


def _timely(
    wish: RevocationWish | EnrollmentError, asked: Asked, options: CMPOptions
) -> RevocationWish | EnrollmentError:
    """Demand a messageTime near our own of what can be undone: it could be sent again by anybody.

    A release that was heard by others must not help them when the certificate is held anew.
    """
    if isinstance(wish, EnrollmentError) or wish.measure is Measure.REVOKE:
        return wish
    window = options.message_time_window or WINDOW
    sent = asked.message.header.message_time
    if sent is not None and abs(asked.reply.now - sent) <= window:
        return wish
    return EnrollmentError(
        FailureReason.BAD_TIME,
        f"to {wish.measure} needs a messageTime near ours, and it is {sent}",
        finding="message_time",
    )


def _reason_in(details: RevDetails, limits: DERLimits, *, strict: bool) -> int:
    """Read the CRLReason of RFC 5280 §5.3.1; RFC 9810 §5.3.9 does not ask for one."""
    if not details.reasons and not strict:
        return 0
    if len(details.reasons) > 1:
        raise Malformed("a revocation has several reasons", finding="revocation_reasons")
    for value in details.reasons:
        check_der(value, limits)
        (reason,) = der.split(value)
        if reason.tag == _ENUMERATED and len(reason.content) == 1:
            (number,) = reason.content
            if number in _REASONS:
                return number
    raise Malformed("the reasonCode is no CRLReason, or missing", finding="revocation_reason")


def _agrees(template: CertTemplate, certificate: x509.Certificate) -> bool:
    """Tell whether all that the template says, beside issuer and number, is so (cmp-O6)."""
    key = certificate.public_key()
    (signed,) = der.split(certificate.tbs_certificate_bytes)
    _, _, algorithm, *_ = der.split(signed.content)
    said_and_so = (
        (template.signing_algorithm, algorithm.content),
        (template.subject, certificate.subject.public_bytes()),
        (template.spki, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        (template.not_before, certificate.not_valid_before_utc),
        (template.not_after, certificate.not_valid_after_utc),
    )
    extensions = (template.extensions or {}).items()
    if template.has_unique_identifiers:  # No certificate has them here.
        return False
    return all(said in {None, so} for said, so in said_and_so) and all(
        _holds(certificate, kind, value) for kind, value in extensions
    )


def _holds(certificate: x509.Certificate, kind: bytes, value: bytes) -> bool:
    found = [each for each in certificate.extensions if asn1.encode_der(each.oid) == kind]
    return any(each.value.public_bytes() == value for each in found)
