"""Use case: what time settles. Replacements are confirmed, and superseded certificates retired."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from enroll.certificates import CertificateRecord, RevocationReason
from enroll.failures import ConcurrentChange
from enroll.policy.chronicle import Chronicle
from enroll.policy.slots import Change, confirm, live_after, moved, revoked, standing, superseded
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import PolicySnapshot

ACTOR = "system"
CONFIRM_TIMEOUT = timedelta(hours=24)
"""How long a replacement waits whose profile is no longer there to say."""


class Confirmations:
    """Run `settle` now and then; each certificate is a transaction of its own."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def settle(self) -> int:
        """Settle all that is due and tell how many that was. Raises RegistryUnavailable."""
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            policy = await uow.policy.snapshot()
            waiting = await uow.certificates.pending_since(now)
            retiring = await _to_retire(uow, policy, now)
        settled = 0
        for record in waiting:
            if record.awaits_owner:
                settled += now > _end(record) and await self._give_up(record)
            elif now - record.issued_at >= _timeout(record, policy):
                settled += await self._confirm(record)
        for record in retiring:
            settled += await self._retire(record)
        return settled

    async def _confirm(self, record: CertificateRecord) -> bool:
        """Confirm a replacement that nobody has used: its device may have it, and be silent."""
        now = self._clock.now()
        chronicle = Chronicle(actor=ACTOR, at=now)
        try:
            async with self._registry.unit_of_work() as uow:
                device = await uow.devices.by_id(record.device_id or "")
                if device is None:
                    return False
                policy = await uow.policy.snapshot()
                live = await uow.certificates.live_of(device.device_id)
                changes = _changes(record, live, policy, now)
                for change in changes:
                    _stage(uow, change, chronicle)
                group = policy.groups[device.group_id]
                promotion = standing(device, group, live_after(live, changes), now)
                if promotion is not None:
                    move = moved(device, promotion, now)
                    device = move.after
                    for event in chronicle.moved(move, profile=record.profile):
                        uow.events.append(event)
                uow.devices.save(replace(device, updated_at=now))
                uow.policy.expect(policy.version)
                await uow.commit()
        except ConcurrentChange:
            return False  # Someone else settled it meanwhile; the next run will see.
        return True

    async def _give_up(self, record: CertificateRecord) -> bool:
        """Revoke what its owner should have confirmed and did not (RFC 9810 §5.1.1.2)."""
        return await self._revoke(record, RevocationReason.CESSATION_OF_OPERATION)

    async def _retire(self, record: CertificateRecord) -> bool:
        """Revoke a superseded certificate whose time of grace is over."""
        return await self._revoke(record, RevocationReason.SUPERSEDED)

    async def _revoke(self, record: CertificateRecord, reason: RevocationReason) -> bool:
        now = self._clock.now()
        change = Change(was=record, now=revoked(record, reason, now))
        try:
            async with self._registry.unit_of_work() as uow:
                _stage(uow, change, Chronicle(actor=ACTOR, at=now))
                await uow.commit()
        except ConcurrentChange:
            return False
        return True


def _end(record: CertificateRecord) -> datetime:
    return record.confirm_until or record.issued_at


def _timeout(record: CertificateRecord, policy: PolicySnapshot) -> timedelta:
    profile = policy.enrollment_profiles.get(record.profile)
    return profile.confirm_timeout if profile is not None else CONFIRM_TIMEOUT


def _changes(
    record: CertificateRecord,
    live: Sequence[CertificateRecord],
    policy: PolicySnapshot,
    now: datetime,
) -> tuple[Change, ...]:
    """Let the replacement take its slot, unless it expired before anybody could use it."""
    if now > record.not_valid_after:
        return (Change(was=record, now=superseded(record, now)),)
    return confirm(record, live, policy.enrollment_profiles.get(record.profile), now)


async def _to_retire(
    uow: UnitOfWork, policy: PolicySnapshot, now: datetime
) -> list[CertificateRecord]:
    found: list[CertificateRecord] = []
    for profile in policy.enrollment_profiles.values():
        if profile.revoke_superseded_after is not None:
            before = now - profile.revoke_superseded_after
            found.extend(await uow.certificates.superseded_before(profile.slug, before))
    return found


def _stage(uow: UnitOfWork, change: Change, chronicle: Chronicle) -> None:
    uow.certificates.save(change.now, was=change.was)
    uow.events.append(chronicle.changed(change))
