"""What became of a request, before any protocol puts it into words."""

from dataclasses import dataclass, field

from enroll.certificates import CertificateRecord
from enroll.credentials import CredentialKind
from enroll.failures import EnrollmentError, FailureReason
from enroll.key_generation import GeneratedKey
from enroll.profiles import CertificateProfile, EnrollmentProfile
from enroll.request import CertificateRequest
from enroll.requirements import RequestRequirements


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate, recorded before this was made; `repeated` if issued earlier (T-13).

    `generated` is the private key that was made for it, which is nowhere else; `wanted` what it
    was asked for with, where that is known. Where its owner gave word of it, `said_before` tells
    that this was no news.
    """

    record: CertificateRecord
    chain: tuple[bytes, ...]
    repeated: bool = False
    generated: GeneratedKey | None = None
    said_before: bool = False
    wanted: CertificateRequest | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A refusal, recorded before this was made. `detail` is for the log, never for the wire.

    `accepted` holds the kinds of credential that the `profile` takes for this operation, if it was
    found which one was asked.
    """

    reason: FailureReason
    correlation_id: str
    detail: str
    finding: str
    field: str | None = None
    accepted: frozenset[CredentialKind] = frozenset()
    profile: EnrollmentProfile | None = None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """No certificate yet: a person has to decide. The order was recorded before this was made.

    The same request after `retry_after` seconds, or a poll for the order, tells what became of it.
    """

    order_id: str
    retry_after: int


EnrollmentResult = Issued | Pending | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """Messages of others were brought by this registration authority, which may; no more is said.

    Each of them is judged by itself.
    """

    authority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of each certificate of a revocation request, in order: refused, or None: done."""

    refusals: tuple[Rejected | None, ...]


RevocationResult = Judged | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a request to this profile should hold; of a device only where it was proven.

    `refused` says why it was not; `requirements` are then what anybody is told. Whoever asks is a
    `member` all the same who has proven to be one of many: of a group, or an authority that has
    not said for whom it asks.
    """

    profile: EnrollmentProfile
    certificate_profile: CertificateProfile
    requirements: RequestRequirements
    refused: EnrollmentError | None = None
    is_member: bool = True
