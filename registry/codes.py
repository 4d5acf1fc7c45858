"""One-time codes: stored, found by their device, used and revoked."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.credentials import OneTimeCode
from registry.rows import code_from, optional_text, to_text
from registry.session import Session
from registry.statements import Change, Place, Query, inserting
from registry.tables import codes
from registry.writer import Row


class SQLCodes:
    """Implements `enroll.ports.CodeRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of_device(self, device_id: str) -> Sequence[OneTimeCode]:
        rows = await self._session.read(_OF_DEVICE, {"device_id": device_id})
        return [code_from(row) for row in rows]

    async def by_digest(self, digest: bytes) -> Sequence[OneTimeCode]:
        rows = await self._session.read(_BY_DIGEST, {"digest": digest})
        return [code_from(row) for row in rows]

    def add(self, code: OneTimeCode) -> None:
        values = {
            "code_id": code.code_id,
            "device_id": code.device_id,
            "digest": code.digest,
            "wrapped": code.wrapped,
            "max_uses": code.max_uses,
            "uses": code.uses,
            "created_at": to_text(code.created_at),
            "expires_at": to_text(code.expires_at),
            "revoked_at": optional_text(code.revoked_at),
        }
        self._session.stage(Row(_INSERT, values))

    def consume(self, code: OneTimeCode, at: datetime) -> None:
        values = {"this_code": code.code_id, "read_uses": code.uses, "at": to_text(at)}
        self._session.stage(Row(_CONSUME, values))

    def revoke(self, code: OneTimeCode, at: datetime) -> None:
        values = {"this_code": code.code_id, "revoked_at": to_text(at)}
        # As a step of its own: among the rows of other units it could come after a use of the code.
        self._session.stage(Row(_REVOKE, values).apply)


def _consume(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    return (
        codes.update()
        .where(
            codes.c.code_id == value(codes.c.code_id, "this_code"),
            codes.c.uses == value(codes.c.uses, "read_uses"),
            codes.c.uses < codes.c.max_uses,
            codes.c.revoked_at.is_(None),
            codes.c.expires_at > value(codes.c.expires_at, "at"),
        )
        .values(uses=codes.c.uses + 1)
    )


def _revoke(value: Place, dialect: sa.Dialect) -> sa.Executable:
    del dialect
    return (
        codes.update()
        .where(codes.c.code_id == value(codes.c.code_id, "this_code"), codes.c.revoked_at.is_(None))
        .values(revoked_at=value(codes.c.revoked_at))
    )


_OF_DEVICE = Query(sa.select(codes).where(codes.c.device_id == sa.bindparam("device_id")))
_BY_DIGEST = Query(sa.select(codes).where(codes.c.digest == sa.bindparam("digest")))
_INSERT = inserting(
    codes,
    "code_id",
    "device_id",
    "digest",
    "wrapped",
    "max_uses",
    "uses",
    "created_at",
    "expires_at",
    "revoked_at",
)
_CONSUME = Change(_consume)
_REVOKE = Change(_revoke)
