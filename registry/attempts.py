"""Enrollment attempts with their decision traces."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enroll.events import Attempt, Outcome
from registry.rows import attempt_document, attempt_from, to_text
from registry.session import Session
from registry.tables import attempts


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

        def write(connection: sa.Connection) -> None:
            connection.execute(_INSERT, values)

        self._session.stage(write)

    def prune(self, *, before: datetime, keep: int) -> None:
        limit = to_text(before)

        def write(connection: sa.Connection) -> None:
            newest = connection.execute(_NEWEST).scalar_one_or_none() or 0
            connection.execute(_PRUNE, {"before": limit, "oldest": newest - keep})

        self._session.stage(write)

    async def list(
        self, *, denied_only: bool = False, since: datetime | None = None, limit: int | None = None
    ) -> Sequence[Attempt]:
        statement = sa.select(attempts).order_by(attempts.c.number.desc())
        if denied_only:
            statement = statement.where(
                attempts.c.outcome.in_([Outcome.DENIED.value, Outcome.FAILED.value])
            )
        if since is not None:
            statement = statement.where(attempts.c.occurred_at >= to_text(since))
        if limit is not None:
            statement = statement.limit(limit)
        return [attempt_from(row) for row in self._session.read(statement)]


_INSERT = attempts.insert()
_NEWEST = sa.select(sa.func.max(attempts.c.number))
_PRUNE = attempts.delete().where(
    sa.or_(
        attempts.c.occurred_at < sa.bindparam("before"),
        attempts.c.number <= sa.bindparam("oldest"),
    )
)
