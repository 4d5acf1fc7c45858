"""Use cases: disable, enable and reset a device, and revoke one certificate."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import TRANSITIONS, Cause, Device, DeviceStatus
from enroll.events import EnrollmentEvent, EventName
from enroll.failures import NotFound, Refused
from enroll.policy.slots import held, is_degraded, released, revoked
from enroll.ports import Clock, Registry, UnitOfWork
from enroll.profiles import OnDisable
from enroll.registration import MadeCode, Registration


class Lifecycle:
    """What a person decides about a device. Raises NotFound, Refused, RegistryUnavailable."""

    def __init__(self, registry: Registry, registration: Registration, clock: Clock) -> None:
        self._registry = registry
        self._registration = registration
        self._clock = clock

    async def disable(self, device_id: str, reason: str, *, actor: str) -> Device:
        """Stop the device until a person enables it again (T-15).

        Its certificates are held, revoked or left, as its group says.
        """
        if not reason.strip():
            raise Refused("say why: a reason is kept with every disabled device")
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            if device.status is DeviceStatus.DISABLED:
                raise Refused(f"{device.name} is disabled already")
            group = (await uow.policy.snapshot()).groups[device.group_id]
            after = replace(
                _moved(device, Cause.DISABLE, now),
                status=DeviceStatus.DISABLED,
                status_reason=reason.strip(),
            )
            uow.devices.save(after)
            uow.events.append(_event(EventName.DEVICE_DISABLED, after, actor, now, reason=reason))
            for record in _unexpired(await uow.certificates.of_device(device_id), now):
                if record.status in {CertificateStatus.ON_HOLD, CertificateStatus.REVOKED}:
                    continue
                if group.on_disable is OnDisable.HOLD:
                    _hold(uow, record, after, actor, now)
                elif group.on_disable is OnDisable.REVOKE:
                    reason_code = RevocationReason.CESSATION_OF_OPERATION
                    _revoke(uow, record, reason_code, after, actor, now)
            await uow.commit()
        return after

    async def enable(self, device_id: str, reason: str, *, actor: str) -> Device:
        """Let a disabled device take part again (T-16): held certificates are released."""
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            if device.status is DeviceStatus.ENABLED:
                raise Refused(f"{device.name} is enabled already")
            after = replace(
                _moved(device, Cause.ENABLE, now), status=DeviceStatus.ENABLED, status_reason=None
            )
            uow.devices.save(after)
            uow.events.append(_event(EventName.DEVICE_ENABLED, after, actor, now, reason=reason))
            for record in await uow.certificates.of_device(device_id):
                if record.status is CertificateStatus.ON_HOLD:
                    uow.certificates.save(released(record), was=record)
                    uow.events.append(
                        _certificate_event(
                            EventName.CERTIFICATE_RELEASED, record, after, actor, now
                        )
                    )
            await uow.commit()
        return after

    async def reset(self, device_id: str, reason: str, *, actor: str) -> tuple[Device, MadeCode]:
        """Begin again (T-23): every certificate revoked, every code dead, one new code."""
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            device = await _device(uow, device_id)
            after = _moved(device, Cause.RESET, now)
            uow.devices.save(after)
            uow.events.append(_event(EventName.DEVICE_RESET, after, actor, now, reason=reason))
            for record in _unexpired(await uow.certificates.of_device(device_id), now):
                if record.status is not CertificateStatus.REVOKED:
                    _revoke(uow, record, RevocationReason.SUPERSEDED, after, actor, now)
            for code in await uow.codes.of_device(device_id):
                if code.is_active(now):
                    uow.codes.revoke(code, now)
                    uow.events.append(
                        _event(EventName.CODE_REVOKED, after, actor, now, code=code.code_id)
                    )
            policy = await uow.policy.snapshot()
            made = self._registration.stage_code(uow, policy, after, actor)
            await uow.commit()
        return after, made

    async def revoke(
        self, record: CertificateRecord, reason: RevocationReason, *, actor: str
    ) -> CertificateRecord:
        """Revoke one certificate (T-24); a device that needs it is no longer Provisioned.

        A key that was compromised is refused to every device from then on.
        """
        if reason is RevocationReason.CERTIFICATE_HOLD:
            raise Refused("certificateHold is not a revocation: disable the device to hold it")
        now = self._clock.now()
        async with self._registry.unit_of_work() as uow:
            current = await uow.certificates.by_fingerprint(record.fingerprint)
            if current is None:
                raise NotFound(f"there is no certificate {record.serial_number}")
            if current.status is CertificateStatus.REVOKED:
                raise Refused(f"certificate {record.serial_number} is revoked already")
            device = await uow.devices.by_id(current.device_id) if current.device_id else None
            after = _revoke(uow, current, reason, device, actor, now)
            if reason is RevocationReason.KEY_COMPROMISE:
                uow.keys.condemn(current.spki_sha256, now)
            if device is not None:
                await _settle(uow, device, after, actor, now)
            await uow.commit()
        return after


async def _device(uow: UnitOfWork, device_id: str) -> Device:
    device = await uow.devices.by_id(device_id)
    if device is None:
        raise NotFound(f"there is no device {device_id}")
    return device


def _moved(device: Device, cause: Cause, now: datetime) -> Device:
    state = TRANSITIONS.get((device.state, cause))
    if state is None:
        raise Refused(f"{device.name} is {device.state}: it cannot {cause} now")
    return replace(device, state=state, updated_at=now)


async def _settle(
    uow: UnitOfWork, device: Device, gone: CertificateRecord, actor: str, now: datetime
) -> None:
    """Save the device, a step back if what is gone was required of it."""
    policy = await uow.policy.snapshot()
    left = [
        each
        for each in await uow.certificates.live_of(device.device_id)
        if each.fingerprint != gone.fingerprint
    ]
    after = replace(device, updated_at=now)
    if is_degraded(device, policy.groups[device.group_id], left):
        after = _moved(device, Cause.REQUIREMENT_LOST, now)
        uow.events.append(
            _event(
                EventName.DEVICE_DEGRADED,
                after,
                actor,
                now,
                before=device.state.value,
                after=after.state.value,
                lost=gone.profile,
            )
        )
    uow.devices.save(after)


def _unexpired(records: Iterable[CertificateRecord], now: datetime) -> Iterable[CertificateRecord]:
    return (each for each in records if now <= each.not_valid_after)


def _hold(
    uow: UnitOfWork, record: CertificateRecord, device: Device, actor: str, now: datetime
) -> None:
    uow.certificates.save(held(record, now), was=record)
    uow.events.append(_certificate_event(EventName.CERTIFICATE_HELD, record, device, actor, now))


def _revoke(
    uow: UnitOfWork,
    record: CertificateRecord,
    reason: RevocationReason,
    device: Device | None,
    actor: str,
    now: datetime,
) -> CertificateRecord:
    after = revoked(record, reason, now)
    uow.certificates.save(after, was=record)
    uow.events.append(
        _certificate_event(
            EventName.CERTIFICATE_REVOKED, record, device, actor, now, reason=reason.value
        )
    )
    return after


def _event(
    name: EventName, device: Device, actor: str, now: datetime, **facts: object
) -> EnrollmentEvent:
    return EnrollmentEvent(
        name=name, occurred_at=now, actor=actor, device_id=device.device_id, facts=facts
    )


def _certificate_event(
    name: EventName,
    record: CertificateRecord,
    device: Device | None,
    actor: str,
    now: datetime,
    **facts: object,
) -> EnrollmentEvent:
    return EnrollmentEvent(
        name=name,
        occurred_at=now,
        actor=actor,
        device_id=device.device_id if device else None,
        facts={"serial_number": record.serial_number, "profile": record.profile, **facts},
    )
