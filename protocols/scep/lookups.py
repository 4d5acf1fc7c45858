"""GetCRL: the list that is published, sealed to whoever asks."""

from dataclasses import replace

from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from protocols import der
from protocols.cms import certs_only
from protocols.limits import DERLimits, check_der
from protocols.scep.envelopes import open_envelope, recipient_of
from protocols.scep.message import PKIMessage
from protocols.scep.messages import Services
from protocols.scep.terms import Terms
from protocols.wire import WireResponse


def answer_crl(message: PKIMessage, terms: Terms, services: Services) -> WireResponse:
    """Answer with the CRL of the CA that issued the certificate named. Raises EnrollmentError."""
    opened = open_envelope(message, terms)
    issuer, _ = read_issuer_and_serial(opened.content, terms.limits)
    recipient = recipient_of(message, opened, None)
    revocation_list = services.revocation_list(issuer)
    if revocation_list is None:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_UNKNOWN,
            "no revocation list of this issuer is published here",
            finding="issuer_unknown",
        )
    found = certs_only.encode_revocation_list(revocation_list)
    reply = replace(terms.reply, authority=opened.authority)
    return reply.success(found, recipient, opened.answered_with)


def read_issuer_and_serial(content: bytes, limits: DERLimits) -> tuple[bytes, int]:
    """Read IssuerAndSerialNumber (RFC 8894 §3.3.4): the issuer's name in DER, and the number.

    Raises NotAuthenticated, as for everything that is wrong within an envelope.
    """
    try:
        check_der(content, limits)
    except EnrollmentError as error:
        raise NotAuthenticated(error.detail, finding=error.finding) from error
    (outer,) = der.split(content)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if [part.tag for part in parts] != [der.SEQUENCE, der.INTEGER]:
        raise NotAuthenticated(
            "the content is no IssuerAndSerialNumber", finding="content_not_of_its_type"
        )
    issuer, serial = parts
    return issuer.whole, int.from_bytes(serial.content, signed=True)
