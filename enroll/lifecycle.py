"""Use cases: disable, enable, reset, delete a device; revoke, hold, release one certificate."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from enroll.approvals import stage_cancellation
from enroll.certificates import CertificateRecord, CertificateStatus, Measure, RevocationReason
from enroll.device import TRANSITIONS, Cause, Device, DeviceStatus
from enroll.events import EventName
from enroll.failures import NotFound, Refused
from enroll.policy.chronicle import Chronicle
from enroll.policy.revocation import Objection, applied, objection
from enroll.policy.slots import Change, Move, held, moved, released, revoked
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import CertificateClass, OnDisable
from enroll.registration import MadeCode, Registration
from enroll.retry import decided_anew
from enroll.revocation import settled, stage_changes, stage_measures

_ADVICE = {
    Objection.EXPIRED: "; there is no use in holding it",
    Objection.ON_HOLD: "; see 'enroll certificate release'",
    Objection.NOT_ON_HOLD: "; see 'enroll certificate list --status on_hold'",
}


class Lifecycle:
    """What a person decides about a device. Raises NotFound, Refused, RegistryUnavailable."""

    def __init__(self, registry: Registry, registration: Registration, clock: Clock) -> None:
        self._registry = registry
        self._registration = registration
        self._clock = clock

    @decided_anew
    async def disable(self, device_id: str, reason: str, *, actor: str) -> Device:
        """Stop the device until a person enables it again (T-15).

        Its certificates are held, revoked or left, as its group says. One that is Provisioned and
        loses what it needs by that is so no longer (T-24).
        """
        why = _checked(reason)
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            if device.status is DeviceStatus.DISABLED:
                raise Refused(f"{device.name} is disabled already")
            group = (await uow.policy.snapshot()).groups[device.group_id]
            move = _moved(device, Cause.DISABLE, now)
            device = replace(move.after, status=DeviceStatus.DISABLED, status_reason=why)
            for event in chronicle.moved(move, reason=why):
                uow.events.append(event)
            records = _from_here(await uow.certificates.of_device(device_id))
            changes = _on_disable(group.on_disable, records, now)
            stage_changes(uow, changes, chronicle)
            await stage_cancellation(uow, device_id, f"the device was disabled: {why}", chronicle)
            device = await settled(uow, device, changes, chronicle)
            uow.devices.save(device)
            await uow.commit()
        return device

    @decided_anew
    async def enable(self, device_id: str, reason: str, *, actor: str) -> Device:
        """Let a disabled device take part again (T-16): what was held with it is released.

        What somebody held by itself stays on hold until it is released by itself.
        """
        why = _checked(reason)
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            if device.status is DeviceStatus.ENABLED:
                raise Refused(f"{device.name} is enabled already")
            move = _moved(device, Cause.ENABLE, now)
            device = replace(move.after, status=DeviceStatus.ENABLED, status_reason=None)
            for event in chronicle.moved(move, reason=why):
                uow.events.append(event)
            records = await uow.certificates.of_device(device_id)
            on_hold = (each for each in records if _is_held_with_device(each))
            stage_changes(
                uow, [Change(was=each, now=released(each)) for each in on_hold], chronicle
            )
            uow.devices.save(device)
            await uow.commit()
        return device

    @decided_anew
    async def reset(self, device_id: str, reason: str, *, actor: str) -> tuple[Device, MadeCode]:
        """Begin again (T-23): every certificate revoked, every code dead, one new code.

        Those that expired are revoked too: their slots must be empty for the device to begin.
        """
        why = _checked(reason)
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            move = _moved(await _device(uow, device_id), Cause.RESET, now)
            for event in chronicle.moved(move, reason=why):
                uow.events.append(event)
            records = _from_here(await uow.certificates.of_device(device_id))
            stage_changes(uow, _each_revoked(records, RevocationReason.SUPERSEDED, now), chronicle)
            await stage_cancellation(uow, device_id, f"the device was reset: {why}", chronicle)
            await _stage_codes_revoked(uow, device_id, chronicle)
            policy = await uow.policy.snapshot()
            made = self._registration.stage_code(uow, policy, move.after, actor)
            uow.devices.save(move.after)
            await uow.commit()
        return move.after, made

    @decided_anew
    async def delete(self, device_id: str, *, actor: str) -> Device:
        """End a disabled device (T-17): every certificate revoked, every code dead.

        Its record stays, and its name and identities remain taken.
        """
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            move = _moved(device, Cause.DELETE, now)
            if device.status is DeviceStatus.ENABLED:
                raise Refused(f"{device.name} is enabled; see 'enroll device disable'")
            for event in chronicle.moved(move):
                uow.events.append(event)
            records = _from_here(await uow.certificates.of_device(device_id))
            changes = _each_revoked(records, RevocationReason.CESSATION_OF_OPERATION, now)
            stage_changes(uow, changes, chronicle)
            await stage_cancellation(uow, device_id, "the device was deleted", chronicle)
            await _stage_codes_revoked(uow, device_id, chronicle)
            uow.devices.save(move.after)
            await uow.commit()
        return move.after

    @decided_anew
    async def revoke(
        self, record: CertificateRecord, reason: RevocationReason, *, actor: str
    ) -> CertificateRecord:
        """Revoke one certificate (T-24); a device that needs it is no longer Provisioned.

        A key that was compromised is refused to every device from then on. That it was may be
        learnt late: it is the one reason that a certificate revoked for another may be given.
        """
        if reason is RevocationReason.CERTIFICATE_HOLD:
            raise Refused("certificateHold is not a revocation: see 'enroll certificate hold'")
        now = self._clock.now()
        chronicle = Chronicle(actor=actor, at=now)
        async with self._registry.unit_of_work() as uow:
            current = await _current(uow, record)
            change = Change(was=current, now=_revoked(current, reason, now))
            await stage_measures(uow, current.device_id, [change], chronicle)
            await uow.commit()
        return change.now

    async def hold(self, record: CertificateRecord, *, actor: str) -> CertificateRecord:
        """Refuse one certificate until it is released, or revoked; its slot stays filled."""
        return await self._apply(record, Measure.HOLD, actor)

    async def release(self, record: CertificateRecord, *, actor: str) -> CertificateRecord:
        """Take one certificate off hold: it is again what it was."""
        return await self._apply(record, Measure.RELEASE, actor)

    @decided_anew
    async def _apply(
        self, record: CertificateRecord, measure: Measure, actor: str
    ) -> CertificateRecord:
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            current = await _current(uow, record)
            against = objection(current, measure, now)
            if against is not None:
                advice = _ADVICE.get(against, "")
                raise Refused(f"certificate {current.serial_number} {against}{advice}")
            device = await uow.devices.by_id(current.device_id) if current.device_id else None
            disabled = device is not None and device.status is DeviceStatus.DISABLED
            if device is not None and disabled and measure is Measure.RELEASE:
                raise Refused(f"{device.name} is disabled; see 'enroll device enable'")
            change = applied(current, measure, now=now, by=actor)
            await stage_measures(uow, current.device_id, [change], Chronicle(actor=actor, at=now))
            await uow.commit()
        return change.now


async def _stage_codes_revoked(uow: UnitOfWork, device_id: str, chronicle: Chronicle) -> None:
    for code in await uow.codes.of_device(device_id):
        if code.is_active(chronicle.at):
            uow.codes.revoke(code, chronicle.at)
            uow.events.append(chronicle.event(EventName.CODE_REVOKED, device_id, code=code.code_id))


def _checked(reason: str) -> str:
    if not reason.strip():
        raise Refused("say why: the audit log keeps a reason for this")
    return reason.strip()


async def _current(uow: UnitOfWork, record: CertificateRecord) -> CertificateRecord:
    current = await uow.certificates.by_fingerprint(record.fingerprint)
    if current is None:
        raise NotFound(f"there is no certificate {record.serial_number}")
    return current


def _is_held_with_device(record: CertificateRecord) -> bool:
    return record.status is CertificateStatus.ON_HOLD and record.held_by is None


async def _device(uow: UnitOfWork, device_id: str) -> Device:
    device = await uow.devices.by_id(device_id)
    if device is None:
        raise NotFound(f"there is no device {device_id}")
    return device


def _moved(device: Device, cause: Cause, now: datetime) -> Move:
    if (device.state, cause) not in TRANSITIONS:
        raise Refused(f"{device.name} is {device.state}: it cannot {cause} now")
    return moved(device, cause, now)


def _from_here(records: Iterable[CertificateRecord]) -> list[CertificateRecord]:
    """Leave out what a device has from its maker: it is the device's own, and for life."""
    return [each for each in records if each.certificate_class is not CertificateClass.THIRD_PARTY]


