"""The slots of a device: what fills them, and what a confirmed replacement does to its predecessor.

A slot is a device's place for the certificates of one enrollment profile, and bears its slug.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import TRANSITIONS, Cause, Device, DeviceState
from enroll.profiles import CertificateClass, DeviceGroup, EnrollmentProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One certificate before and after."""

    was: CertificateRecord
    now: CertificateRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One device before and after a transition."""

    before: Device
    cause: Cause
    after: Device


def moved(device: Device, cause: Cause, now: datetime) -> Move:
    """Move a device as the table of transitions says. KeyError where it says nothing."""
    state = TRANSITIONS[device.state, cause]
    return Move(before=device, cause=cause, after=replace(device, state=state, updated_at=now))


def live_after(
    live: Iterable[CertificateRecord], changes: Iterable[Change]
) -> tuple[CertificateRecord, ...]:
    """Give what is live once the changes are made."""
    after = {change.was.fingerprint: change.now for change in changes}
    current = [after.get(each.fingerprint, each) for each in live]
    return tuple([each for each in current if each.is_live])


def active_in(live: Iterable[CertificateRecord], slot: str) -> CertificateRecord | None:
    """Give the certificate that fills the slot: active, or active but held."""
    for each in live:
        if each.profile == slot and each.confirmed_at is not None and each.is_live:
            return each
    return None


def pending_in(live: Iterable[CertificateRecord], slot: str) -> CertificateRecord | None:
    """Give the replacement that waits for its first use."""
    for each in live:
        if each.profile == slot and each.confirmed_at is None and each.is_live:
            return each
    return None


def confirm(
    pending: CertificateRecord,
    live: Iterable[CertificateRecord],
    profile: EnrollmentProfile | None,
    now: datetime,
) -> tuple[Change, ...]:
    """Let a replacement take its slot; the certificate it replaces becomes superseded.

    Where the profile says `revoke_superseded_after` zero, the old one is revoked at once.
    """
    taken = Change(
        was=pending, now=replace(pending, status=CertificateStatus.ACTIVE, confirmed_at=now)
    )
    old = active_in(live, pending.profile)
    if old is None:
        return (taken,)
    if profile is not None and profile.revoke_superseded_after == timedelta(0):
        return (taken, Change(was=old, now=revoked(old, RevocationReason.SUPERSEDED, now)))
    return (taken, Change(was=old, now=superseded(old, now)))


def superseded(record: CertificateRecord, now: datetime) -> CertificateRecord:
    """Retire a certificate; one that is on hold stays so, and is superseded when it is released."""
    if record.status is CertificateStatus.ON_HOLD:
        return replace(record, superseded_at=now)
    return replace(record, status=CertificateStatus.SUPERSEDED, superseded_at=now)


def revoked(
    record: CertificateRecord, reason: RevocationReason, now: datetime
) -> CertificateRecord:
    return replace(
        record,
        status=CertificateStatus.REVOKED,
        revoked_at=now,
        revocation_reason=reason,
        held_by=None,
    )


def held(record: CertificateRecord, now: datetime, by: str | None = None) -> CertificateRecord:
    """Put a certificate on hold: with its device, or by itself where it is said by whom."""
    return replace(
        record,
        status=CertificateStatus.ON_HOLD,
        revoked_at=now,
        revocation_reason=RevocationReason.CERTIFICATE_HOLD,
        held_by=by,
    )


def released(record: CertificateRecord) -> CertificateRecord:
    """Take a certificate off hold: back to what it was, told by its dates."""
    if record.superseded_at is not None:
        status = CertificateStatus.SUPERSEDED
    elif record.confirmed_at is None:
        status = CertificateStatus.PENDING_CONFIRM
    else:
        status = CertificateStatus.ACTIVE
    return replace(record, status=status, revoked_at=None, revocation_reason=None, held_by=None)


def first_issue(certificate_class: CertificateClass) -> Cause:
    """Name the transition that filling an empty slot makes (T-07, T-08)."""
    if certificate_class is CertificateClass.BOOTSTRAP:
        return Cause.BOOTSTRAP_ISSUED
    return Cause.OPERATIONAL_ISSUED


def standing(
    device: Device, group: DeviceGroup, live: Iterable[CertificateRecord], now: datetime
) -> Cause | None:
    """Judge whether every required slot holds an active, confirmed certificate (T-09)."""
    if device.state is not DeviceState.REGISTERED or not group.required_profiles:
        return None
    filled = {
        each.profile
        for each in live
        if each.status is CertificateStatus.ACTIVE and now <= each.not_valid_after
    }
    return Cause.REQUIREMENTS_MET if filled.issuperset(group.required_profiles) else None


def is_degraded(device: Device, group: DeviceGroup, live: Iterable[CertificateRecord]) -> bool:
    """Tell whether a Provisioned device has lost a required certificate to revocation (T-24).

    One that is on hold, or has expired (T-26), is not lost.
    """
    filled = {each.profile for each in live if each.confirmed_at is not None and each.is_live}
    return device.state is DeviceState.PROVISIONED and not filled.issuperset(
        group.required_profiles
    )
