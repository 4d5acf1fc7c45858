"""PKCSReq and RenewalReq: a sealed certification request, and who proved what by sending it."""

from dataclasses import replace
from typing import NoReturn

from enroll.credentials import ChallengePassword, Credential, SignerCertificate
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.request import CertificateRequest, EnrollmentRequest, Operation, RequestOrigin
from protocols import pkcs10
from protocols.cms.identifiers import public_key_info
from protocols.limits import check_der
from protocols.scep.envelopes import open_envelope, recipient_of
from protocols.scep.exchange import SealedExchange
from protocols.scep.message import PKIMessage
from protocols.scep.messages import MessageType
from protocols.scep.terms import Terms

# What a request is told of its own once its sender is known to have made it (errors.md, rule 2).
_TOLD = frozenset(
    {
        FailureReason.UNSUPPORTED_ALGORITHM,
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        FailureReason.UNACCEPTED_EXTENSION,
    }
)


def open_enrollment(message: PKIMessage, terms: Terms, origin: RequestOrigin) -> SealedExchange:
    """Open a request for a certificate. Raises EnrollmentError.

    The order is that of RFC 8894's dangers: who signed, what is sealed, whether both are one.
    """
    if message.is_self_signed and message.kind is MessageType.RENEWAL_REQ:
        raise NotAuthenticated(
            "a RenewalReq is signed with a certificate that is to be renewed",
            finding="signer_self_signed",
        )
    try:
        opened = open_envelope(message, terms)
    except NotAuthenticated:
        # How long a refusal takes must not tell what was sealed: as much is read.
        decoy = terms.authorities[0].decoy
        _is_of_signer(message, pkcs10.decode(decoy.request, terms.limits))
        raise
    wanted = _read_request(message, opened.content, terms)
    if message.is_self_signed and not _is_of_signer(message, wanted):
        raise NotAuthenticated(
            "another key signed the message than the one in the request",
            finding="signer_key_mismatch",
        )
    return SealedExchange(
        request=EnrollmentRequest(
            origin=origin,
            operation=Operation.INITIAL if message.is_self_signed else Operation.BY_CERTIFICATE,
            certificate_request=wanted,
            credentials=_credentials(message, wanted),
            reference=message.transaction.transaction_id.text,
        ),
        reply=replace(terms.reply, authority=opened.authority),
        opened=opened,
        recipient=recipient_of(message, opened, wanted.challenge_password),
        with_chain=terms.options.chain_in_reply,
    )


def _read_request(message: PKIMessage, content: bytes, terms: Terms) -> CertificateRequest:
    """Read what was sealed. What is wrong with it is told only to whoever put it there.

    Anybody may seal a captured envelope anew under his own signature: then his key is not in it.
    """
    try:
        taken = pkcs10.take_apart(content, terms.limits, sha1=terms.options.legacy)
    except EnrollmentError as error:
        pkcs10.read(terms.authorities[0].decoy, terms.limits)  # What would have followed.
        _refuse(message, content, terms, error)
    try:
        return pkcs10.read(taken, terms.limits)
    except EnrollmentError as error:
        _refuse(message, content, terms, error)


def _refuse(message: PKIMessage, content: bytes, terms: Terms, error: EnrollmentError) -> NoReturn:
    # Either half ends before its end, and about so much of it is left.
    check_der(terms.authorities[0].decoy.request, terms.limits)
    own = message.is_self_signed and public_key_info(message.signer).whole in content
    if own and error.reason in _TOLD:
        raise error
    raise NotAuthenticated(error.detail, finding=error.finding) from error


def _is_of_signer(message: PKIMessage, wanted: CertificateRequest) -> bool:
    return wanted.spki == public_key_info(message.signer).whole


def _credentials(message: PKIMessage, wanted: CertificateRequest) -> tuple[Credential, ...]:
    """Give what proves the sender: a self-signed certificate never does (RFC 8894 §2.4)."""
    shown: list[Credential] = []
    if wanted.challenge_password is not None:
        shown.append(ChallengePassword(password=wanted.challenge_password))
    if not message.is_self_signed:
        shown.append(SignerCertificate(chain=(message.signer, *message.others)))
    return tuple(shown)
