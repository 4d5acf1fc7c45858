"""What the audit log is told when certificates and devices change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from enroll.certificates import CertificateStatus
from enroll.device import Cause
from enroll.events import EnrollmentEvent, EventName
from enroll.orders import Order
from enroll.policy.slots import Change, Move
from enroll.ruling import Enrichment

_CHANGES: Mapping[CertificateStatus, EventName] = {
    CertificateStatus.ACTIVE: EventName.CERTIFICATE_CONFIRMED,
    CertificateStatus.SUPERSEDED: EventName.CERTIFICATE_SUPERSEDED,
    CertificateStatus.ON_HOLD: EventName.CERTIFICATE_HELD,
    CertificateStatus.REVOKED: EventName.CERTIFICATE_REVOKED,
}
_MOVES: Mapping[Cause, EventName] = {
    Cause.APPROVE: EventName.DEVICE_APPROVED,
    Cause.REJECT: EventName.DEVICE_REJECTED,
    Cause.APPROVAL_EXPIRED: EventName.DEVICE_APPROVAL_EXPIRED,
    Cause.BOOTSTRAP_ISSUED: EventName.DEVICE_ENROLLED,
    Cause.OPERATIONAL_ISSUED: EventName.DEVICE_ENROLLED,
    Cause.REQUIREMENTS_MET: EventName.DEVICE_PROVISIONED,
    Cause.REQUIREMENT_LOST: EventName.DEVICE_DEGRADED,
    Cause.RE_ENROLL: EventName.DEVICE_RE_ENROLLED,
    Cause.DISABLE: EventName.DEVICE_DISABLED,
    Cause.ENABLE: EventName.DEVICE_ENABLED,
    Cause.DELETE: EventName.DEVICE_DELETED,
    Cause.RESET: EventName.DEVICE_RESET,
}
_TOLD_IF_MOVED = frozenset({Cause.BOOTSTRAP_ISSUED, Cause.OPERATIONAL_ISSUED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronicle:
    """Words the events of one moment, one actor and, where there is one, one request."""

    actor: str
    at: datetime
    correlation_id: str | None = None

    def event(self, name: EventName, device_id: str | None, **facts: object) -> EnrollmentEvent:
        return EnrollmentEvent(
            name=name,
            occurred_at=self.at,
            actor=self.actor,
            device_id=device_id,
            correlation_id=self.correlation_id,
            facts=facts,
        )

    def ordered(self, name: EventName, order: Order, **facts: object) -> EnrollmentEvent:
        """Tell of an order that was opened or decided."""
        told: dict[str, object] = {"order": order.order_id, "profile": order.profile}
        if order.wish is not None:
            told["spki_sha256"] = order.wish.spki_sha256
        if order.reason is not None:
            told["reason"] = order.reason
        return self.event(name, order.device_id, **told, **facts)

    def enriched(self, enrichment: Enrichment, device_id: str) -> EnrollmentEvent:
        """Tell which attributes of a device were set from outside."""
        return self.event(
            EventName.DEVICE_ATTRIBUTES_CHANGED,
            device_id,
            webhook=enrichment.webhook,
            before=dict(enrichment.before),
            after=dict(enrichment.after),
        )

    def changed(self, change: Change) -> EnrollmentEvent:
        """Tell what became of one certificate."""
        was, now = change.was, change.now
        released = was.status is CertificateStatus.ON_HOLD and now.revoked_at is None
        name = EventName.CERTIFICATE_RELEASED if released else _CHANGES[now.status]
        if was.superseded_at is None and now.superseded_at is not None:
            name = EventName.CERTIFICATE_SUPERSEDED
        reason, transaction = now.revocation_reason, now.revocation_transaction
        asked_in = {"transaction": transaction} if transaction != was.revocation_transaction else {}
        return self.event(
            name,
            now.device_id,
            serial_number=now.serial_number,
            profile=now.profile,
            **({"reason": reason.value} if reason is not None else {}),
            **asked_in,
        )

    def moved(self, move: Move, **facts: object) -> tuple[EnrollmentEvent, ...]:
        """Tell of one move of a device: one event, or none for a move that changed nothing."""
        name = _MOVES.get(move.cause)
        before, after = move.before.state, move.after.state
        if name is None or (move.cause in _TOLD_IF_MOVED and before is after):
            return ()
        told = {"before": before.value, "after": after.value, **facts}
        return (self.event(name, move.after.device_id, **told),)
