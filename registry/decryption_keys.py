"""Symmetric keys of devices: stored wrapped, found by their device and identifier."""

from collections.abc import Sequence

import sqlalchemy as sa

from enroll.failures import AlreadyTaken, ConcurrentChange
from enroll.key_generation import DecryptionKey
from registry.database import WriteTransaction
from registry.rows import AnyRow, to_text, to_time
from registry.session import Session, first
from registry.statements import Query, inserting
from registry.tables import decryption_keys
from registry.writer import Row


class SQLDecryptionKeys:
    """Implements `enroll.ports.DecryptionKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, device_id: str, key_identifier: str) -> DecryptionKey | None:
        values = {"device_id": device_id, "key_identifier": key_identifier}
        row = first(await self._session.read(_ONE, values))
        return None if row is None else _key(row)

    async def of_device(self, device_id: str) -> Sequence[DecryptionKey]:
        rows = await self._session.read(_OF_DEVICE, {"device_id": device_id})
        return [_key(row) for row in rows]

    def add(self, key: DecryptionKey) -> None:
        values = {
            "device_id": key.device_id,
            "key_identifier": key.key_identifier,
            "wrapped": key.wrapped,
            "octets": key.octets,
            "created_at": to_text(key.created_at),
        }
        taken = AlreadyTaken("key_identifier", key.key_identifier)
        self._session.stage(Row(_INSERT, values, taken))

    def remove(self, key: DecryptionKey) -> None:
        columns = decryption_keys.c
        this = decryption_keys.delete().where(
            columns.device_id == key.device_id, columns.key_identifier == key.key_identifier
        )

        async def remove(transaction: WriteTransaction) -> None:
            if not await transaction.execute(this):
                raise ConcurrentChange

        self._session.stage(remove)


def _key(row: AnyRow) -> DecryptionKey:
    return DecryptionKey(
        device_id=row.device_id,
        key_identifier=row.key_identifier,
        wrapped=row.wrapped,
        octets=row.octets,
        created_at=to_time(row.created_at),
    )


_OWN = sa.select(decryption_keys).where(decryption_keys.c.device_id == sa.bindparam("device_id"))
_OF_DEVICE = Query(_OWN.order_by(decryption_keys.c.key_identifier))
_ONE = Query(_OWN.where(decryption_keys.c.key_identifier == sa.bindparam("key_identifier")))
_INSERT = inserting(
    decryption_keys, "device_id", "key_identifier", "wrapped", "octets", "created_at"
)
