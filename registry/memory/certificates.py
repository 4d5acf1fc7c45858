"""Certificates in memory, and the revocation lists made of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from enroll.certificates import (
    CertificateRecord,
    CertificateStatus,
    RevocationList,
    RevokedEntry,
)
from enroll.failures import AlreadyTaken, ConcurrentChange
from registry.memory.tables import REVOCATION, Session, Tables, check_row

_LISTED = frozenset({CertificateStatus.REVOKED, CertificateStatus.ON_HOLD})
_LIVE = frozenset(
    {CertificateStatus.ACTIVE, CertificateStatus.PENDING_CONFIRM, CertificateStatus.ON_HOLD}
)


class MemoryCertificates:
    """Implements `enroll.certificates.CertificateRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_fingerprint(self, fingerprint: str) -> CertificateRecord | None:
        return self._session.tables.certificates.get(fingerprint, self._session.moment)

    async def by_serial(self, serial_number: str) -> Sequence[CertificateRecord]:
        numbers = self._session.tables.certificates_by_number
        return self._named(numbers.of(serial_number, self._session.moment))

    async def by_transaction(self, transaction: str) -> Sequence[CertificateRecord]:
        return _newest_first(self._where(lambda record: record.transaction == transaction))

    async def live_of(self, device_id: str) -> Sequence[CertificateRecord]:
        return [each for each in self._of(device_id) if each.status in _LIVE]

    async def of_device(self, device_id: str) -> Sequence[CertificateRecord]:
        by_fingerprint = sorted(self._of(device_id), key=lambda record: record.fingerprint)
        return _newest_first(by_fingerprint)

    async def list(self) -> Sequence[CertificateRecord]:
        return _newest_first(self._session.tables.certificates.all(self._session.moment))

    async def last_issued_at(self) -> datetime | None:
        every = self._session.tables.certificates.all(self._session.moment)
        return max((each.issued_at for each in every), default=None)

    async def pending_since(self, before: datetime) -> Sequence[CertificateRecord]:
        return self._where(
            lambda record: (
                record.status is CertificateStatus.PENDING_CONFIRM and record.issued_at < before
            )
        )

    async def superseded_before(
        self, profile: str, before: datetime
    ) -> Sequence[CertificateRecord]:
        return self._where(
            lambda record: (
                record.status is CertificateStatus.SUPERSEDED
                and record.profile == profile
                and record.superseded_at is not None
                and record.superseded_at < before < record.not_valid_after
            )
        )

    async def revoked(self, issuer: str, now: datetime) -> Sequence[RevokedEntry]:
        entries = [
            RevokedEntry(
                serial_number=record.serial_number,
                revoked_at=record.revoked_at,
                reason=record.revocation_reason,
            )
            for record in self._session.tables.certificates.all(self._session.moment)
            if record.issuer == issuer
            and record.status in _LISTED
            and record.not_valid_after >= now
            and record.revoked_at is not None
            and record.revocation_reason is not None
        ]
        return sorted(entries, key=lambda entry: (entry.revoked_at, entry.serial_number))

    def add(self, record: CertificateRecord) -> None:
        self._session.stage(lambda: _add(self._session.tables, record))

    def save(self, record: CertificateRecord, *, was: CertificateRecord) -> None:
        self._session.stage(lambda: _save(self._session.tables, record, was.status))

    def _of(self, device_id: str) -> Sequence[CertificateRecord]:
        owned = self._session.tables.certificates_of
        return self._named(owned.of(device_id, self._session.moment))

    def _named(self, fingerprints: Iterable[str]) -> Sequence[CertificateRecord]:
        rows, moment = self._session.tables.certificates, self._session.moment
        found = (rows.get(each, moment) for each in fingerprints)
        return [each for each in found if each is not None]

    def _where(self, wanted: Callable[[CertificateRecord], bool]) -> Sequence[CertificateRecord]:
        every = self._session.tables.certificates.all(self._session.moment)
        return [each for each in every if wanted(each)]


class MemoryRevocationLists:
    """Implements `enroll.certificates.RevocationListRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def latest(self, issuer: str) -> RevocationList | None:
        return self._session.tables.crls.get(issuer, self._session.moment)

    async def version(self) -> int:
        return self._session.tables.counters.get(REVOCATION, self._session.moment) or 0

    def add(self, crl: RevocationList) -> None:
        crls = self._session.tables.crls

        def write() -> None:
            last = crls.get(crl.issuer)
            if crl.number != (last.number + 1 if last is not None else 1):
                raise ConcurrentChange
            crls.put(crl.issuer, crl)

        self._session.stage(write)


def _newest_first(records: Iterable[CertificateRecord]) -> Sequence[CertificateRecord]:
    return sorted(records, key=lambda record: record.issued_at, reverse=True)


def _add(tables: Tables, record: CertificateRecord) -> None:
    same_number = (
        tables.certificates.get(each)
        for each in tables.certificates_by_number.of(record.serial_number)
    )
    if tables.certificates.get(record.fingerprint) is not None or any(
        each is not None and each.issuer == record.issuer for each in same_number
    ):
        raise AlreadyTaken("serial_number", record.serial_number)
    _check_transaction(tables, record)
    if record.device_id is not None:
        check_row(known=(tables.devices.get(record.device_id),))
        tables.certificates_of.add(record.device_id, record.fingerprint)
    tables.certificates.put(record.fingerprint, record)
    tables.certificates_by_number.add(record.serial_number, record.fingerprint)


def _check_transaction(tables: Tables, record: CertificateRecord) -> None:
    """Demand that the credential got nothing else in the exchange. Raises AlreadyTaken."""
    if None in {record.transaction, record.credential_id}:
        return
    if any(
        (each.transaction, each.credential_id) == (record.transaction, record.credential_id)
        for each in tables.certificates.all()
        if each.fingerprint != record.fingerprint
    ):
        raise AlreadyTaken("serial_number", record.serial_number)


def _save(tables: Tables, record: CertificateRecord, was: CertificateStatus) -> None:
    """Store the status, its dates and its transaction; all else was signed and stays."""
    found = tables.certificates.get(record.fingerprint)
    if found is None or found.status is not was:
        raise ConcurrentChange
    stored = replace(
        found,
        status=record.status,
        transaction=record.transaction,
        confirmed_at=record.confirmed_at,
        superseded_at=record.superseded_at,
        revoked_at=record.revoked_at,
        revocation_reason=record.revocation_reason,
        held_by=record.held_by,
        revocation_transaction=record.revocation_transaction,
    )
    tables.certificates.put(record.fingerprint, stored)
    if was in _LISTED or record.status in _LISTED:
        tables.count(REVOCATION)
