"""CertPoll, GetCert and GetCRL: what a message asks about, and the list that is published."""

from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives import hashes

from enroll.credentials import Credential, SignerCertificate
from enroll.failures import EnrollmentError, FailureReason
from enroll.request import CertificateQuery, PollRequest, RequestOrigin
from protocols import der
from protocols.cms import certs_only
from protocols.cms.identifiers import public_key_info
from protocols.limits import check_der
from protocols.scep.envelopes import Opened, open_envelope, recipient_of
from protocols.scep.exchange import SealedExchange
from protocols.scep.message import PKIMessage
from protocols.scep.messages import Services
from protocols.scep.terms import Terms
from protocols.wire import WireResponse

_ISSUER_AND_SERIAL = (der.SEQUENCE, der.INTEGER)
"""IssuerAndSerialNumber (RFC 8894 §3.3.4): the issuer's name, and the number."""
_NOBODYS = der.split(der.encode(der.SEQUENCE) + der.encode(der.INTEGER, b"\0"))
"""What no CA has issued: asked for in place of what cannot be read."""


def open_poll(message: PKIMessage, terms: Terms, origin: RequestOrigin) -> SealedExchange:
    """Ask what became of the transaction of this id, in the name of the signer's key.

    IssuerAndSubject, which is sealed, names neither and is not looked at (RFC 8894 §3.3.3): not
    even for its form, of which nobody may learn anything.
    """
    opened = open_envelope(message, terms)
    shown: tuple[Credential, ...] = ()
    if not message.is_self_signed:
        shown = (SignerCertificate(chain=(message.signer, *message.others)),)
    request = PollRequest(
        origin=origin,
        reference=message.transaction.transaction_id.text,
        spki_sha256=sha256(public_key_info(message.signer).whole).hexdigest(),
        credential_id=message.signer.fingerprint(hashes.SHA256()).hex() if shown else None,
        credentials=shown,
        issuer=opened.authority.issuer,
    )
    return _exchange(request, message, opened, terms)


def open_query(message: PKIMessage, terms: Terms, origin: RequestOrigin) -> SealedExchange:
    """Ask for a certificate by its issuer and serial number (RFC 8894 §4.5)."""
    opened = open_envelope(message, terms)
    issuer, serial = _named(opened, terms)
    request = CertificateQuery(
        origin=origin,
        issuer=issuer.whole,
        serial_number=f"{int.from_bytes(serial.content):x}",
        shown=SignerCertificate(chain=(message.signer, *message.others)),
    )
    return _exchange(request, message, opened, terms)


def answer_crl(message: PKIMessage, terms: Terms, services: Services) -> WireResponse:
    """Answer with the CRL of the CA that issued the certificate named. Raises EnrollmentError."""
    opened = open_envelope(message, terms)
    issuer, _ = _named(opened, terms)
    recipient = recipient_of(message, opened, None)
    revocation_list = services.revocation_list(issuer.whole)
    if revocation_list is None:
        raise EnrollmentError(
            FailureReason.CERTIFICATE_UNKNOWN,
            "no revocation list of this issuer is published here",
            finding="issuer_unknown",
        )
    found = certs_only.encode_revocation_list(revocation_list)
    reply = replace(terms.reply, authority=opened.authority)
    return reply.success(found, recipient, opened.answered_with)


def _exchange(
    request: PollRequest | CertificateQuery, message: PKIMessage, opened: Opened, terms: Terms
) -> SealedExchange:
    return SealedExchange(
        request=request,
        reply=replace(terms.reply, authority=opened.authority),
        opened=opened,
        recipient=recipient_of(message, opened, None),
        with_chain=terms.options.chain_in_reply,
    )


def _named(opened: Opened, terms: Terms) -> list[der.Element]:
    """Give issuer and serial number of what is asked for.

    Nothing vouches for what is sealed here: whoever caught a request might put its blocks into such
    a message, and learn octet for octet what is in them if it were told, or took longer, whether
    the result can be read. So what cannot is as unknown as any other.
    """
    decoy = terms.authorities[0].decoy.request
    try:
        check_der(opened.content, terms.limits)
    except EnrollmentError:
        check_der(decoy, terms.limits)  # What is no DER mostly ends at once.
        return _NOBODYS
    (outer,) = der.split(opened.content)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if tuple([part.tag for part in parts]) != _ISSUER_AND_SERIAL:
        return _NOBODYS
    check_der(decoy, terms.limits)  # And what is of this form is short.
    return parts
