"""Store the certificate, move the device and write the events: one transaction."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from enroll.certificates import CertificateRecord, CertificateStatus
from enroll.credentials import CredentialKind
from enroll.device import Device
from enroll.events import EnrollmentEvent, EventName
from enroll.newcomers import joined, stage_newcomer
from enroll.policy.approval import fulfilled
from enroll.policy.chronicle import Chronicle
from enroll.policy.slots import (
    Change,
    Move,
    active_in,
    confirm,
    live_after,
    moved,
    pending_in,
    standing,
    superseded,
)
from enroll.ports import Clock, UnitOfWork
from enroll.profiles import EnrollmentProfile
from enroll.request import Acknowledgement, EnrollmentRequest
from enroll.spent import stage_use
from enroll.steps import Repeated, Signed, ThirdPartyCertificate
from enroll.trace import DecisionTrace


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
        if authorized.identified.authenticated.newcomer is not None:
            stage_newcomer(outcome.device, authorized.identified.group, uow)
        else:
            uow.devices.save(outcome.device)
        is_proven = addressed.request.certificate_request.key_proven
        if is_proven:
            uow.keys.claim(record.spki_sha256, outcome.device.device_id, now)
        for change in outcome.changes:
            uow.certificates.save(change.now, was=change.was)
        uow.certificates.add(record)
        claimed = record.spki_sha256 if is_proven else None
        _remember(authorized.identified.authenticated.third_party, claimed, uow, now)
        if authorized.order is not None:
            uow.orders.save(fulfilled(authorized.order, record.fingerprint))
        else:
            stage_use(authentication, uow, now)
        for event in outcome.events:
            uow.events.append(event)
        trace.device = outcome.device
        trace.passed("record", record.serial_number)
        return record


def follow(repeated: Repeated, request: EnrollmentRequest, uow: UnitOfWork) -> None:
    """Let the exchange that asked last be the one that its owner confirms in."""
    record = repeated.record
    if request.transaction not in {None, record.transaction}:
        uow.certificates.save(replace(record, transaction=request.transaction), was=record)


def _remember(
    shown: ThirdPartyCertificate | None,
    claimed: str | None,
    uow: UnitOfWork,
    now: datetime,
) -> None:
    """Keep another CA's certificate that proved the device, and its key as the device's.

    Unless it is the one that was `claimed` already.
    """
    if shown is None:
        return
    if shown.is_new:
        uow.certificates.add(shown.record)
    owner = shown.record.device_id
    if owner is not None and shown.record.spki_sha256 != claimed:
        uow.keys.claim(shown.record.spki_sha256, owner, now)


def _outcome(step: Signed, now: datetime) -> _Outcome:
    authorized = step.planned.authorized
    identified = authorized.identified
    addressed = identified.authenticated.addressed
    changes = _changes(step, now)
    live = live_after(identified.live, changes)
    fills_slot = active_in(live, addressed.profile.slug) is None
    record = _record(step, now, fills_slot=fills_slot)
    moves = [] if record.awaits_owner and fills_slot else _moves(step, (*live, record), now)
    device = moves[-1].after if moves else replace(identified.device, updated_at=now)
    return _Outcome(
        record=record,
        changes=changes,
        device=_pinned(device, identified.authenticated.third_party),
        events=tuple(_events(step, record, changes, moves, now)),
    )


def _pinned(device: Device, shown: ThirdPartyCertificate | None) -> Device:
    """Tie the device to the very certificate that its maker gave it (T-08)."""
    if shown is None or shown.pin is None:
        return device
    return replace(device, identities=(*device.identities, shown.pin))


def _moves(step: Signed, live: tuple[CertificateRecord, ...], now: datetime) -> list[Move]:
    """Move the device by what it got, and further if that was the last it needed (T-09)."""
    authorized = step.planned.authorized
    identified = authorized.identified
    moves = [moved(identified.device, authorized.cause, now)]
    promotion = standing(moves[-1].after, identified.group, live, now)
    if promotion is not None:
        moves.append(moved(moves[-1].after, promotion, now))
    return moves


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
    waiting = pending_in(live_after(identified.live, changes), profile.slug)
    if waiting is not None:
        changes = (*changes, Change(was=waiting, now=superseded(waiting, now)))
    return changes


def _confirm_within(request: EnrollmentRequest, profile: EnrollmentProfile) -> timedelta | None:
    """Tell how long its owner's word is awaited; the profile is the one that issues."""
    waived = request.acknowledgement is Acknowledgement.WAIVED and profile.cmp.implicit_confirm
    if waived or request.acknowledgement is Acknowledgement.NONE:
        return None
    return profile.confirm_timeout


