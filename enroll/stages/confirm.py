"""A certificate's owner says that it came: only then it fills its slot (RFC 9483 §4.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from enroll.certificates import CertificateRecord, CertificateStatus, RevocationReason
from enroll.device import TRANSITIONS, Device, DeviceStatus
from enroll.failures import EnrollmentError, FailureReason, NotAuthorized
from enroll.policy.chronicle import Chronicle
from enroll.policy.slots import (
    Change,
    active_in,
    confirm,
    first_issue,
    live_after,
    moved,
    revoked,
    standing,
)
from enroll.ports import Clock, UnitOfWork
from enroll.profiles import PolicySnapshot
from enroll.request import Confirmation
from enroll.stages.recognize import Recognize
from enroll.trace import DecisionTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTaken:
    """The certificate as it stands then; what was `said_before` changes nothing."""

    record: CertificateRecord
    said_before: bool = False


class Confirm:
    """Stages the writes; the pipeline adds the attempt and commits."""

    def __init__(self, recognize: Recognize, clock: Clock) -> None:
        self._recognize = recognize
        self._clock = clock

    async def __call__(
        self, word: Confirmation, uow: UnitOfWork, trace: DecisionTrace
    ) -> WordTaken:
        """Take the word of who got the certificate.

        Raises NotAuthenticated, NotAuthorized, EnrollmentError (CERTIFICATE_UNKNOWN).
        """
        policy = await uow.policy.snapshot()
        record = await self._found(word, policy, uow, trace)
        device = await uow.devices.by_id(record.device_id or "")
        if device is None:
            raise _unknown(word, "the device is not in the registry")
        trace.device, trace.proven = device, True
        if not word.is_about(record.der):
            trace.failed("certificate", "another than was issued")
            raise EnrollmentError(
                FailureReason.CERTIFICATE_UNKNOWN,
                "the hash is not that of the certificate that was issued",
                finding="certificate_hash",
            )
        if device.status is DeviceStatus.DISABLED:
            raise NotAuthorized("the device is disabled", finding="device_disabled")
        if _is_said_already(record, word):
            trace.passed("confirmation", "said before")
            return WordTaken(record=record, said_before=True)
        now = self._clock.now()
        over = record.confirm_until is not None and now > record.confirm_until
        if record.status is not CertificateStatus.PENDING_CONFIRM or over:
            trace.failed("confirmation", f"too late: {record.status}")
            raise _unknown(word, "what there was to confirm is over")
        chronicle = Chronicle(
            actor=f"device:{device.device_id}", at=now, correlation_id=word.origin.correlation_id
        )
        if word.accepted:
            await _claim_key(record, device, uow, now)
            changes = await self._accept(record, device, policy, uow, chronicle)
        else:
            dropped = revoked(record, RevocationReason.CESSATION_OF_OPERATION, now)
            changes = (Change(was=record, now=dropped),)
        for change in changes:
            uow.certificates.save(change.now, was=change.was)
            uow.events.append(chronicle.changed(change))
        trace.passed("confirmation", "accepted" if word.accepted else "rejected: revoked")
        return WordTaken(record=changes[0].now)

    async def _found(
        self, word: Confirmation, policy: PolicySnapshot, uow: UnitOfWork, trace: DecisionTrace
    ) -> CertificateRecord:
        records = await uow.certificates.by_transaction(word.reference)
        likely = {each.credential_id for each in records if each.credential_id is not None}
        known = await self._recognize(
            word.origin, word.credentials, policy, uow, trace, likely=likely
        )
        for record in records:
            if record.credential_id in known.credential_ids and known.has(record):
                return record
        trace.failed("transaction", "unknown")
        raise _unknown(word, "this credential got nothing")

    async def _accept(
        self,
        record: CertificateRecord,
        device: Device,
        policy: PolicySnapshot,
        uow: UnitOfWork,
        chronicle: Chronicle,
    ) -> Sequence[Change]:
        """Fill the slot, and move the device by what it has now (T-07, T-08, T-09)."""
        now: datetime = chronicle.at
        live = await uow.certificates.live_of(device.device_id)
        profile = policy.enrollment_profiles.get(record.profile)
        changes = confirm(record, live, profile, now)
        if active_in(live, record.profile) is None:
            cause = first_issue(record.certificate_class)
            if (device.state, cause) not in TRANSITIONS:
                raise NotAuthorized(
                    f"a device that is {device.state} cannot {cause}", finding="state_conflict"
                )
            move = moved(device, cause, now)
            device = move.after
            for event in chronicle.moved(move, profile=record.profile):
                uow.events.append(event)
        promotion = standing(device, policy.groups[device.group_id], live_after(live, changes), now)
        if promotion is not None:
            move = moved(device, promotion, now)
            device = move.after
            for event in chronicle.moved(move, profile=record.profile):
                uow.events.append(event)
        uow.policy.expect(policy.version)
        uow.devices.save(replace(device, updated_at=now))
        return changes


async def _claim_key(
    record: CertificateRecord, device: Device, uow: UnitOfWork, now: datetime
) -> None:
    """Make the key the device's, if its possession is proven only now. Raises NotAuthorized.

    Who could name any key as its own before that would keep it from the device that has it.
    """
    key = await uow.keys.find(record.spki_sha256)
    if key is None:
        uow.keys.claim(record.spki_sha256, device.device_id, now)
    elif key.compromised or key.device_id != device.device_id:
        raise NotAuthorized(
            "the key is another device's by now, or compromised",
            finding="key_compromised" if key.compromised else "key_reuse",
            field="publicKey",
        )


def _is_said_already(record: CertificateRecord, word: Confirmation) -> bool:
    if word.accepted:
        taken = record.confirmed_at is not None
        return taken and record.status is not CertificateStatus.REVOKED
    return record.confirmed_at is None and record.status is CertificateStatus.REVOKED


def _unknown(word: Confirmation, why: str) -> EnrollmentError:
    return EnrollmentError(
        FailureReason.CERTIFICATE_UNKNOWN,
        f"{why} in the transaction {word.reference[:80]}",
        finding="transaction_unknown",
    )
