"""Counts that may not pass a limit."""

import sqlalchemy as sa

from enroll.failures import ConcurrentChange
from registry.database import WriteTransaction
from registry.session import Session, first
from registry.statements import Query, upserting
from registry.tables import tallies
from registry.writer import Row


class SQLTallies:
    """Implements `enroll.tallies.TallyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(self, name: str, period: str = "") -> int:
        row = first(await self._session.read(_READ, {"name": name}))
        return int(row.taken) if row is not None and row.period >= period else 0

    def take(self, name: str, *, most: int, period: str = "") -> None:
        values = {"name": name, "period": period, "taken": 1, "most": most}
        # As a step of its own: many units take of one tally, and a statement changes a row once.
        self._session.stage(Row(_TAKE, values, ConcurrentChange()).apply)

    def forget(self, name: str) -> None:
        this = tallies.delete().where(tallies.c.name == name)

        async def forget(transaction: WriteTransaction) -> None:
            await transaction.execute(this)

        self._session.stage(forget)


_READ = Query(sa.select(tallies).where(tallies.c.name == sa.bindparam("name")))
_TAKE = upserting(
    tallies,
    ("name", "period", "taken", "most"),
    "name",
    lambda new: (
        {
            "taken": sa.case((tallies.c.period < new.period, 1), else_=tallies.c.taken + 1),
            "period": sa.case((tallies.c.period < new.period, new.period), else_=tallies.c.period),
            "most": new.most,
        },
        sa.or_(tallies.c.period < new.period, tallies.c.taken < new.most),
    ),
)
