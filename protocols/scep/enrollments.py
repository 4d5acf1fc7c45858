"""PKCSReq and RenewalReq: a sealed certification request, and who proved what by sending it."""

from dataclasses import replace

from enroll.credentials import ChallengePassword, Credential, SignerCertificate
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.request import CertificateRequest, EnrollmentRequest, Operation, RequestOrigin
from protocols import pkcs10
from protocols.cms.identifiers import public_key_info
from protocols.scep.envelopes import Opened, open_envelope, recipient_of
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
    opened, wanted = _open_request(message, terms)
    return SealedExchange(
        request=EnrollmentRequest(
            origin=origin,
            operation=Operation.INITIAL if message.is_self_signed else Operation.BY_CERTIFICATE,
            certificate_request=wanted,
            credentials=_credentials(message, wanted),
            reference=message.transaction.transaction_id.text,
            issuer=opened.authority.issuer,
        ),
        reply=replace(terms.reply, authority=opened.authority),
        opened=opened,
        recipient=recipient_of(message, opened, wanted.challenge_password),
        with_chain=terms.options.chain_in_reply,
    )


def _open_request(message: PKIMessage, terms: Terms) -> tuple[Opened, CertificateRequest]:
    """Open the envelope and read the request: its form, its key, the proof, and what it asks for.

    How long a refusal takes must not tell what was sealed (RFC 3218 §2.3). So whatever fails, all
    goes on with the decoy, whose signature is wrong, and every refusal is made in one place: after
    one request that cannot be read, one of good form, one proof that fails, and all attributes.
    """
    decoy = terms.authorities[0].decoy
    opened = open_envelope(message, terms)
    refused: EnrollmentError | None = opened.failure
    unreadable: EnrollmentError | None = None
    try:
        taken = pkcs10.take_apart(opened.content, terms.limits, sha1=terms.options.legacy)
    except EnrollmentError as error:
        refused = unreadable = error
        taken = pkcs10.take_apart(decoy.request, terms.limits)
    if message.is_self_signed and taken.parts.spki != public_key_info(message.signer).whole:
        refused = refused or _another_key()
        taken = decoy.taken
    try:
        return opened, pkcs10.read(pkcs10.prove(taken), terms.limits)
    except EnrollmentError as error:
        pkcs10.read(decoy.proven, terms.limits)
        if unreadable is None:
            decoy.stumble(terms.limits)
        raise _told(message, opened.content, refused or error) from error


def _another_key() -> NotAuthenticated:
    return NotAuthenticated(
        "another key signed the message than the one in the request",
        finding="signer_key_mismatch",
    )


def _told(message: PKIMessage, content: bytes, error: EnrollmentError) -> EnrollmentError:
    """Give what is told: what is wrong in a request only to whoever put it there.

    Anybody may seal a captured envelope anew under his own signature: then his key is not in it.
    """
    own = public_key_info(message.signer).whole in content and message.is_self_signed
    if own and error.reason in _TOLD:
        return error
    return NotAuthenticated(error.detail, finding=error.finding)


def _credentials(message: PKIMessage, wanted: CertificateRequest) -> tuple[Credential, ...]:
    """Give what proves the sender: a self-signed certificate never does (RFC 8894 §2.4)."""
    shown: list[Credential] = []
    if wanted.challenge_password is not None:
        shown.append(ChallengePassword(password=wanted.challenge_password))
    if not message.is_self_signed:
        shown.append(SignerCertificate(chain=(message.signer, *message.others)))
    return tuple(shown)