def _record(step: Signed, now: datetime, *, fills_slot: bool) -> CertificateRecord:
    authorized = step.planned.authorized
    authenticated = authorized.identified.authenticated
    request = authenticated.addressed.request
    order = step.planned.order
    template = authorized.certificate_profile
    within = _confirm_within(request, authenticated.addressed.profile)
    if within is None and not request.certificate_request.key_proven:
        raise AssertionError("possession that is not proven is proven by a confirmation")
    is_taken = fills_slot and within is None
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
        status=CertificateStatus.ACTIVE if is_taken else CertificateStatus.PENDING_CONFIRM,
        issued_at=now,
        credential_id=authenticated.authentication.credential_id,
        attempt_id=request.origin.correlation_id,
        transaction=request.transaction,
        confirm_until=now + within if within is not None else None,
        confirmed_at=now if is_taken else None,
    )


def _events(
    step: Signed,
    record: CertificateRecord,
    changes: tuple[Change, ...],
    moves: list[Move],
    now: datetime,
) -> list[EnrollmentEvent]:
    authorized = step.planned.authorized
    device = authorized.identified.device
    authenticated = authorized.identified.authenticated
    authentication = authenticated.authentication
    origin = authenticated.addressed.request.origin
    acting = authenticated.acting
    chronicle = Chronicle(actor=authenticated.actor, at=now, correlation_id=origin.correlation_id)
    events = []
    if authenticated.newcomer is not None:
        events.append(joined(device, authorized.identified.group, authenticated, chronicle))
    events.append(
        chronicle.event(
            EventName.CERTIFICATE_ISSUED,
            device.device_id,
            serial_number=record.serial_number,
            issuer=record.issuer,
            fingerprint=record.fingerprint,
            profile=record.profile,
            cause=authorized.cause.value,
            protocol=origin.protocol.value,
            credential=authentication.kind.value,
            **({"order": authorized.order.order_id} if authorized.order is not None else {}),
            **({"renewed_expired": True} if authenticated.expired else {}),
            **({"key_made_here": True} if authenticated.addressed.request.key_wish else {}),
            **({"registration_authority": acting.name} if acting is not None else {}),
        )
    )
    if authorized.identified.enrichment is not None:
        enrichment = authorized.identified.enrichment
        events.append(chronicle.enriched(enrichment, device.device_id))
    if authenticated.third_party is not None and authenticated.third_party.pin is not None:
        events.append(_pinning(authenticated.third_party, device, chronicle))
    if authentication.kind is CredentialKind.ONE_TIME_CODE and authorized.order is None:
        used = authentication.credential_id
        events.append(chronicle.event(EventName.CODE_USED, device.device_id, code=used))
    events.extend(chronicle.changed(change) for change in changes)
    for move in moves:
        events.extend(chronicle.moved(move, profile=record.profile))
    return events


def _pinning(shown: ThirdPartyCertificate, device: Device, chronicle: Chronicle) -> EnrollmentEvent:
    return chronicle.event(
        EventName.DEVICE_CERTIFICATE_PINNED,
        device.device_id,
        fingerprint=shown.record.fingerprint,
        serial_number=shown.record.serial_number,
        issuer=shown.record.issuer,
        anchor=shown.anchor,
    )
