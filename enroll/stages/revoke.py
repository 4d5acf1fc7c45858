"""Certificates are revoked, held or released for whoever may ask for it (RFC 9483 §5.1.3)."""

from dataclasses import replace
from datetime import datetime

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    Measure,
    RevocationReason,
)
from enroll.device import Device, DeviceState, DeviceStatus
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.policy.chronicle import Chronicle
from enroll.policy.revocation import Objection, applied, objection
from enroll.policy.slots import Change
from enroll.ports import Clock, UnitOfWork
from enroll.request import (
    NO_REQUEST_YET,
    EnrollmentRequest,
    Operation,
    RevocationRequest,
    RevocationWish,
)
from enroll.revocation import stage_measures
from enroll.stages.address import address
from enroll.stages.requester import OF_DEVICES, FindRequester, Requester
from enroll.steps import Addressed
from enroll.trace import DecisionTrace

Ruling = CertificateRecord | EnrollmentError
"""The certificate as it stands then, or why not."""


class Revoke:
    """Stages the writes; the pipeline adds the attempt and commits."""

    def __init__(self, find_requester: FindRequester, clock: Clock) -> None:
        self._find_requester = find_requester
        self._clock = clock

    async def __call__(
        self, request: RevocationRequest, uow: UnitOfWork, trace: DecisionTrace
    ) -> tuple[Ruling, ...]:
        """Rule on each wish by itself. The same request again changes nothing, and is told alike.

        Raises EnrollmentError for a requester who may not ask at all.
        """
        step = await _address(request, uow, trace)
        requester = await self._find_requester(request, step, uow, trace)
        await _check_transaction(request, requester, uow)
        now = self._clock.now()
        rulings: list[Ruling] = []
        changes: dict[str, list[Change]] = {}
        for wish in request.wishes:
            ruling = await _rule(wish, request.reference, requester, step, now, uow, trace)
            if isinstance(ruling, EnrollmentError):
                trace.failed("certificate", ruling.finding)
                rulings.append(ruling)
                continue
            device_id = str(ruling.now.device_id)
            if any(each.was == ruling.was for each in changes.get(device_id, ())):
                rulings.append(_named_twice(ruling.was))
                continue
            done = ruling.now is not ruling.was
            trace.passed("certificate", _told(ruling) if done else "said before")
            changes.setdefault(device_id, []).append(ruling)
            rulings.append(ruling.now)
        chronicle = Chronicle(
            actor=requester.actor, at=now, correlation_id=request.origin.correlation_id
        )
        for device_id, of_device in changes.items():
            done_now = [each for each in of_device if each.now is not each.was]
            if done_now:
                await stage_measures(uow, device_id, done_now, chronicle)
                uow.policy.expect(step.policy.version)
        return tuple(rulings)


async def _address(request: RevocationRequest, uow: UnitOfWork, trace: DecisionTrace) -> Addressed:
    """Resolve the profile that the path names, or else the default one. Raises NotAuthorized."""
    addressed = EnrollmentRequest(
        origin=request.origin, operation=Operation.INITIAL, certificate_request=NO_REQUEST_YET
    )
    step = await address(addressed, uow, trace)
    trace.profile = step.profile
    return step


async def _check_transaction(
    request: RevocationRequest, requester: Requester, uow: UnitOfWork
) -> None:
    """Refuse the id of an exchange in which a certificate was given (RFC 9483 §5.1)."""
    for record in await uow.certificates.by_transaction(request.reference):
        device = await uow.devices.by_id(record.device_id or "")
        if device is not None and requester.may_stop(record, device):
            raise EnrollmentError(
                FailureReason.TRANSACTION_CONFLICT,
                f"the transaction {request.reference[:80]} is that of another request",
                finding="transaction_in_use",
            )


async def _rule(
    wish: RevocationWish | EnrollmentError,
    reference: str,
    requester: Requester,
    step: Addressed,
    now: datetime,
    uow: UnitOfWork,
    trace: DecisionTrace,
) -> Change | EnrollmentError:
    """Give the change, or one that changes nothing where this very request was heard before."""
    if isinstance(wish, EnrollmentError):
        return wish
    found = await _find(wish, requester, step, uow)
    if found is None:
        return _unknown("no such certificate is the requester's to stop", "certificate_unknown")
    record, device = found
    if trace.device is None:
        trace.device, trace.proven = device, True
    ruling = _judge(wish, reference, requester, record, device, now)
    is_new = isinstance(ruling, Change) and ruling.now is not ruling.was
    if is_new and await _was_used(reference, record, device, uow):
        return EnrollmentError(
            FailureReason.TRANSACTION_CONFLICT,
            f"the transaction {reference[:80]} did something else to the certificate before",
            finding="transaction_in_use",
        )
    return ruling


