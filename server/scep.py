"""What SCEP may know of this installation without asking: profiles, RA certificates, CRLs."""

from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.authorities import Authorities, Authority
from enroll.options import SCEPOptions
from enroll.profiles import ProtocolName
from enroll.stages.address import default_profile
from protocols.scep.messages import RegistrationAuthority
from server.home import HomeError
from server.labels import PolicyMirror
from server.revocation import RevocationPublisher
from server.service_certificates import ServiceCertificate, ServiceIdentity, is_by

_Named = tuple[x509.Certificate, str | None]
"""An RA's certificate, and the name of the CA that is to issue what is sealed to it."""


class SCEPServices:
    """Implements `protocols.scep.messages.Services`."""

    def __init__(
        self,
        *,
        mirror: PolicyMirror,
        ra: ServiceCertificate,
        next_ra: ServiceCertificate,
        next_ca: Callable[[], bytes | None],
        ca_certificates: Callable[[], tuple[bytes, ...]],
        authorities: Callable[[], Authorities],
        crls: RevocationPublisher,
    ) -> None:
        self._mirror = mirror
        self._ra = ra
        self._next_ra = next_ra
        self._next_ca = next_ca
        self._ca_certificates = ca_certificates
        self._crls = crls
        self._every_ca = authorities
        self._authorities: dict[_Named, RegistrationAuthority] = {}
        self._made_for: tuple[Authorities, tuple[ServiceIdentity, ...]] | None = None

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
        """Give the RA certificate that is shown, and then the others whose messages are taken.

        Those are the ones before it, and that of the next CA; none of a CA that is retired.
        """
        try:
            current = self._ra.current()
        except HomeError:
            return ()
        others = [*self._ra.usable(), *self._next_ra.usable()]
        found = (current, *(each for each in others if each is not current))
        authorities = self._every_ca()
        if self._made_for != (authorities, found):
            self._authorities = self._registration_authorities(authorities, found)
            self._made_for = (authorities, found)
        return tuple(self._authorities.values())

    def _registration_authorities(
        self, authorities: Authorities, identities: Iterable[ServiceIdentity]
    ) -> dict[_Named, RegistrationAuthority]:
        """Make each once: signing and decrypting with a key is prepared then."""
        made: dict[_Named, RegistrationAuthority] = {}
        for each in identities:
            above = _above(each, authorities)
            if above is None:
                continue
            coming = above is authorities.next_issuing
            named = (each.certificate, above.record.name if coming else None)
            made[named] = self._authorities.get(named) or _authority(each, named[1])
        return made

    def next_ca(self) -> bytes | None:
        return self._next_ca()

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


def _above(identity: ServiceIdentity, authorities: Authorities) -> Authority | None:
    """Give the CA above a certificate of ours, unless it is retired."""
    return next(
        (
            each
            for each in authorities.trusted_issuing
            if is_by(identity.certificate, each.certificate)
        ),
        None,
    )


def _authority(identity: ServiceIdentity, issuer: str | None) -> RegistrationAuthority:
    if not isinstance(identity.key, rsa.RSAPrivateKey):
        raise HomeError("the key of the SCEP RA is no RSA key, and only those decrypt")
    return RegistrationAuthority.holding(identity.certificate, identity.key, issuer)
