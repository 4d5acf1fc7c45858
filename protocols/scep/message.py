"""Reading a pkiMessage (RFC 8894 §3): who signed it, what it says of itself, and what is sealed."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cryptography import x509

from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.options import SCEPOptions
from protocols.certificates import load_certificate
from protocols.cms import digests
from protocols.cms.content_info import DATA
from protocols.cms.digests import STRONG, Digest
from protocols.cms.identifiers import is_self_issued
from protocols.cms.signed_data import SignedData, decode_signed_data, verify
from protocols.limits import DERLimits
from protocols.scep.attributes import Transaction, read_message_type, read_transaction
from protocols.scep.messages import MessageType

CHAIN_LENGTH = 10
_LEGACY_DIGESTS = STRONG | {Digest.SHA1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A message of which so much can be read that it can be answered; nothing is verified."""

    signed_data: SignedData
    transaction: Transaction
    digest: Digest | None

    def reply_digest(self, options: SCEPOptions) -> Digest:
        """Give the digest of the answer: the message's own, if it is allowed."""
        if self.digest is not None and self.digest in allowed_digests(options):
            return self.digest
        return Digest.SHA256


@dataclass(frozen=True, slots=True, kw_only=True)
class PKIMessage:
    """A message whose signature holds. Its signer has proven a key, and nothing else.

    `others` are the certificates that came along; `envelope` is a ContentInfo.
    """

    kind: MessageType
    transaction: Transaction
    digest: Digest
    signer: x509.Certificate
    others: tuple[x509.Certificate, ...]
    envelope: bytes

    @property
    def is_self_signed(self) -> bool:
        return is_self_issued(self.signer)


def allowed_digests(options: SCEPOptions) -> AbstractSet[Digest]:
    return _LEGACY_DIGESTS if options.legacy else STRONG


def read_outer(message: bytes, limits: DERLimits) -> Outer:
    """Read what it takes to answer a message. Raises Malformed."""
    signed_data = decode_signed_data(message, limits)
    return Outer(
        signed_data=signed_data,
        transaction=read_transaction(signed_data.signer.attributes),
        digest=digests.find(signed_data.signer.digest_algorithm),
    )


def check_message(outer: Outer, options: SCEPOptions) -> PKIMessage:
    """Verify the signature over the octets as received, and then read what was signed.

    Raises EnrollmentError: UNSUPPORTED_ALGORITHM, BAD_MESSAGE_CHECK, MALFORMED_REQUEST.
    """
    signed_data = outer.signed_data
    signer = verify(signed_data, allowed=allowed_digests(options))
    if signed_data.content_type != DATA:
        raise Malformed("the signed content is not of type data", finding="content_type_wrong")
    kind = read_message_type(signed_data.signer.attributes)
    if not signed_data.content:
        raise Malformed("the message has no envelope", finding="envelope_missing")
    assert outer.digest is not None  # noqa: S101 - verified by it; for the type checker
    message = PKIMessage(
        kind=kind,
        transaction=outer.transaction,
        digest=outer.digest,
        signer=signer,
        others=_others(signed_data, signer),
        envelope=signed_data.content,
    )
    _check_strength(message, options)
    return message


def _check_strength(message: PKIMessage, options: SCEPOptions) -> None:
    """Refuse SHA-1 where nothing but the signature proves the sender (RFC 8894 §7.9)."""
    weak = message.digest is Digest.SHA1 and not options.sha1_renewals
    if weak and not message.is_self_signed:
        raise EnrollmentError(
            FailureReason.UNSUPPORTED_ALGORITHM,
            "a certificate signs with SHA-1, and the profile's scep.sha1_renewals is not set",
            finding="sha1_renewal",
        )


def _others(signed_data: SignedData, signer: x509.Certificate) -> tuple[x509.Certificate, ...]:
    """Read what else came along, for a path to an anchor; what cannot be read builds none."""
    found = []
    for octets in signed_data.certificates[:CHAIN_LENGTH]:
        certificate = load_certificate(octets)
        if certificate is not None and certificate != signer:
            found.append(certificate)
    return tuple(found)
