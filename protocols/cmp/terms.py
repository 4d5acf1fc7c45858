"""What holds for every message that is read at one address."""

from dataclasses import dataclass

from enroll.profiles import EnrollmentProfile
from protocols.limits import DERLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The profile that was addressed, and the CA certificates behind it, DER, nearest first."""

    profile: EnrollmentProfile
    ca_certificates: tuple[bytes, ...]
    limits: DERLimits
