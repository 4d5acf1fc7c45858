"""What a device asks for, after its protocol has been taken off."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from enroll.certificates import Measure, RevocationReason
from enroll.channel import Channel
from enroll.credentials import Credential, CredentialKind, SignerCertificate
from enroll.failures import EnrollmentError
from enroll.key_generation import KeyWish, WantedRecipient
from enroll.profiles import EnrollmentProfile, KeyUsageBit, ProtocolName


class Operation(StrEnum):
    """The kinds of request.

    BY_CERTIFICATE: the message does not say which, as SCEP's do not: the certificate that is shown
    renews itself in its own slot, and enrolls for any other.
    """

    INITIAL = "initial"
    RENEWAL = "renewal"
    BY_CERTIFICATE = "by_certificate"


class Acknowledgement(StrEnum):
    """Whether a sender is to say that its certificate came and is right (see `Confirmation`).

    NONE: its protocol has no word for it. WAIVED: it asks that it need not, and need not where the
    profile allows it. DUE: it is to, within the profile's `confirm_timeout`.
    """

    NONE = "none"
    WAIVED = "waived"
    DUE = "due"


def accepted_credentials(
    profile: EnrollmentProfile, operation: Operation
) -> frozenset[CredentialKind]:
    """Tell which kinds of credential the profile takes for the operation."""
    if operation is Operation.RENEWAL:
        return profile.renewal_credentials
    return profile.initial_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A certification request whose proof of possession has been verified.

    Unless `key_proven` is False: then only a later message, that takes the private key to write,
    tells that its sender holds the key (RFC 4211 §4.2), and whoever does not hold it must be able
    to make nothing of the answer.

    Subject, names and key usages are wishes: what is issued comes from registry and profile.
    The `change_…` fields hold what RFC 6402 §2.8 ChangeSubjectName asks for, where it is there;
    `spki` is the SubjectPublicKeyInfo in DER. Of a request for a key that is yet to be made
    `public_key` is None, and `spki` and its hash are empty. `asks_beyond` all this for what is
    never given as it was wished: a validity, or other extensions.
    """

    subject: x509.Name
    subject_alternative_names: tuple[x509.GeneralName, ...] | None
    public_key: CertificatePublicKeyTypes | None
    spki: bytes
    spki_sha256: str
    key_usage: frozenset[KeyUsageBit] | None
    der_sha256: str
    extended_key_usage: frozenset[x509.ObjectIdentifier] | None = None
    change_subject_name: x509.Name | None = None
    change_subject_alternative_names: tuple[x509.GeneralName, ...] | None = None
    challenge_password: str | None = field(default=None, repr=False)
    key_proven: bool = True
    asks_beyond: bool = False


NO_REQUEST_YET = CertificateRequest(
    subject=x509.Name([]),
    subject_alternative_names=None,
    public_key=ed25519.Ed25519PublicKey.from_public_bytes(bytes(32)),
    spki=b"",
    spki_sha256="",
    key_usage=None,
    der_sha256="",
)
"""It claims nothing, and its key is nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOrigin:
    """Where and when a request came in: what its attempt is recorded under in any case.

    `relayed_by` is the registration authority that brought it in a message of its own.
    """

    correlation_id: str
    protocol: ProtocolName
    operation: str
    profile: str | None
    peer_address: str
    received_at: datetime
    client_certificate_sha256: str | None = None
    credentials_shown: tuple[str, ...] = ()
    relayed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRequest:
    """One request to enroll or renew; `origin.profile` is the slug from its path, if any.

    `channel` is the TLS connection that it came over, where its protocol can be bound to one.
    With a `key_wish` a key is made for it.
    `reference` is the protocol's own id of the transaction, where it has one: an order that the
    request opens is found by it. `possession_vouched`: nothing proves
    possession of the key but the sender's word, which is good from a registration authority only.
    `issuer` names the CA that is to issue where that is not the present one but the next.
    """

    origin: RequestOrigin
    operation: Operation
    certificate_request: CertificateRequest
    credentials: tuple[Credential, ...] = ()
    reference: str | None = None
    channel: Channel | None = None
    key_wish: KeyWish | None = None
    acknowledgement: Acknowledgement = Acknowledgement.NONE
    possession_vouched: bool = False
    issuer: str | None = None

    @property
    def transaction(self) -> str | None:
        """The id of an exchange that must be one for its sender: CMP's (RFC 9483 §5.1)."""
        return self.reference if self.origin.protocol is ProtocolName.CMP else None

    @property
    def recognized_by(self) -> str:
        """The SHA-256 of the key that every repetition shows: the one it was signed with."""
        if self.key_wish is not None:
            return sha256(self.key_wish.spki).hexdigest()
        return self.certificate_request.spki_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRequest:
    """A question what became of an order, by those protocols that have one.

    Its sender proved to hold the key that the order is about (`spki_sha256`), or the credential
    that opened it (`credential_id`, or what a MAC among its credentials proves); what proves
    neither finds no order. Where a key is to be made, it goes to the `key_recipient`.
    `for_holder`: none but the holder of that key can read the answer, as an order must have it
    whose request did not prove possession. `is_for` tells of a key, by its SHA-256, whether the
    question follows an answer about that one.
    """

    origin: RequestOrigin
    reference: str
    spki_sha256: str | None = None
    credential_id: str | None = None
    credentials: tuple[Credential, ...] = ()
    acknowledgement: Acknowledgement = Acknowledgement.NONE
    issuer: str | None = None
    key_recipient: WantedRecipient | None = None
    for_holder: bool = False
    is_for: Callable[[str], bool] = field(default=lambda _: True, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Word that the certificate of an exchange came, and is right, or is not (`accepted`).

    `is_about` tells whether it speaks of this very certificate, DER.
    """

    origin: RequestOrigin
    reference: str
    accepted: bool
    is_about: Callable[[bytes], bool]
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyRequest:
    """A message whose fault decides it, and whose sender has yet to be found by its MAC.

    Who is known again is told of the fault, anybody else that nothing was proven.
    """

    origin: RequestOrigin
    credentials: tuple[Credential, ...]
    fault: EnrollmentError


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationWish:
    """What is to be done to one certificate, named by its issuer (DER) and serial number (hex).

    `agrees` tells whether all else that is said of it is true of this very certificate.
    """

    issuer: bytes
    serial_number: str
    measure: Measure
    reason: RevocationReason
    agrees: Callable[[x509.Certificate], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRequest:
    """A request to revoke, hold or release certificates, each judged by itself.

    In the place of a wish that cannot be read stands why; it is told to whoever proves anything.
    """

    origin: RequestOrigin
    reference: str
    wishes: tuple[RevocationWish | EnrollmentError, ...]
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question for what a request should hold, by somebody who shows who it would be from."""

    origin: RequestOrigin
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateQuery:
    """A wish to have a certificate again, named by its issuer (DER) and serial number (hex).

    `shown` is the certificate whose key signed the question.
    """

    origin: RequestOrigin
    issuer: bytes
    serial_number: str
    shown: SignerCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRequest:
    """A message that brings messages of others, which a registration authority may do.

    `signer` is the certificate whose key signed it.
    """

    origin: RequestOrigin
    signer: SignerCertificate


AnyRequest = EnrollmentRequest | PollRequest | CertificateQuery | Confirmation | FaultyRequest
