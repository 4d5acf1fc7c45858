"""What SCEP may know of this installation without asking: profiles, RA certificates, CRLs."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ca.authorities import Authorities
from enroll.options import SCEPOptions
from enroll.profiles import ProtocolName
from enroll.stages.address import default_profile
from protocols.scep.messages import RegistrationAuthority
from server.home import HomeError
from server.labels import PolicyMirror
from server.revocation import RevocationPublisher
from server.service_certificates import ServiceCertificate, ServiceIdentity


class SCEPServices:
    """Implements `protocols.scep.messages.Services`."""

    def __init__(
        self,
        *,
        mirror: PolicyMirror,
        ra: ServiceCertificate,
        ca_certificates: Callable[[], tuple[bytes, ...]],
        authorities: Callable[[], Authorities],
        crls: RevocationPublisher,
    ) -> None:
        self._mirror = mirror
        self._ra = ra
        self._ca_certificates = ca_certificates
        self._crls = crls
        self._every_ca = authorities
        self._authorities: dict[bytes, RegistrationAuthority] = {}

    def options(self, label: str | None) -> SCEPOptions | None:
        policy = self._mirror.policy
        if label is None:
            profile = default_profile(policy)
        else:
            profile = policy.enrollment_profiles.get(label)
        if profile is None or ProtocolName.SCEP not in profile.protocols:
            return None
        return profile.scep

    def registration_authorities(self) -> tuple[RegistrationAuthority, ...]:
        """Give the RA certificate that is shown, and then the others that are still valid."""
        try:
            current = self._ra.current()
        except HomeError:
            return ()
        others = (each for each in self._ra.usable() if each.certificate != current.certificate)
        kept = self._authorities
        self._authorities = {}
        for each in (current, *others):
            octets = each.certificate.public_bytes(Encoding.DER)
            self._authorities[octets] = kept.get(octets) or _authority(each)
        return tuple(self._authorities.values())

    def ca_certificates(self) -> tuple[bytes, ...]:
        return self._ca_certificates()

    def revocation_list(self, issuer: bytes) -> bytes | None:
        for name, each in reversed(
            tuple(self._every_ca().members.items())
        ):  # The newest of one name.
            if each.certificate.subject.public_bytes() == issuer:
                latest = self._crls.latest(name)
                return latest.der if latest is not None else None
        return None


def _authority(identity: ServiceIdentity) -> RegistrationAuthority:
    if not isinstance(identity.key, rsa.RSAPrivateKey):
        raise HomeError("the key of the SCEP RA is no RSA key, and only those decrypt")
    return RegistrationAuthority.holding(identity.certificate, identity.key)
