"""Keys for the management interface."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.ports import AccessKey
from registry.rows import AnyRow, optional_text, optional_time, to_text, to_time
from registry.session import Session, first
from registry.statements import Change, Place, Query, inserting
from registry.tables import access_keys
from registry.writer import Row


class SQLAccessKeys:
    """Implements `enroll.ports.AccessKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, key_id: str) -> AccessKey | None:
        row = first(await self._session.read(_BY_ID, {"key_id": key_id}))
        return _key_from(row) if row is not None else None

    async def list(self) -> Sequence[AccessKey]:
        return [_key_from(row) for row in await self._session.read(_ALL)]

    def add(self, key: AccessKey) -> None:
        values = {
            "key_id": key.key_id,
            "name": key.name,
            "role": key.role,
            "digest": key.digest,
            "created_at": to_text(key.created_at),
            "expires_at": optional_text(key.expires_at),
            "revoked_at": optional_text(key.revoked_at),
        }
        self._session.stage(Row(_INSERT, values))

    def revoke(self, key: AccessKey, at: datetime) -> None:
        values = {"this_key": key.key_id, "revoked_at": to_text(at)}
        self._session.stage(Row(_REVOKE, values))


def _key_from(row: AnyRow) -> AccessKey:
    return AccessKey(
        key_id=row.key_id,
        name=row.name,
        role=row.role,
        digest=row.digest,
        created_at=to_time(row.created_at),
        expires_at=optional_time(row.expires_at),
        revoked_at=optional_time(row.revoked_at),
    )


def _revoke(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    columns = access_keys.c
    return (
        access_keys.update()
        .where(columns.key_id == value(columns.key_id, "this_key"), columns.revoked_at.is_(None))
        .values(revoked_at=value(columns.revoked_at))
    )


_BY_ID = Query(sa.select(access_keys).where(access_keys.c.key_id == sa.bindparam("key_id")))
_ALL = Query(sa.select(access_keys).order_by(access_keys.c.created_at, access_keys.c.key_id))
_INSERT = inserting(access_keys, *access_keys.c.keys())
_REVOKE = Change(_revoke)
