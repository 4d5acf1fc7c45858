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
from enroll.failures import AlreadyTaken, ConcurrentChange
from registry.database import RowRefused, WriteTransaction
from registry.rows import (
    certificate_from,
    certificate_values,
    crl_from,
    standing_values,
    to_text,
    to_time,
)
from registry.session import Session, first
from registry.statements import Change, Place, Query, constants, inserting
from registry.tables import IS_NOT_ACTIVE, certificates, crls
from registry.versions import REVOCATION, bump, read_version
from registry.writer import Row

_LISTED = (CertificateStatus.REVOKED, CertificateStatus.ON_HOLD)


class SQLCertificates:
    """Implements `enroll.certificates.CertificateRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_fingerprint(self, fingerprint: str) -> CertificateRecord | None:
        row = first(await self._session.read(_BY_FINGERPRINT, {"fingerprint": fingerprint}))
        return certificate_from(row) if row is not None else None

    async def by_serial(self, serial_number: str) -> Sequence[CertificateRecord]:
        return await self._records(_BY_SERIAL, serial_number=serial_number)

    async def by_transaction(self, transaction: str) -> Sequence[CertificateRecord]:
        return await self._records(_BY_TRANSACTION, transaction_id=transaction)

    async def live_of(self, device_id: str) -> Sequence[CertificateRecord]:
        return await self._records(_LIVE, device_id=device_id)

    async def of_device(self, device_id: str) -> Sequence[CertificateRecord]:
        return await self._records(_OF_DEVICE, device_id=device_id)

    async def list(self) -> Sequence[CertificateRecord]:
        return await self._records(_ALL)

    async def last_issued_at(self) -> datetime | None:
        row = first(await self._session.read(_NEWEST, {}))
        return to_time(row.issued_at) if row is not None else None

    async def pending_since(self, before: datetime) -> Sequence[CertificateRecord]:
        return await self._records(_PENDING, before=to_text(before))

    async def superseded_before(
        self, profile: str, before: datetime
    ) -> Sequence[CertificateRecord]:
        return await self._records(_SUPERSEDED, profile=profile, before=to_text(before))

    async def revoked(self, issuer: str, now: datetime) -> Sequence[RevokedEntry]:
        rows = await self._session.read(_REVOKED, {"issuer": issuer, "now": to_text(now)})
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
        taken = AlreadyTaken("serial_number", record.serial_number)
        self._session.stage(Row(_INSERT, values, taken))

    def save(self, record: CertificateRecord, *, was: CertificateRecord) -> None:
        values = {
            "this_certificate": record.fingerprint,
            "this_status": was.status.value,
            **standing_values(record),
        }
        self._session.stage(Row(_UPDATE, values))
        if was.status in _LISTED or record.status in _LISTED:
            self._session.stage(_bump_revocation)

    async def _records(self, query: Query, **values: object) -> Sequence[CertificateRecord]:
        return [certificate_from(row) for row in await self._session.read(query, values)]


class SQLRevocationLists:
    """Implements `enroll.certificates.RevocationListRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def latest(self, issuer: str) -> RevocationList | None:
        row = first(await self._session.read(_LATEST_CRL, {"issuer": issuer}))
        return crl_from(row) if row is not None else None

    async def version(self) -> int:
        return await read_version(self._session, REVOCATION)

    def add(self, crl: RevocationList) -> None:
        values = {
            "issuer": crl.issuer,
            "number": crl.number,
            "der": crl.der,
            "this_update": to_text(crl.this_update),
            "next_update": to_text(crl.next_update),
            "revocation_version": crl.revocation_version,
        }

        async def add(transaction: WriteTransaction) -> None:
            latest = await transaction.rows(_LATEST_CRL, values)
            if crl.number != (latest[0].number + 1 if latest else 1):
                raise ConcurrentChange
            try:
                await transaction.execute(crls.insert().values(values))
            except RowRefused as error:  # Another process was first.
                raise ConcurrentChange from error
            old = sa.and_(crls.c.issuer == crl.issuer, crls.c.number < crl.number)
            await transaction.execute(crls.delete().where(old))

        self._session.stage(add)


async def _bump_revocation(transaction: WriteTransaction) -> None:
    await bump(transaction, REVOCATION)


def _update(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    return (
        certificates.update()
        .where(
            _COLUMNS.fingerprint == value(_COLUMNS.fingerprint, "this_certificate"),
            _COLUMNS.status == value(_COLUMNS.status, "this_status"),
        )
        .values({name: value(_COLUMNS[name]) for name in _STANDING})
    )


_COLUMNS = certificates.c
_STANDING = (
    "status",
    "transaction_id",
    "confirmed_at",
    "superseded_at",
    "revoked_at",
    "revocation_reason",
    "held_by",
    "revocation_transaction",
)
_LIVE_STATUSES = constants(
    CertificateStatus.ACTIVE, CertificateStatus.PENDING_CONFIRM, CertificateStatus.ON_HOLD
)
_ALL = Query(sa.select(certificates).order_by(_COLUMNS.issued_at.desc()))
_BY_FINGERPRINT = Query(
    sa.select(certificates).where(_COLUMNS.fingerprint == sa.bindparam("fingerprint"))
)
_BY_SERIAL = Query(
    sa.select(certificates).where(_COLUMNS.serial_number == sa.bindparam("serial_number"))
)
_BY_TRANSACTION = Query(
    sa.select(certificates)
    .where(_COLUMNS.transaction_id == sa.bindparam("transaction_id"))
    .order_by(_COLUMNS.issued_at.desc(), _COLUMNS.fingerprint)
)
_LIVE = Query(
    sa.select(certificates).where(
        _COLUMNS.device_id == sa.bindparam("device_id"), _COLUMNS.status.in_(_LIVE_STATUSES)
    )
)
_OF_DEVICE = Query(
    sa.select(certificates)
    .where(_COLUMNS.device_id == sa.bindparam("device_id"))
    .order_by(_COLUMNS.issued_at.desc(), _COLUMNS.fingerprint)
)
_NEWEST = Query(sa.select(_COLUMNS.issued_at).order_by(_COLUMNS.issued_at.desc()).limit(1))
_PENDING = Query(
    sa.select(certificates).where(
        IS_NOT_ACTIVE,
        _COLUMNS.status.in_(constants(CertificateStatus.PENDING_CONFIRM)),
        _COLUMNS.issued_at < sa.bindparam("before"),
    )
)
_SUPERSEDED = Query(
    sa.select(certificates).where(
        IS_NOT_ACTIVE,
        _COLUMNS.status.in_(constants(CertificateStatus.SUPERSEDED)),
        _COLUMNS.profile == sa.bindparam("profile"),
        _COLUMNS.superseded_at < sa.bindparam("before"),
        _COLUMNS.not_valid_after > sa.bindparam("before"),
    )
)
_REVOKED = Query(
    sa.select(_COLUMNS.serial_number, _COLUMNS.revoked_at, _COLUMNS.revocation_reason)
    .where(
        _COLUMNS.issuer == sa.bindparam("issuer"),
        IS_NOT_ACTIVE,
        _COLUMNS.status.in_(constants(*_LISTED)),
        _COLUMNS.not_valid_after >= sa.bindparam("now"),
    )
    .order_by(_COLUMNS.revoked_at, _COLUMNS.serial_number)
)
_INSERT = inserting(certificates, *_COLUMNS.keys())
_UPDATE = Change(_update)
_LATEST_CRL = Query(
    sa.select(crls)
    .where(crls.c.issuer == sa.bindparam("issuer"))
    .order_by(crls.c.number.desc())
    .limit(1)
)
