"""What protocols may know of policy without asking: kept in memory, never older than a second."""

from collections.abc import Callable

from enroll.options import ServerKeyGeneration
from enroll.policy.requirements import requirements_of
from enroll.ports import Registry
from enroll.profiles import EnrollmentProfile, PolicySnapshot, ProtocolName
from enroll.requirements import RequestRequirements
from enroll.stages.address import default_profile


class PolicyMirror:
    """The policy as last read. `refresh` is run on a timer; reading it costs nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._policy = PolicySnapshot(version=-1)

    @property
    def policy(self) -> PolicySnapshot:
        return self._policy

    async def refresh(self) -> None:
        """Read policy anew if it changed. Raises RegistryUnavailable."""
        async with self._registry.unit_of_work() as uow:
            self._policy = await uow.policy.snapshot()


class Labels:
    """The profile slugs that one protocol serves, and the CA certificates behind each."""

    def __init__(
        self,
        mirror: PolicyMirror,
        protocol: ProtocolName,
        ca_certificates: Callable[[], tuple[bytes, ...]],
    ) -> None:
        self._mirror = mirror
        self._protocol = protocol
        self._ca_certificates = ca_certificates

    def exists(self, label: str) -> bool:
        profile = self._mirror.policy.enrollment_profiles.get(label)
        return profile is not None and self._protocol in profile.protocols

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        """Give the profile of a label, or the one that is meant without."""
        policy = self._mirror.policy
        if label is None:
            return default_profile(policy)
        return policy.enrollment_profiles.get(label)

    def makes_keys(self, label: str | None) -> bool:
        """Tell whether keys are made for devices there; without a label, anywhere."""
        profiles = self._mirror.policy.enrollment_profiles
        asked = profiles.values() if label is None else filter(None, [profiles.get(label)])
        return any(
            each.est.server_key_generation is ServerKeyGeneration.ALLOWED
            for each in asked
            if self._protocol in each.protocols
        )

    def requirements(self, label: str | None) -> RequestRequirements:
        """Tell what anybody's request should hold; nothing, where nobody enrolls."""
        policy, profile = self._mirror.policy, self.profile(label)
        if profile is None or self._protocol not in profile.protocols:
            return RequestRequirements()
        template = policy.certificate_profiles[(profile.tenant_id, profile.certificate_profile)]
        return requirements_of(profile, template, None)

    def ca_certificates(self, label: str | None) -> tuple[bytes, ...]:
        """Give the CA certificates for a label, DER: one CA serves them all."""
        del label
        return self._ca_certificates()
