"""Writing down what became of certificates, and what that makes of their device and their keys."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import Cause, Device
from enroll.policy.chronicle import Chronicle
from enroll.policy.slots import Change, is_degraded, live_after, moved, standing
from enroll.ports import UnitOfWork


async def stage_measures(
    uow: UnitOfWork, device_id: str | None, changes: Sequence[Change], chronicle: Chronicle
) -> None:
    """Stage certificates of one device, or of none, that were revoked, held or released.

    A key that was compromised is refused to every device from then on; but not one that nobody
    has proven to hold yet, whose certificate that may be.
    """
    stage_changes(uow, changes, chronicle)
    for change in changes:
        compromised = change.now.revocation_reason is RevocationReason.KEY_COMPROMISE
        if compromised and await _is_held(change.now, uow):
            uow.keys.condemn(change.now.spki_sha256, chronicle.at)
    device = await uow.devices.by_id(device_id) if device_id is not None else None
    if device is not None:
        device = await settled(uow, device, changes, chronicle)
        uow.devices.save(replace(device, updated_at=chronicle.at))


async def _is_held(record: CertificateRecord, uow: UnitOfWork) -> bool:
    """Tell whether the key is its device's, as one is whose possession was proven."""
    if not record.awaits_owner:
        return True
    key = await uow.keys.find(record.spki_sha256)
    return key is not None and key.device_id == record.device_id


def stage_changes(uow: UnitOfWork, changes: Iterable[Change], chronicle: Chronicle) -> None:
    for change in changes:
        uow.certificates.save(change.now, was=change.was)
        uow.events.append(chronicle.changed(change))


async def settled(
    uow: UnitOfWork, device: Device, changes: Sequence[Change], chronicle: Chronicle
) -> Device:
    """Give the device, a step back (T-24) if what is gone was required of it.

    What came back from hold may be the last that was missing: then it is a step forward (T-09).
    """
    gone = [each.now for each in changes if each.now.status is CertificateStatus.REVOKED]
    back = [each.now for each in changes if _is_released(each)]
    if not gone and not back:
        return device
    policy = await uow.policy.snapshot()
    group = policy.groups[device.group_id]
    left = live_after(await uow.certificates.live_of(device.device_id), changes)
    if gone and is_degraded(device, group, left):
        move = moved(device, Cause.REQUIREMENT_LOST, chronicle.at)
        facts = {"lost": ", ".join(sorted({each.profile for each in gone}))}
    elif back and standing(device, group, left, chronicle.at) is not None:
        move = moved(device, Cause.REQUIREMENTS_MET, chronicle.at)
        facts = {"profile": ", ".join(sorted({each.profile for each in back}))}
    else:
        return device
    for event in chronicle.moved(move, **facts):
        uow.events.append(event)
    return move.after


def _is_released(change: Change) -> bool:
    was_held = change.was.status is CertificateStatus.ON_HOLD
    return was_held and change.now.revoked_at is None
