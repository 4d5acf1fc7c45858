"""What happened, in the past tense: the audit log's entries, and the trace of one decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventName(StrEnum):
    """Every event there is, by its CloudEvents name."""

    INSTALLATION_INITIALIZED = "installation.initialized"
    DEVICE_REGISTERED = "device.registered"
    DEVICE_AUTO_PROVISIONED = "device.auto_provisioned"
    DEVICE_AUTO_PROVISION_FAILED = "device.auto_provision_failed"
    DEVICE_APPROVED = "device.approved"
    DEVICE_REJECTED = "device.rejected"
    DEVICE_APPROVAL_EXPIRED = "device.approval_expired"
    DEVICE_ENROLLED = "device.enrolled"
    DEVICE_PROVISIONED = "device.provisioned"
    DEVICE_RE_ENROLLED = "device.re_enrolled"
    DEVICE_DEGRADED = "device.degraded"
    DEVICE_DISABLED = "device.disabled"
    DEVICE_ENABLED = "device.enabled"
    DEVICE_DELETED = "device.deleted"
    DEVICE_RESET = "device.reset"
    DEVICE_ATTRIBUTES_CHANGED = "device.attribute_changed"
    DEVICE_CERTIFICATE_PINNED = "device.certificate_pinned"
    DEVICE_CERTIFICATE_UNPINNED = "device.certificate_unpinned"
    DEVICE_DECRYPTION_KEY_ADDED = "device.decryption_key_added"
    DEVICE_DECRYPTION_KEY_REMOVED = "device.decryption_key_removed"
    CERTIFICATE_ISSUED = "certificate.issued"
    CERTIFICATE_CONFIRMED = "certificate.confirmed"
    CERTIFICATE_SUPERSEDED = "certificate.superseded"
    CERTIFICATE_HELD = "certificate.held"
    CERTIFICATE_RELEASED = "certificate.released"
    CERTIFICATE_REVOKED = "certificate.revoked"
    ENROLLMENT_PENDING = "enrollment.pending"
    ENROLLMENT_APPROVED = "enrollment.approved"
    ENROLLMENT_REJECTED = "enrollment.rejected"
    ENROLLMENT_EXPIRED = "enrollment.expired"
    ENROLLMENT_CANCELLED = "enrollment.cancelled"
    ENROLLMENT_DENIED = "enrollment.denied"
    ENROLLMENT_CLONE_SUSPECTED = "enrollment.clone_suspected"
    CODE_CREATED = "code.created"
    CODE_USED = "code.used"
    CODE_REUSED = "code.reused"
    CODE_REVOKED = "code.revoked"
    GROUP_SECRET_CREATED = "group.secret_created"  # noqa: S105 - a name, no secret
    GROUP_SECRET_REVOKED = "group.secret_revoked"  # noqa: S105 - a name, no secret
    POLICY_CHANGED = "policy.changed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    CRL_ISSUED = "issuer.crl_issued"
    ISSUER_PREPARED = "issuer.prepared"
    ISSUER_PUBLISHED = "issuer.published"
    ISSUER_ACTIVATED = "issuer.activated"
    ISSUER_RETIRED = "issuer.retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentEvent:
    """One entry of the audit log. `facts` hold JSON values and no secret.

    `actor` is `device:<id>`, `ra:<SHA-256 of its certificate>` for a registration authority that
    acts for the device, `cli:<user>`, `system` or `key:<id>`.
    """

    name: EventName
    occurred_at: datetime
    actor: str
    device_id: str | None = None
    correlation_id: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


class Outcome(StrEnum):
    """How an attempt ended."""

    ISSUED = "issued"
    REPEATED = "repeated"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One step of a decision: what was looked at, whether it held, and what was found."""

    name: str
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One enrollment attempt with its decision trace; `attempt_id` is the correlation id.

    `registration_authority` names who asked on behalf of the device, if anybody did.
    """

    attempt_id: str
    occurred_at: datetime
    protocol: str
    operation: str
    profile: str | None
    peer_address: str
    outcome: Outcome
    reason: str | None = None
    finding: str | None = None
    detail: str | None = None
    device_id: str | None = None
    device_name: str | None = None
    serial_number: str | None = None
    request_sha256: str | None = None
    spki_sha256: str | None = None
    client_certificate_sha256: str | None = None
    registration_authority: str | None = None
    trace: tuple[Check, ...] = ()
    latency_us: int = 0
