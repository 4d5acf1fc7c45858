"""Use case: what time settles. Replacements are confirmed, and superseded certificates retired."""

from dataclasses import replace
from datetime import timedelta

from enroll.certificates import CertificateRecord, RevocationReason
from enroll.device import TRANSITIONS
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.policy.slots import Change, confirm, revoked, standing
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import PolicySnapshot

ACTOR = "system"


class Confirmations:
    """Run `settle` now and then; each certificate is a transaction of its own."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def settle(self) -> int:
        """Settle all that is due and tell how many that was. Raises RegistryUnavailable."""
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            waiting = await uow.certificates.pending_since(self._clock.now())
            retiring = await self._to_retire(uow, policy)
        settled = 0
        for record in waiting:
            profile = policy.enrollment_profiles.get(record.profile)
            timeout = profile.confirm_timeout if profile else timedelta(hours=24)
            if self._clock.now() - record.issued_at >= timeout:
                settled += await self._confirm(record, policy)
        for record in retiring:
            settled += await self._retire(record)
        return settled

    async def _to_retire(self, uow: UnitOfWork, policy: PolicySnapshot) -> list[CertificateRecord]:
        found: list[CertificateRecord] = []
        for profile in policy.enrollment_profiles.values():
            if profile.revoke_superseded_after is not None:
                before = self._clock.now() - profile.revoke_superseded_after
                found.extend(await uow.certificates.superseded_before(profile.slug, before))
        return found

    async def _confirm(self, record: CertificateRecord, policy: PolicySnapshot) -> bool:
        now = self._clock.now()
        try:
            async with self._registry.unit_of_work() as uow:
                if record.device_id is None:
                    return False
                device = await uow.devices.by_id(record.device_id)
                live = await uow.certificates.live_of(record.device_id)
                if device is None:
                    return False
                profile = policy.enrollment_profiles.get(record.profile)
                changes = confirm(record, live, profile, now)
                after = {change.was.fingerprint: change.now for change in changes}
                standing_now = [after.get(each.fingerprint, each) for each in live]
                cause = standing(device, policy.groups[device.group_id], standing_now, now)
                if cause is not None:
                    device = replace(device, state=TRANSITIONS[device.state, cause])
                uow.devices.save(replace(device, updated_at=now))
                self._save(uow, changes)
                await uow.commit()
        except (ConcurrentChange, AlreadyTaken):
            return False  # Someone else settled it meanwhile; the next run will see.
        return True

    async def _retire(self, record: CertificateRecord) -> bool:
        change = Change(
            was=record, now=revoked(record, RevocationReason.SUPERSEDED, self._clock.now())
        )
        try:
            async with self._registry.unit_of_work() as uow:
                self._save(uow, (change,))
                await uow.commit()
        except ConcurrentChange:
            return False
        return True

    def _save(self, uow: UnitOfWork, changes: tuple[Change, ...]) -> None:
        for change in changes:
            uow.certificates.save(change.now, was=change.was)
            if change.now.revoked_at is not None:
                name = EventName.CERTIFICATE_REVOKED
            elif change.now.superseded_at is not None:
                name = EventName.CERTIFICATE_SUPERSEDED
            else:
                name = EventName.CERTIFICATE_CONFIRMED
            uow.events.append(
                EnrollmentEvent(
                    name=name,
                    occurred_at=self._clock.now(),
                    actor=ACTOR,
                    device_id=change.now.device_id,
                    facts={
                        "serial_number": change.now.serial_number,
                        "profile": change.now.profile,
                    },
                )
            )
