"""One-time codes, and the requests that were answered already."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.credentials import OneTimeCode
from enroll.ports import Transaction
from registry.rows import code_from, to_text, to_time
from registry.session import Session, execute_one, first
from registry.tables import codes, transactions


class SQLCodes:
    """Implements `enroll.ports.CodeRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of_device(self, device_id: str) -> Sequence[OneTimeCode]:
        return [code_from(row) for row in self._session.read(_OF_DEVICE, {"device_id": device_id})]

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
            "revoked_at": None,
        }
        self._session.stage(lambda connection: _insert(connection, values))

    def consume(self, code: OneTimeCode, at: datetime) -> None:
        values = {"this_code": code.code_id, "read_uses": code.uses, "at": to_text(at)}
        self._session.stage(lambda connection: execute_one(connection, _CONSUME, values))

    def revoke(self, code: OneTimeCode, at: datetime) -> None:
        values = {"this_code": code.code_id, "at": to_text(at)}
        self._session.stage(lambda connection: execute_one(connection, _REVOKE, values))


class SQLTransactions:
    """Implements `enroll.ports.TransactionRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def find(
        self, device_id: str, profile: str, spki_sha256: str, credential_id: str
    ) -> Transaction | None:
        parameters = {
            "device_id": device_id,
            "profile": profile,
            "spki_sha256": spki_sha256,
            "credential_id": credential_id,
        }
        row = first(self._session.read(_FIND, parameters))
        if row is None:
            return None
        return Transaction(
            device_id=row.device_id,
            profile=row.profile,
            spki_sha256=row.spki_sha256,
            credential_id=row.credential_id,
            fingerprint=row.fingerprint,
            created_at=to_time(row.created_at),
        )

    def add(self, transaction: Transaction) -> None:
        values = {
            "device_id": transaction.device_id,
            "profile": transaction.profile,
            "spki_sha256": transaction.spki_sha256,
            "credential_id": transaction.credential_id,
            "fingerprint": transaction.fingerprint,
            "created_at": to_text(transaction.created_at),
        }

        def write(connection: sa.Connection) -> None:
            connection.execute(_INSERT_TRANSACTION, values)

        self._session.stage(write)


def _insert(connection: sa.Connection, values: Mapping[str, object]) -> None:
    connection.execute(_INSERT, values)


_OF_DEVICE = sa.select(codes).where(codes.c.device_id == sa.bindparam("device_id"))
_INSERT = codes.insert()
_CONSUME = (
    codes.update()
    .where(
        codes.c.code_id == sa.bindparam("this_code"),
        codes.c.uses == sa.bindparam("read_uses"),
        codes.c.uses < codes.c.max_uses,
        codes.c.revoked_at.is_(None),
        codes.c.expires_at > sa.bindparam("at"),
    )
    .values(uses=codes.c.uses + 1)
)
_REVOKE = (
    codes.update()
    .where(codes.c.code_id == sa.bindparam("this_code"), codes.c.revoked_at.is_(None))
    .values(revoked_at=sa.bindparam("at"))
)
_FIND = (
    sa.select(transactions)
    .where(
        transactions.c.device_id == sa.bindparam("device_id"),
        transactions.c.profile == sa.bindparam("profile"),
        transactions.c.spki_sha256 == sa.bindparam("spki_sha256"),
        transactions.c.credential_id == sa.bindparam("credential_id"),
    )
    .order_by(transactions.c.created_at.desc())
    .limit(1)
)
_INSERT_TRANSACTION = transactions.insert()
