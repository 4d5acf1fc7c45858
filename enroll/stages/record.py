"""Store the certificate, move the device and write the events: one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.credentials import CredentialKind
from enroll.device import TRANSITIONS, Cause, Device, DeviceState
from enroll.events import EnrollmentEvent, EventName
from enroll.policy.slots import Change, active_in, confirm, pending_in, standing, superseded
from enroll.ports import Clock, Transaction, UnitOfWork
from enroll.steps import Signed
from enroll.trace import DecisionTrace

_CHANGE_EVENTS: Mapping[CertificateStatus, EventName] = {
    CertificateStatus.ACTIVE: EventName.CERTIFICATE_CONFIRMED,
    CertificateStatus.SUPERSEDED: EventName.CERTIFICATE_SUPERSEDED,
    CertificateStatus.REVOKED: EventName.CERTIFICATE_REVOKED,
}
_STATE_EVENTS: Mapping[DeviceState, EventName] = {
    DeviceState.REGISTERED: EventName.DEVICE_ENROLLED,
    DeviceState.PROVISIONED: EventName.DEVICE_PROVISIONED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """All that one issuance changes."""

    record: CertificateRecord
    changes: tuple[Change, ...]
    device: Device
    events: tuple[EnrollmentEvent, ...]


class Record:
    """Stages every write of one issuance; the pipeline adds the attempt and commits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, step: Signed, uow: UnitOfWork, trace: DecisionTrace) -> CertificateRecord:
        """Stage the writes. What they guard is checked when the unit commits."""
        now = self._clock.now()
        outcome = _outcome(step, now)
        authorized = step.planned.authorized
        authentication = authorized.identified.authenticated.authentication
        addressed = authorized.identified.authenticated.addressed
        record = outcome.record
        uow.policy.expect(addressed.policy.version)
        uow.devices.save(outcome.device)
        uow.keys.claim(record.spki_sha256, outcome.device.device_id, now)
        for change in outcome.changes:
            uow.certificates.save(change.now, was=change.was)
        uow.certificates.add(record)
        if authentication.code is not None:
            uow.codes.consume(authentication.code, now)
        uow.transactions.add(
            Transaction(
                device_id=outcome.device.device_id,
                profile=record.profile,
                spki_sha256=record.spki_sha256,
                credential_id=authentication.credential_id,
                fingerprint=record.fingerprint,
                created_at=now,
            )
        )
        for event in outcome.events:
            uow.events.append(event)
        trace.device = outcome.device
        trace.passed("record", record.serial_number)
        return record


def _outcome(step: Signed, now: datetime) -> _Outcome:
    authorized = step.planned.authorized
    identified = authorized.identified
    addressed = identified.authenticated.addressed
    changes = _changes(step, now)
    live = _live_after(identified.live, changes)
    fills_slot = active_in(live, addressed.profile.slug) is None
    record = _record(step, now, fills_slot=fills_slot)
    live = (*live, record)
    state = TRANSITIONS[identified.device.state, authorized.cause]
    device = replace(identified.device, state=state, updated_at=now)
    promotion = standing(device, identified.group, live, now)
    if promotion is not None:
        device = replace(device, state=TRANSITIONS[device.state, promotion])
    return _Outcome(
        record=record,
        changes=changes,
        device=device,
        events=tuple(_events(step, record, changes, device, now)),
    )


def _changes(step: Signed, now: datetime) -> tuple[Change, ...]:
    """Confirm what was presented, and retire a replacement that was never used."""
    authorized = step.planned.authorized
    identified = authorized.identified
    profile = identified.authenticated.addressed.profile
    changes: tuple[Change, ...] = ()
    if authorized.confirms is not None:
        owner = identified.authenticated.addressed.policy.enrollment_profiles.get(
            authorized.confirms.profile
        )
        changes = confirm(authorized.confirms, identified.live, owner, now)
    waiting = pending_in(_live_after(identified.live, changes), profile.slug)
    if waiting is not None:
        changes = (*changes, Change(was=waiting, now=superseded(waiting, now)))
    return changes


def _live_after(
    live: tuple[CertificateRecord, ...], changes: tuple[Change, ...]
) -> tuple[CertificateRecord, ...]:
    after: Mapping[str, CertificateRecord] = {
        change.was.fingerprint: change.now for change in changes
    }
    current = (after.get(each.fingerprint, each) for each in live)
    return tuple(each for each in current if each.is_live)


def _record(step: Signed, now: datetime, *, fills_slot: bool) -> CertificateRecord:
    authorized = step.planned.authorized
    authenticated = authorized.identified.authenticated
    request = authenticated.addressed.request
    order = step.planned.order
    template = authorized.certificate_profile
    return CertificateRecord(
        fingerprint=sha256(step.issued.der).hexdigest(),
        issuer=step.issued.issuer,
        serial_number=f"{order.serial_number:x}",
        device_id=authorized.identified.device.device_id,
        profile=authenticated.addressed.profile.slug,
        certificate_class=authenticated.addressed.profile.certificate_class,
        certificate_profile=template.name,
        certificate_profile_version=template.version,
        spki_sha256=request.certificate_request.spki_sha256,
        der=step.issued.der,
        not_valid_before=order.not_valid_before,
        not_valid_after=order.not_valid_after,
        status=CertificateStatus.ACTIVE if fills_slot else CertificateStatus.PENDING_CONFIRM,
        issued_at=now,
        credential_id=authenticated.authentication.credential_id,
        attempt_id=request.origin.correlation_id,
        confirmed_at=now if fills_slot else None,
    )


def _events(
    step: Signed,
    record: CertificateRecord,
    changes: tuple[Change, ...],
    device: Device,
    now: datetime,
) -> list[EnrollmentEvent]:
    authorized = step.planned.authorized
    before = authorized.identified.device.state
    authentication = authorized.identified.authenticated.authentication
    origin = authorized.identified.authenticated.addressed.request.origin

    def event(name: EventName, **facts: object) -> EnrollmentEvent:
        return EnrollmentEvent(
            name=name,
            occurred_at=now,
            actor=f"device:{device.device_id}",
            device_id=device.device_id,
            correlation_id=origin.correlation_id,
            facts=facts,
        )

    events = [
        event(
            EventName.CERTIFICATE_ISSUED,
            serial_number=record.serial_number,
            issuer=record.issuer,
            fingerprint=record.fingerprint,
            profile=record.profile,
            cause=authorized.cause.value,
            protocol=origin.protocol.value,
            credential=authentication.kind.value,
        )
    ]
    if authentication.kind is CredentialKind.ONE_TIME_CODE:
        events.append(event(EventName.CODE_USED, code=authentication.credential_id))
    events.extend(
        event(
            _CHANGE_EVENTS[change.now.status],
            serial_number=change.now.serial_number,
            profile=change.now.profile,
        )
        for change in changes
    )
    if authorized.cause is Cause.RE_ENROLL:
        events.append(event(EventName.DEVICE_RE_ENROLLED, profile=record.profile))
    moved_by = _STATE_EVENTS.get(device.state)
    if device.state is not before and moved_by is not None:
        events.append(event(moved_by, before=before.value, after=device.state.value))
    return events
