"""Keys for the management interface, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from enroll.failures import ConcurrentChange
from enroll.ports import AccessKey
from registry.memory.tables import Session, check_row


class MemoryAccessKeys:
    """Implements `enroll.ports.AccessKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, key_id: str) -> AccessKey | None:
        return self._session.tables.access_keys.get(key_id, self._session.moment)

    async def list(self) -> Sequence[AccessKey]:
        found = self._session.tables.access_keys.all(self._session.moment)
        return sorted(found, key=lambda each: (each.created_at, each.key_id))

    def add(self, key: AccessKey) -> None:
        access_keys = self._session.tables.access_keys

        def write() -> None:
            check_row(unused=(access_keys.get(key.key_id),))
            access_keys.put(key.key_id, key)

        self._session.stage(write)

    def revoke(self, key: AccessKey, at: datetime) -> None:
        access_keys = self._session.tables.access_keys

        def write() -> None:
            found = access_keys.get(key.key_id)
            if found is None or found.revoked_at is not None:
                raise ConcurrentChange
            access_keys.put(key.key_id, replace(found, revoked_at=at))

        self._session.stage(write)
