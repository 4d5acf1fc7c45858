"""What holds for every message that is read at one address."""

from collections.abc import Callable
from dataclasses import dataclass

from enroll.profiles import EnrollmentProfile
from protocols.cms.key_packages import KeyPackageSigner, no_signer
from protocols.limits import DERLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The profile that was addressed, and the CA certificates behind it, DER, nearest first.

    `key_package_signer` gives who signs the keys that are made here. It raises
    AuthorityUnavailable.
    """

    profile: EnrollmentProfile
    ca_certificates: tuple[bytes, ...]
    limits: DERLimits
    key_package_signer: Callable[[], KeyPackageSigner] = no_signer
