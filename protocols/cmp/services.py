"""What a CMP server must know to be asked."""

from collections.abc import Collection
from typing import Protocol

from enroll.certificates import RevocationList
from enroll.profiles import EnrollmentProfile
from protocols.cmp.protection import Signer
from protocols.cmp.support_values import CRLSource, RootUpdate


class Services(Protocol):
    """What a server has under CMP; from memory."""

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        """Give the profile that a label means; None if CMP does not reach it."""
        ...

    def labels(self) -> Collection[str]:
        """Give the labels of all profiles that CMP reaches."""
        ...

    def signer(self) -> Signer | None:
        """Give who signs the answers; none before there is a certificate."""
        ...

    def ca_certificates(self) -> tuple[bytes, ...]:
        """Give the issuing CA's certificate and all above it, DER."""
        ...

    def root_update(self, root: bytes | None) -> RootUpdate | None:
        """Give what follows a root, DER, or whichever is being replaced; None if nothing does."""
        ...

    def current_crl(self) -> RevocationList | None:
        """Give the list of the CA that issues now; none before one is made."""
        ...

    def revocation_list(self, source: CRLSource) -> RevocationList | None:
        """Give the list that a source means, if it is one of ours."""
        ...
