"""Whose each public key is."""

from datetime import datetime

import sqlalchemy as sa

from enroll.failures import AlreadyTaken
from enroll.ports import DeviceKey
from registry.database import WriteTransaction
from registry.rows import to_text
from registry.session import Session, first
from registry.statements import Query, upserting
from registry.tables import device_keys
from registry.writer import Row


class SQLKeys:
    """Implements `enroll.ports.KeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(self, spki_sha256: str) -> DeviceKey | None:
        row = first(await self._session.read(_FIND, {"spki_sha256": spki_sha256}))
        if row is None:
            return None
        return DeviceKey(
            spki_sha256=row.spki_sha256,
            device_id=row.device_id,
            compromised=bool(row.compromised),
        )

    def claim(self, spki_sha256: str, device_id: str, at: datetime) -> None:
        values = {
            "spki_sha256": spki_sha256,
            "device_id": device_id,
            "compromised": False,
            "since": to_text(at),
        }
        self._session.stage(Row(_CLAIM, values, AlreadyTaken("public_key", spki_sha256)))

    def condemn(self, spki_sha256: str, at: datetime) -> None:
        async def condemn(transaction: WriteTransaction) -> None:
            this = device_keys.c.spki_sha256 == spki_sha256
            if not await transaction.execute(
                device_keys.update().where(this).values(compromised=True)
            ):
                await transaction.execute(
                    device_keys.insert().values(
                        spki_sha256=spki_sha256, compromised=True, since=to_text(at)
                    )
                )

        self._session.stage(condemn)


_FIND = Query(
    sa.select(device_keys).where(device_keys.c.spki_sha256 == sa.bindparam("spki_sha256"))
)
_CLAIM = upserting(
    device_keys,
    ("spki_sha256", "device_id", "compromised", "since"),
    "spki_sha256",
    lambda refused: (
        {"device_id": refused.device_id},
        sa.and_(device_keys.c.device_id == refused.device_id, device_keys.c.compromised.is_(False)),
    ),
)
