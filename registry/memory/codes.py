"""One-time codes in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from enroll.credentials import OneTimeCode
from enroll.failures import ConcurrentChange
from registry.memory.tables import Session, Tables, check_row


class MemoryCodes:
    """Implements `enroll.ports.CodeRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of_device(self, device_id: str) -> Sequence[OneTimeCode]:
        tables, moment = self._session.tables, self._session.moment
        found = (tables.codes.get(each, moment) for each in tables.codes_of.of(device_id, moment))
        return [each for each in found if each is not None]

    async def by_digest(self, digest: bytes) -> Sequence[OneTimeCode]:
        tables, moment = self._session.tables, self._session.moment
        ids = tables.codes_by_digest.of(digest, moment)
        found = (tables.codes.get(each, moment) for each in ids)
        return [each for each in found if each is not None]

    def add(self, code: OneTimeCode) -> None:
        self._session.stage(lambda: _add(self._session.tables, code))

    def consume(self, code: OneTimeCode, at: datetime) -> None:
        self._session.stage(lambda: _consume(self._session.tables, code, at))

    def revoke(self, code: OneTimeCode, at: datetime) -> None:
        self._session.stage(lambda: _revoke(self._session.tables, code, at))


def _add(tables: Tables, code: OneTimeCode) -> None:
    check_row(known=(tables.devices.get(code.device_id),), unused=(tables.codes.get(code.code_id),))
    tables.codes.put(code.code_id, code)
    tables.codes_of.add(code.device_id, code.code_id)
    tables.codes_by_digest.add(code.digest, code.code_id)


def _consume(tables: Tables, code: OneTimeCode, at: datetime) -> None:
    found = tables.codes.get(code.code_id)
    if found is None or found.uses != code.uses or not found.is_active(at):
        raise ConcurrentChange
    tables.codes.put(code.code_id, replace(found, uses=found.uses + 1))


def _revoke(tables: Tables, code: OneTimeCode, at: datetime) -> None:
    found = tables.codes.get(code.code_id)
    if found is None or found.revoked_at is not None:
        raise ConcurrentChange
    tables.codes.put(code.code_id, replace(found, revoked_at=at))
