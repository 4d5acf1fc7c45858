"""Enrollment attempts with their decision traces."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.events import Attempt
from registry.database import WriteTransaction
from registry.rows import attempt_document, attempt_from, to_text
from registry.session import Session
from registry.statements import Query, inserting
from registry.tables import IS_REFUSED, attempts
from registry.writer import Row


class SQLAttempts:
    """Implements `enroll.ports.AttemptRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, attempt: Attempt) -> None:
        values = {
            "attempt_id": attempt.attempt_id,
            "occurred_at": to_text(attempt.occurred_at),
            "outcome": attempt.outcome.value,
            "device_id": attempt.device_id,
            "document": attempt_document(attempt),
        }
        self._session.stage(Row(_INSERT, values))

    def prune(self, *, before: datetime, keep: int) -> None:
        async def forget(transaction: WriteTransaction) -> None:
            wanted = attempts.c.occurred_at >= to_text(before)
            beyond = await transaction.rows(_BEYOND, {"keep": keep})
            if beyond:
                wanted = sa.and_(wanted, attempts.c.number > beyond[0].number)
            await transaction.execute(attempts.delete().where(sa.not_(wanted)))

        self._session.stage(forget)

    async def list(
        self, *, denied_only: bool = False, since: datetime | None = None, limit: int | None = None
    ) -> Sequence[Attempt]:
        statement = sa.select(attempts).order_by(attempts.c.number.desc())
        if denied_only:
            statement = statement.where(IS_REFUSED)
        if since is not None:
            statement = statement.where(attempts.c.occurred_at >= to_text(since))
        if limit is not None:
            statement = statement.limit(limit)
        return [attempt_from(row) for row in await self._session.read(Query(statement))]


_INSERT = inserting(attempts, "attempt_id", "occurred_at", "outcome", "device_id", "document")
_BEYOND = Query(
    sa.select(attempts.c.number)
    .order_by(attempts.c.number.desc())
    .limit(1)
    .offset(sa.bindparam("keep", type_=sa.Integer))
)
"""The newest that is not among the newest `keep`; their numbers may have gaps."""