async def _was_used(
    reference: str, record: CertificateRecord, device: Device, uow: UnitOfWork
) -> bool:
    """Tell whether an exchange of this id stopped the certificate, or let it on, at any time.

    Whoever heard it could send it again after the owner thought better of it.
    """
    return any(
        each.facts.get("transaction") == reference
        and each.facts.get("serial_number") == record.serial_number
        for each in await uow.events.of_device(device.device_id)
    )


def _judge(
    wish: RevocationWish,
    reference: str,
    requester: Requester,
    record: CertificateRecord,
    device: Device,
    now: datetime,
) -> Change | EnrollmentError:
    """Judge what is asked for a certificate that the requester may stop."""
    if not wish.agrees(record.certificate):
        return _unknown("the template says what is not so", "certificate_mismatch")
    if _was_heard(wish, reference, record):
        return Change(was=record, now=record)
    against = objection(record, wish.measure, now)
    if against is not None or requester.is_over:
        return _objected(record, against)
    if wish.measure is Measure.RELEASE and not _may_release(requester, record, device):
        return NotAuthorized(
            f"certificate {record.serial_number} was not held by who asks to release it",
            finding="held_by_another",
        )
    change = applied(record, wish.measure, now=now, by=requester.actor, reason=wish.reason)
    return replace(change, now=replace(change.now, revocation_transaction=reference))


async def _find(
    wish: RevocationWish, requester: Requester, step: Addressed, uow: UnitOfWork
) -> tuple[CertificateRecord, Device] | None:
    """Find a device's certificate that the requester may stop; no other is told to be there."""
    for record in await uow.certificates.by_serial(wish.serial_number):
        if record.certificate_class not in OF_DEVICES:
            continue
        device = await uow.devices.by_id(record.device_id or "")
        if (
            device is not None
            and device.state is not DeviceState.DELETED
            and device.tenant_id == step.tenant.tenant_id
            and record.certificate.issuer.public_bytes() == wish.issuer
            and requester.may_stop(record, device)
        ):
            return record, device
    return None


def _was_heard(wish: RevocationWish, reference: str, record: CertificateRecord) -> bool:
    """Tell whether this exchange has done just this, and nothing has become of it since."""
    if record.revocation_transaction != reference:
        return False
    match wish.measure:
        case Measure.REVOKE:
            is_revoked = record.status is CertificateStatus.REVOKED
            return is_revoked and record.revocation_reason is wish.reason
        case Measure.HOLD:
            return record.status is CertificateStatus.ON_HOLD
        case Measure.RELEASE:
            return record.revocation_reason is None


def _may_release(requester: Requester, record: CertificateRecord, device: Device) -> bool:
    """Let a device release what it held itself, and an authority what no person held.

    An operator who stops a certificate must be able to rely on it.
    """
    if device.status is DeviceStatus.DISABLED or record.held_by is None:
        return False
    by_authority = requester.actor.startswith("ra:")
    return record.held_by == requester.actor or (
        by_authority and record.held_by.startswith("device:")
    )


def _objected(record: CertificateRecord, against: Objection | None) -> EnrollmentError:
    if against is Objection.NOT_ON_HOLD:
        return EnrollmentError(
            FailureReason.MALFORMED_REQUEST,
            f"certificate {record.serial_number} {against}",
            finding="not_on_hold",
        )
    why = against or "signs, and is stopped itself"
    findings: dict[Objection | None, str] = {
        Objection.EXPIRED: "revocation_too_late",
        Objection.REVOKED: "certificate_revoked",
    }
    return EnrollmentError(
        FailureReason.CERTIFICATE_REVOKED,
        f"certificate {record.serial_number} {why}",
        finding=findings.get(against, "certificate_on_hold"),
    )


def _named_twice(record: CertificateRecord) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.MALFORMED_REQUEST,
        f"certificate {record.serial_number} is named twice in one message",
        finding="certificate_named_twice",
    )


def _unknown(detail: str, finding: str) -> EnrollmentError:
    return EnrollmentError(FailureReason.CERTIFICATE_UNKNOWN, detail, finding=finding)


def _told(change: Change) -> str:
    reason = change.now.revocation_reason
    as_what = f" ({reason})" if reason not in {None, RevocationReason.CERTIFICATE_HOLD} else ""
    return f"{change.now.serial_number} {change.now.status}{as_what}"
