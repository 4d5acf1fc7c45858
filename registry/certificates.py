"""Certificates, and the revocation lists made of them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationList,
    RevocationReason,
    RevokedEntry,
)
from enroll.failures import ConcurrentChange
from registry.rows import (
    certificate_from,
    certificate_values,
    crl_from,
    standing_values,
    to_text,
    to_time,
)
from registry.session import Session, execute_one, first
from registry.tables import certificates, crls
from registry.versions import REVOCATION, bump, read_version

_LISTED = frozenset({CertificateStatus.REVOKED, CertificateStatus.ON_HOLD})


class SQLCertificates:
    """Implements `enroll.ports.CertificateRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_fingerprint(self, fingerprint: str) -> CertificateRecord | None:
        row = first(self._session.read(_BY_FINGERPRINT, {"fingerprint": fingerprint}))
        return certificate_from(row) if row is not None else None

    async def by_serial(self, serial_number: str) -> Sequence[CertificateRecord]:
        return self._records(_BY_SERIAL, serial_number=serial_number)

    async def live_of(self, device_id: str) -> Sequence[CertificateRecord]:
        return self._records(_LIVE, device_id=device_id)

    async def of_device(self, device_id: str) -> Sequence[CertificateRecord]:
        return self._records(_OF_DEVICE, device_id=device_id)

    async def list(self) -> Sequence[CertificateRecord]:
        return self._records(sa.select(certificates).order_by(certificates.c.issued_at.desc()))

    async def pending_since(self, before: datetime) -> Sequence[CertificateRecord]:
        return self._records(_PENDING, before=to_text(before))

    async def superseded_before(
        self, profile: str, before: datetime
    ) -> Sequence[CertificateRecord]:
        return self._records(_SUPERSEDED, profile=profile, before=to_text(before))

    async def revoked(self, issuer: str, now: datetime) -> Sequence[RevokedEntry]:
        rows = self._session.read(_REVOKED, {"issuer": issuer, "now": to_text(now)})
        return [
            RevokedEntry(
                serial_number=row.serial_number,
                revoked_at=to_time(row.revoked_at),
                reason=RevocationReason(row.revocation_reason),
            )
            for row in rows
        ]

    def add(self, record: CertificateRecord) -> None:
        values = certificate_values(record)
        self._session.stage(lambda connection: _insert(connection, values))

    def save(self, record: CertificateRecord, *, was: CertificateRecord) -> None:
        values = {
            "this_certificate": record.fingerprint,
            "this_status": was.status.value,
            **standing_values(record),
        }
        listed = was.status in _LISTED or record.status in _LISTED

        def write(connection: sa.Connection) -> None:
            execute_one(connection, _UPDATE, values)
            if listed:
                bump(connection, REVOCATION)

        self._session.stage(write)

    def _records(
        self, statement: sa.Executable, **parameters: object
    ) -> Sequence[CertificateRecord]:
        return [certificate_from(row) for row in self._session.read(statement, parameters)]


class SQLRevocationLists:
    """Implements `enroll.ports.RevocationListRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def latest(self, issuer: str) -> RevocationList | None:
        row = first(self._session.read(_LATEST_CRL, {"issuer": issuer}))
        return crl_from(row) if row is not None else None

    async def version(self) -> int:
        return read_version(self._session, REVOCATION)

    def add(self, crl: RevocationList) -> None:
        values = {
            "issuer": crl.issuer,
            "number": crl.number,
            "der": crl.der,
            "this_update": to_text(crl.this_update),
            "next_update": to_text(crl.next_update),
            "revocation_version": crl.revocation_version,
        }

        def write(connection: sa.Connection) -> None:
            row = connection.execute(_LATEST_CRL, {"issuer": crl.issuer}).one_or_none()
            if crl.number != (row.number + 1 if row is not None else 1):
                raise ConcurrentChange
            connection.execute(_INSERT_CRL, values)
            connection.execute(_OLD_CRLS, {"issuer": crl.issuer, "number": crl.number})

        self._session.stage(write)


def _insert(connection: sa.Connection, values: dict[str, object]) -> None:
    connection.execute(_INSERT, values)


_COLUMNS = certificates.c
_BY_FINGERPRINT = sa.select(certificates).where(_COLUMNS.fingerprint == sa.bindparam("fingerprint"))
_BY_SERIAL = sa.select(certificates).where(_COLUMNS.serial_number == sa.bindparam("serial_number"))
_LIVE = sa.select(certificates).where(
    _COLUMNS.device_id == sa.bindparam("device_id"),
    _COLUMNS.status.in_(
        [
            CertificateStatus.ACTIVE.value,
            CertificateStatus.PENDING_CONFIRM.value,
            CertificateStatus.ON_HOLD.value,
        ]
    ),
)
_OF_DEVICE = (
    sa.select(certificates)
    .where(_COLUMNS.device_id == sa.bindparam("device_id"))
    .order_by(_COLUMNS.issued_at.desc(), _COLUMNS.fingerprint)
)
_PENDING = sa.select(certificates).where(
    _COLUMNS.status == CertificateStatus.PENDING_CONFIRM.value,
    _COLUMNS.issued_at < sa.bindparam("before"),
)
_SUPERSEDED = sa.select(certificates).where(
    _COLUMNS.status == CertificateStatus.SUPERSEDED.value,
    _COLUMNS.profile == sa.bindparam("profile"),
    _COLUMNS.superseded_at < sa.bindparam("before"),
    _COLUMNS.not_valid_after > sa.bindparam("before"),
)
_REVOKED = (
    sa.select(_COLUMNS.serial_number, _COLUMNS.revoked_at, _COLUMNS.revocation_reason)
    .where(
        _COLUMNS.issuer == sa.bindparam("issuer"),
        _COLUMNS.status.in_([each.value for each in _LISTED]),
        _COLUMNS.not_valid_after >= sa.bindparam("now"),
    )
    .order_by(_COLUMNS.revoked_at, _COLUMNS.serial_number)
)
_INSERT = certificates.insert()
_UPDATE = certificates.update().where(
    _COLUMNS.fingerprint == sa.bindparam("this_certificate"),
    _COLUMNS.status == sa.bindparam("this_status"),
)
_LATEST_CRL = (
    sa.select(crls)
    .where(crls.c.issuer == sa.bindparam("issuer"))
    .order_by(crls.c.number.desc())
    .limit(1)
)
_INSERT_CRL = crls.insert()
_OLD_CRLS = crls.delete().where(
    crls.c.issuer == sa.bindparam("issuer"), crls.c.number < sa.bindparam("number")
)