def _on_disable(
    what: OnDisable, records: Iterable[CertificateRecord], now: datetime
) -> list[Change]:
    """Hold, revoke or leave what is still good."""
    good = [each for each in records if now <= each.not_valid_after]
    if what is OnDisable.REVOKE:
        return _each_revoked(good, RevocationReason.CESSATION_OF_OPERATION, now)
    if what is OnDisable.NONE:
        return []
    idle = {CertificateStatus.ON_HOLD, CertificateStatus.REVOKED}
    return [Change(was=each, now=held(each, now)) for each in good if each.status not in idle]


def _each_revoked(
    records: Iterable[CertificateRecord], reason: RevocationReason, now: datetime
) -> list[Change]:
    left = (each for each in records if each.status is not CertificateStatus.REVOKED)
    return [Change(was=each, now=revoked(each, reason, now)) for each in left]


def _revoked(
    record: CertificateRecord, reason: RevocationReason, now: datetime
) -> CertificateRecord:
    if record.status is not CertificateStatus.REVOKED:
        return revoked(record, reason, now)
    known = record.revocation_reason is RevocationReason.KEY_COMPROMISE
    if known or reason is not RevocationReason.KEY_COMPROMISE:
        raise Refused(f"certificate {record.serial_number} is revoked already")
    return replace(record, revocation_reason=reason)
