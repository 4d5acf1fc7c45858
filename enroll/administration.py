"""Use cases: what a PKI admin changes of groups and profiles, checked before it is stored."""

from dataclasses import replace

from enroll.events import EnrollmentEvent, EventName
from enroll.failures import AlreadyTaken, NotFound
from enroll.policy.profiles import (
    check_certificate_profile,
    check_enrollment_profile,
    check_group,
)
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import CertificateProfile, DeviceGroup, EnrollmentProfile
from enroll.retry import decided_anew


class Administration:
    """Stores policy. Each method raises PolicyError, which names the key at fault.

    With `new`, the name must be free (AlreadyTaken); without, it must be there (NotFound).
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    @decided_anew
    async def put_group(self, group: DeviceGroup, *, new: bool, actor: str) -> DeviceGroup:
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            _check_presence(
                "group", group.name, new=new, there=policy.group_named(group.tenant_id, group.name)
            )
            check_group(group, policy)
            uow.policy.expect(policy.version)
            uow.policy.put_group(group)
            self._changed(uow, actor, "group", group.name)
            await uow.commit()
        return group

    @decided_anew
    async def put_enrollment_profile(
        self, profile: EnrollmentProfile, *, new: bool, actor: str
    ) -> EnrollmentProfile:
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            there = policy.enrollment_profiles.get(profile.slug)
            _check_presence("slug", profile.slug, new=new, there=there)
            check_enrollment_profile(profile, policy)
            uow.policy.expect(policy.version)
            uow.policy.put_enrollment_profile(profile)
            self._changed(uow, actor, "enrollment profile", profile.slug)
            await uow.commit()
        return profile

    @decided_anew
    async def put_certificate_profile(
        self, profile: CertificateProfile, *, new: bool, actor: str
    ) -> CertificateProfile:
        """Store the next version of a certificate profile; issued certificates name theirs."""
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            there = policy.certificate_profiles.get((profile.tenant_id, profile.name))
            _check_presence("name", profile.name, new=new, there=there)
            versioned = replace(profile, version=there.version + 1 if there else 1)
            check_certificate_profile(versioned)
            changed = replace(
                policy,
                certificate_profiles={
                    **policy.certificate_profiles,
                    (versioned.tenant_id, versioned.name): versioned,
                },
            )
            for each in policy.enrollment_profiles.values():
                if (each.tenant_id, each.certificate_profile) == (
                    versioned.tenant_id,
                    versioned.name,
                ):
                    check_enrollment_profile(each, changed)
            uow.policy.expect(policy.version)
            uow.policy.put_certificate_profile(versioned)
            self._changed(uow, actor, "certificate profile", versioned.name)
            await uow.commit()
        return versioned

    def _changed(self, uow: UnitOfWork, actor: str, kind: str, name: str) -> None:
        uow.events.append(
            EnrollmentEvent(
                name=EventName.POLICY_CHANGED,
                occurred_at=self._clock.now(),
                actor=actor,
                facts={"kind": kind, "name": name},
            )
        )


def _check_presence(what: str, name: str, *, new: bool, there: object | None) -> None:
    if new and there is not None:
        raise AlreadyTaken(what, name)
    if not new and there is None:
        raise NotFound(f"there is no {what} {name!r}")
