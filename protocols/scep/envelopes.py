"""What is sealed in a message: opened with the RA's key, and how an answer is sealed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

from cryptography.hazmat.primitives.asymmetric import rsa

from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.options import SCEPOptions
from protocols.cms.content_ciphers import AES_CBC, ContentEncryption
from protocols.cms.content_info import DATA
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import addressed_to, open_enveloped_data
from protocols.cms.passwords import Password
from protocols.cms.recipients import KeyTransport, Recipient
from protocols.limits import DERLimits
from protocols.scep.message import PKIMessage
from protocols.scep.messages import RegistrationAuthority
from protocols.scep.terms import Terms

_UNOPENED = partial(NotAuthenticated, "the envelope cannot be opened", finding="envelope_unopened")
_LEGACY = AES_CBC | {ContentEncryption.DES_EDE3_CBC, ContentEncryption.DES_CBC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was in an envelope, whose key opened it, and how it was closed.

    If there is a failure then the content is a decoy, and refused: with that failure.
    """

    content: bytes = field(repr=False)
    failure: NotAuthenticated | None
    authority: RegistrationAuthority
    content_encryption: ContentEncryption
    oaep: Digest | None

    @property
    def answered_with(self) -> ContentEncryption:
        """Give the cipher of the answer: the message's own, but never single DES."""
        if self.content_encryption is ContentEncryption.DES_CBC:
            return ContentEncryption.DES_EDE3_CBC
        return self.content_encryption


def allowed_ciphers(options: SCEPOptions) -> AbstractSet[ContentEncryption]:
    return _LEGACY if options.legacy else AES_CBC


def open_envelope(message: PKIMessage, terms: Terms) -> Opened:
    """Open what is sealed to one of our RA certificates.

    Raises UNSUPPORTED_ALGORITHM before anything is decrypted, and NotAuthenticated for what anybody
    can see. Whether it opened, nobody must: all goes on with a decoy.
    """
    try:
        opened = open_enveloped_data(
            message.envelope,
            keys=[each.opener for each in terms.authorities],
            allowed=allowed_ciphers(terms.options),
            limits=terms.limits,
            otherwise=terms.authorities[0].decoy.request,
        )
    except EnrollmentError as error:
        if error.reason is FailureReason.UNSUPPORTED_ALGORITHM:
            raise
        raise NotAuthenticated(error.detail, finding=error.finding) from error
    if opened.content_type != DATA:
        raise NotAuthenticated(
            "the sealed content is not of type data", finding="content_type_wrong"
        )
    return Opened(
        content=opened.content,
        failure=_UNOPENED() if opened.unopened else None,
        authority=next(each for each in terms.authorities if each.opener is opened.key),
        content_encryption=opened.content_encryption,
        oaep=opened.oaep,
    )


def addressee(
    envelope: bytes | None, authorities: tuple[RegistrationAuthority, ...], limits: DERLimits
) -> RegistrationAuthority:
    """Give the RA that a message is sealed to, whatever is wrong with it; else the present one.

    Its sender may know no other (RFC 8894 §5.1), and would not believe what that one signs.
    """
    present, *others = authorities
    if not others or envelope is None:
        return present
    named = addressed_to(envelope, [each.opener for each in authorities], limits)
    return next((each for each in others if each.opener is named), present)


def recipient_of(message: PKIMessage, opened: Opened, secret: str | None) -> Recipient:
    """Choose how the answer is sealed: to the signer's RSA key, else under what both know.

    Raises EnrollmentError where there is no way (RFC 8894 §3.1): before anything is issued.
    """
    if isinstance(message.signer.public_key(), rsa.RSAPublicKey):
        return KeyTransport(certificate=message.signer, oaep=opened.oaep)
    if secret is not None:
        return Password(password=secret.encode(), key_encryption=opened.answered_with)
    raise EnrollmentError(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        "the signer's key cannot decrypt, and there is no challengePassword to encrypt under",
        finding="no_recipient_key",
    )
