"""Rows to domain objects and back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationList,
    RevocationReason,
)
from enroll.credentials import OneTimeCode
from enroll.device import (
    Assurance,
    Connection,
    Device,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    IdentityKind,
)
from enroll.events import Attempt, Check, EnrollmentEvent, EventName, Outcome
from enroll.profiles import CertificateClass

# Made once: json.dumps with options of its own makes an encoder at every call.
compact_json = json.JSONEncoder(separators=(",", ":")).encode
sorted_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

AnyRow = Any
"""A row of a query, its columns as attributes."""


@lru_cache(64)
def to_text(at: datetime) -> str:
    """Write a time as it is stored. One moment is written many times over."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def optional_text(at: datetime | None) -> str | None:
    return to_text(at) if at is not None else None


def optional_time(text: str | None) -> datetime | None:
    return to_time(text) if text is not None else None


def device_from(row: AnyRow, identities: tuple[DeviceIdentity, ...]) -> Device:
    return Device(
        device_id=row.device_id,
        tenant_id=row.tenant_id,
        group_id=row.group_id,
        name=row.name,
        state=DeviceState(row.state),
        status=DeviceStatus(row.status),
        status_reason=row.status_reason,
        identities=identities,
        attributes=json.loads(row.attributes) if row.attributes != "{}" else {},
        description=row.description,
        source=row.source,
        connection=Connection(row.connection),
        assurance=Assurance(row.assurance),
        created_at=to_time(row.created_at),
        updated_at=to_time(row.updated_at),
        version=row.version,
    )


def device_values(device: Device) -> dict[str, object]:
    """Give the columns that saving a device may change."""
    return {
        "group_id": device.group_id,
        "description": device.description,
        "attributes": sorted_json(dict(device.attributes)) if device.attributes else "{}",
        "state": device.state.value,
        "status": device.status.value,
        "status_reason": device.status_reason,
        "connection": device.connection.value,
        "assurance": device.assurance.value,
        "updated_at": to_text(device.updated_at),
    }


def identity_from(row: AnyRow) -> DeviceIdentity:
    return DeviceIdentity(kind=IdentityKind(row.kind), value=row.value)


def certificate_from(row: AnyRow) -> CertificateRecord:
    reason = row.revocation_reason
    return CertificateRecord(
        fingerprint=row.fingerprint,
        issuer=row.issuer,
        serial_number=row.serial_number,
        device_id=row.device_id,
        profile=row.profile,
        certificate_class=CertificateClass(row.certificate_class),
        certificate_profile=row.certificate_profile,
        certificate_profile_version=row.certificate_profile_version,
        spki_sha256=row.spki_sha256,
        der=row.der,
        not_valid_before=to_time(row.not_valid_before),
        not_valid_after=to_time(row.not_valid_after),
        status=CertificateStatus(row.status),
        issued_at=to_time(row.issued_at),
        credential_id=row.credential_id,
        attempt_id=row.attempt_id,
        transaction=row.transaction_id,
        confirm_until=optional_time(row.confirm_until),
        confirmed_at=optional_time(row.confirmed_at),
        superseded_at=optional_time(row.superseded_at),
        revoked_at=optional_time(row.revoked_at),
        revocation_reason=RevocationReason(reason) if reason is not None else None,
        held_by=row.held_by,
        revocation_transaction=row.revocation_transaction,
    )


def certificate_values(record: CertificateRecord) -> dict[str, object]:
    return {
        "fingerprint": record.fingerprint,
        "issuer": record.issuer,
        "serial_number": record.serial_number,
        "device_id": record.device_id,
        "profile": record.profile,
        "certificate_class": record.certificate_class.value,
        "certificate_profile": record.certificate_profile,
        "certificate_profile_version": record.certificate_profile_version,
        "spki_sha256": record.spki_sha256,
        "der": record.der,
        "not_valid_before": to_text(record.not_valid_before),
        "not_valid_after": to_text(record.not_valid_after),
        "issued_at": to_text(record.issued_at),
        "credential_id": record.credential_id,
        "attempt_id": record.attempt_id,
        "confirm_until": optional_text(record.confirm_until),
        **standing_values(record),
    }


def standing_values(record: CertificateRecord) -> dict[str, object]:
    """Give the columns of a certificate that change after it was issued."""
    reason = record.revocation_reason
    return {
        "status": record.status.value,
        "transaction_id": record.transaction,
        "confirmed_at": optional_text(record.confirmed_at),
        "superseded_at": optional_text(record.superseded_at),
        "revoked_at": optional_text(record.revoked_at),
        "revocation_reason": reason.value if reason is not None else None,
        "held_by": record.held_by,
        "revocation_transaction": record.revocation_transaction,
    }


def code_from(row: AnyRow) -> OneTimeCode:
    return OneTimeCode(
        code_id=row.code_id,
        device_id=row.device_id,
        digest=row.digest,
        wrapped=row.wrapped,
        max_uses=row.max_uses,
        uses=row.uses,
        created_at=to_time(row.created_at),
        expires_at=to_time(row.expires_at),
        revoked_at=optional_time(row.revoked_at),
    )


def crl_from(row: AnyRow) -> RevocationList:
    return RevocationList(
        issuer=row.issuer,
        number=row.number,
        der=row.der,
        this_update=to_time(row.this_update),
        next_update=to_time(row.next_update),
        revocation_version=row.revocation_version,
    )


def event_from(row: AnyRow) -> EnrollmentEvent:
    return EnrollmentEvent(
        name=EventName(row.name),
        occurred_at=to_time(row.occurred_at),
        actor=row.actor,
        device_id=row.device_id,
        correlation_id=row.correlation_id,
        facts=json.loads(row.facts),
    )


def attempt_document(attempt: Attempt) -> str:
    document: dict[str, object] = {
        name: getattr(attempt, name) for name in _ATTEMPT_FIELDS if getattr(attempt, name)
    }
    if attempt.trace:
        document["trace"] = [[each.name, each.passed, each.note] for each in attempt.trace]
    return compact_json(document)


def attempt_from(row: AnyRow) -> Attempt:
    document: Mapping[str, Any] = json.loads(row.document)
    return Attempt(
        attempt_id=row.attempt_id,
        occurred_at=to_time(row.occurred_at),
        outcome=Outcome(row.outcome),
        device_id=row.device_id,
        trace=tuple(
            Check(name=name, passed=passed, note=note)
            for name, passed, note in document.get("trace", ())
        ),
        protocol=document.get("protocol", ""),
        operation=document.get("operation", ""),
        profile=document.get("profile"),
        peer_address=document.get("peer_address", ""),
        reason=document.get("reason"),
        finding=document.get("finding"),
        detail=document.get("detail"),
        device_name=document.get("device_name"),
        serial_number=document.get("serial_number"),
        request_sha256=document.get("request_sha256"),
        spki_sha256=document.get("spki_sha256"),
        client_certificate_sha256=document.get("client_certificate_sha256"),
        registration_authority=document.get("registration_authority"),
        latency_us=document.get("latency_us", 0),
    )


_ATTEMPT_FIELDS = (
    "registration_authority",
    "protocol",
    "operation",
    "profile",
    "peer_address",
    "reason",
    "finding",
    "detail",
    "device_name",
    "serial_number",
    "request_sha256",
    "spki_sha256",
    "client_certificate_sha256",
    "latency_us",
)
