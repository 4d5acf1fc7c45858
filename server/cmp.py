"""What CMP may know of this installation without asking: profiles, its signer, CA certificates."""

import hmac
from collections.abc import Callable, Collection

from enroll.certificates import RevocationList
from enroll.profiles import EnrollmentProfile, ProtocolName
from enroll.stages.address import default_profile
from protocols.cmp.nonces import SenderNonces
from protocols.cmp.protection import Signer
from protocols.cmp.support_values import CRLSource, RootUpdate
from server.cmp_support import CMPSupport
from server.home import HomeError
from server.labels import PolicyMirror
from server.service_certificates import ServiceCertificate, ServiceIdentity


class CMPServices:
    """Implements `protocols.cmp.services.Services`."""

    def __init__(
        self,
        *,
        mirror: PolicyMirror,
        signer: ServiceCertificate,
        ca_certificates: Callable[[], tuple[bytes, ...]],
        support: CMPSupport,
    ) -> None:
        self._mirror = mirror
        self._certificate = signer
        self._ca_certificates = ca_certificates
        self._support = support
        self._made: tuple[ServiceIdentity, Signer] | None = None

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        policy = self._mirror.policy
        profile = (
            default_profile(policy) if label is None else policy.enrollment_profiles.get(label)
        )
        if profile is None or ProtocolName.CMP not in profile.protocols:
            return None
        return profile

    def labels(self) -> Collection[str]:
        profiles = self._mirror.policy.enrollment_profiles
        return [label for label, each in profiles.items() if ProtocolName.CMP in each.protocols]

    def signer(self) -> Signer | None:
        try:
            current = self._certificate.current()
        except HomeError:
            return None
        if self._made is None or self._made[0] is not current:
            signer = Signer.holding(current.certificate, current.key, chain=current.chain)
            self._made = (current, signer)
        return self._made[1]

    def ca_certificates(self) -> tuple[bytes, ...]:
        return self._ca_certificates()

    def root_update(self, root: bytes | None) -> RootUpdate | None:
        return self._support.root_update(root)

    def current_crl(self) -> RevocationList | None:
        return self._support.current_crl()

    def revocation_list(self, source: CRLSource) -> RevocationList | None:
        return self._support.revocation_list(source)


def sender_nonces(nonce_key: bytes) -> SenderNonces:
    """Make the nonces of this installation, with a key of their own that all workers have."""
    return SenderNonces(key=hmac.digest(nonce_key, b"CMP senderNonce", "sha256"))
