"""Symmetric keys of devices in memory."""

from collections.abc import Sequence

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.key_generation import DecryptionKey
from registry.memory.tables import Session, check_row


class MemoryDecryptionKeys:
    """Implements `enroll.ports.DecryptionKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, device_id: str, key_identifier: str) -> DecryptionKey | None:
        keys, moment = self._session.tables.decryption_keys, self._session.moment
        return keys.get((device_id, key_identifier), moment)

    async def of_device(self, device_id: str) -> Sequence[DecryptionKey]:
        every = self._session.tables.decryption_keys.all(self._session.moment)
        found = [each for each in every if each.device_id == device_id]
        return sorted(found, key=lambda each: each.key_identifier)

    def add(self, key: DecryptionKey) -> None:
        tables, place = self._session.tables, (key.device_id, key.key_identifier)

        def write() -> None:
            check_row(known=(tables.devices.get(key.device_id),))
            if tables.decryption_keys.get(place) is not None:
                raise AlreadyTaken("key_identifier", key.key_identifier)
            tables.decryption_keys.put(place, key)

        self._session.stage(write)

    def remove(self, key: DecryptionKey) -> None:
        keys, place = self._session.tables.decryption_keys, (key.device_id, key.key_identifier)

        def write() -> None:
            if keys.get(place) is None:
                raise ConcurrentChange
            keys.remove(place)

        self._session.stage(write)
