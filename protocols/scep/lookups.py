"""CertPoll, GetCert and GetCRL: what a message asks about, and the list that is published."""

from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives import hashes

from enroll.credentials import Credential, SignerCertificate
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
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


def open_poll(message: PKIMessage, terms: Terms, origin: RequestOrigin) -> SealedExchange:
    """Ask what became of the transaction of this id, in the name of the signer's key.

    IssuerAndSubject, which is sealed, names neither and is not looked at (RFC 8894 §3.3.3).
    """
    opened, _ = _open(message, terms, (der.SEQUENCE, der.SEQUENCE))
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
    opened, (issuer, serial) = _open(message, terms, _ISSUER_AND_SERIAL)
    request = CertificateQuery(
        origin=origin,
        issuer=issuer.whole,
        serial_number=f"{int.from_bytes(serial.content):x}",
        shown=SignerCertificate(chain=(message.signer, *message.others)),
    )
    return _exchange(request, message, opened, terms)


def answer_crl(message: PKIMessage, terms: Terms, services: Services) -> WireResponse:
    """Answer with the CRL of the CA that issued the certificate named. Raises EnrollmentError."""
    opened, (issuer, _) = _open(message, terms, _ISSUER_AND_SERIAL)
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


def _open(
    message: PKIMessage, terms: Terms, tags: tuple[int, ...]
) -> tuple[Opened, list[der.Element]]:
    """Open the envelope, and take apart what is in it.

    Raises NotAuthenticated. What did not open is a decoy, and no such thing.
    """
    opened = open_envelope(message, terms)
    try:
        return opened, _split(opened.content, tags, terms)
    except NotAuthenticated as error:
        raise (opened.failure or error) from error


def _split(content: bytes, tags: tuple[int, ...], terms: Terms) -> list[der.Element]:
    """Take what was sealed apart: a SEQUENCE of these.

    Raises NotAuthenticated, as for everything that is wrong within an envelope.
    """
    try:
        check_der(content, terms.limits)
    except EnrollmentError as error:
        # What is no DER mostly ends at once.
        check_der(terms.authorities[0].decoy.request, terms.limits)
        raise NotAuthenticated(error.detail, finding=error.finding) from error
    (outer,) = der.split(content)
    parts = der.split(outer.content) if outer.tag == der.SEQUENCE else []
    if tuple([part.tag for part in parts]) != tags:
        raise NotAuthenticated(
            "what is sealed is not what such a message holds", finding="content_not_of_its_type"
        )
    return parts
