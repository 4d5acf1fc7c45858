"""ir, cr, kur and p10cr: what they ask for, and who asks (RFC 9483 §4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography import x509

from enroll.failures import (
    EnrollmentError,
    FailureReason,
    Malformed,
    NotAuthorized,
)
from enroll.request import (
    Acknowledgement,
    CertificateRequest,
    EnrollmentRequest,
    Operation,
    RequestOrigin,
)
from enroll.trust import says_cmc_ra
from protocols import der, pkcs10
from protocols.cmp.controls import OLD_CERT_ID, check_controls
from protocols.cmp.decode import guarded
from protocols.cmp.exchanges import CertificateExchange
from protocols.cmp.key_delivery import asks_for_key, delivery_for, read_key_wish
from protocols.cmp.messages import (
    Body,
    BodyType,
    CertificationRequest,
    CertReqMessages,
    PKIMessage,
)
from protocols.cmp.nonces import Possession, Turn
from protocols.cmp.originals import check_original
from protocols.cmp.possession import check_key_input, possession_by
from protocols.cmp.reply import Reply
from protocols.cmp.senders import ByMAC, Sender
from protocols.cmp.strictness import check_request
from protocols.cmp.templates import check_named, with_issuer
from protocols.cmp.terms import Terms
from protocols.crmf.messages import CertReqMsg, RAVerified
from protocols.crmf.request import to_certificate_request, to_keyless_request

ANSWERS: Mapping[BodyType, BodyType] = {
    BodyType.IR: BodyType.IP,
    BodyType.CR: BodyType.CP,
    BodyType.P10CR: BodyType.CP,
    BodyType.KUR: BodyType.KUP,
}
P10CR_NUMBER = -1
"""RFC 9810 §5.3.4: the certReqId of what has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A message that asks for a certificate: who sent it, and how it is answered."""

    message: PKIMessage
    body: Body
    sender: Sender
    reply: Reply
    origin: RequestOrigin


def number_of(body_type: BodyType) -> int:
    """Give the certReqId of the one request in such a message."""
    return P10CR_NUMBER if body_type is BodyType.P10CR else 0


def open_enrollment(asked: Asked, terms: Terms) -> CertificateExchange:
    """Read a request and verify its proof of possession. Raises EnrollmentError."""
    kind, header = asked.message.body_type, asked.message.header
    if kind is BodyType.KUR and isinstance(asked.sender, ByMAC):
        raise Malformed(
            "a kur is signed with the certificate that it updates", finding="wrong_integrity"
        )
    keyless = _keyless(asked.body)
    if kind is BodyType.KUR or keyless is not None:
        check_unreplaced(asked)
    delivery = delivery_for(asked.sender, terms) if keyless is not None else None
    wanted = _wanted(asked, terms)
    possession = _possession(asked, wanted)
    check_original(header, wanted, terms.limits)
    waives = header.implicit_confirm and wanted.key_proven
    return CertificateExchange(
        request=EnrollmentRequest(
            origin=asked.origin,
            operation=Operation.RENEWAL if kind is BodyType.KUR else Operation.INITIAL,
            certificate_request=wanted,
            credentials=(asked.sender.credential,),
            reference=(header.transaction_id or b"").hex(),
            acknowledgement=Acknowledgement.WAIVED if waives else Acknowledgement.DUE,
            possession_vouched=is_vouched_for(asked.body),
            key_wish=(
                read_key_wish(keyless, header.pvno, delivery)
                if keyless is not None and delivery is not None
                else None
            ),
        ),
        reply=asked.reply,
        sender=asked.sender,
        turn=Turn(
            answer=ANSWERS[kind],
            cert_req_id=number_of(kind),
            by_mac=isinstance(asked.sender, ByMAC),
            by_pbmac1=isinstance(asked.sender, ByMAC) and asked.sender.by_pbmac1,
            possession=possession,
        ),
        ca_pubs=terms.ca_certificates,
        wanted=wanted,
        delivery=delivery,
    )


def check_unreplaced(asked: Asked) -> None:
    """Demand a request as its owner made it: its protection is needed (RFC 9483 §5.2.3).

    Raises NotAuthorized for one that an authority signed, or vouches for (cmp-N3).
    """
    chain = () if isinstance(asked.sender, ByMAC) else asked.sender.chain
    if is_vouched_for(asked.body) or any(says_cmc_ra(each) for each in chain[:1]):
        raise NotAuthorized(
            "a registration authority hands this request on as it is, or in a nested message",
            finding="protection_replaced",
        )


def is_vouched_for(body: Body) -> bool:
    """Tell whether raVerified stands where possession should be proven (RFC 4211 §4)."""
    return isinstance(body, CertReqMessages) and any(
        isinstance(each.proof, RAVerified) for each in body.messages
    )


def _keyless(body: Body) -> CertReqMsg | None:
    """Give the request, if a key is to be made for it (RFC 9483 §4.1.6)."""
    requests = body.messages if isinstance(body, CertReqMessages) else ()
    return next((each for each in requests if asks_for_key(each)), None)


def _wanted(asked: Asked, terms: Terms) -> CertificateRequest:
    if isinstance(asked.body, CertificationRequest):
        return pkcs10.decode(asked.body.der, terms.limits)
    assert isinstance(asked.body, CertReqMessages)  # noqa: S101 - the caller tells bodies apart
    if len(asked.body.messages) != 1:
        raise Malformed("a message asks for one certificate here", finding="request_count")
    (request,) = asked.body.messages
    if request.request_id != 0:
        raise Malformed("the certReqId of the one request is 0", finding="request_number")
    check_request(request, terms.profile.cmp)
    check_key_input(request, asked.sender, asked.message.header)
    guarded(lambda: check_controls(request, asked.message.body_type))
    if asked.message.body_type is BodyType.KUR:
        wanted = _updated(request, asked.sender, terms)
    else:
        check_named(request.template)
        wanted = (
            to_keyless_request(request, terms.limits)
            if asks_for_key(request)
            else to_certificate_request(request, terms.limits, vouched=True, indirect=True)
        )
    return with_issuer(wanted, request.template, terms.ca_certificates)


def _possession(asked: Asked, wanted: CertificateRequest) -> Possession:
    """Tell how the certificate is given. Raises BAD_PROOF_OF_POSSESSION."""
    if not isinstance(asked.body, CertReqMessages):
        return Possession.SIGNED
    return possession_by(asked.body.messages[0], wanted.public_key, asked.message.header.pvno)


def _updated(request: CertReqMsg, sender: Sender, terms: Terms) -> CertificateRequest:
    """Read a request to update the certificate that signs it; the names stay (RFC 9483 §4.1.3)."""
    if asks_for_key(request):
        wanted = to_keyless_request(request, terms.limits)
    else:
        wanted = to_certificate_request(request, terms.limits, indirect=True)
    assert not isinstance(sender, ByMAC)  # noqa: S101 - refused above; for the type checker
    signer = sender.chain[0]
    old = request.controls.get(OLD_CERT_ID)
    if old is not None and not _names(old, signer):
        raise EnrollmentError(
            FailureReason.CERTIFICATE_UNKNOWN,
            "oldCertID is not that of the certificate that signs the message",
            finding="old_cert_id",
        )
    return (
        wanted if request.template.subject is not None else replace(wanted, subject=signer.subject)
    )


def _names(cert_id: der.Element, certificate: x509.Certificate) -> bool:
    """Tell whether an RFC 4211 §6.5 CertId is that of this certificate."""
    parts = der.split(cert_id.content) if cert_id.tag == der.SEQUENCE else []
    if len(parts) != 2 or parts[1].tag != der.INTEGER:  # noqa: PLR2004 - issuer and serial number
        return False
    issuer, serial_number = parts
    return (
        issuer.content == certificate.issuer.public_bytes()
        and int.from_bytes(serial_number.content, signed=True) == certificate.serial_number
    )
