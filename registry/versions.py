"""Counters that tell other processes that something they keep in memory has changed."""

import sqlalchemy as sa

from registry.database import WriteTransaction
from registry.session import Session, first
from registry.statements import Query
from registry.tables import versions
from registry.writer import Guard

POLICY = "policy"
REVOCATION = "revocation"


async def read_version(session: Session, name: str) -> int:
    row = first(await session.read(_READ, {"name": name}))
    return int(row.value) if row is not None else 0


def expecting(name: str, version: int) -> Guard:
    """Make the guard that holds while the counter is at this version."""
    return Guard(_AT, {"name": name, "version": version})


async def bump(transaction: WriteTransaction, name: str) -> None:
    counter = versions.c.name == name
    if not await transaction.execute(
        versions.update().where(counter).values(value=versions.c.value + 1)
    ):
        await transaction.execute(versions.insert().values(name=name, value=1))


_READ = Query(sa.select(versions.c.value).where(versions.c.name == sa.bindparam("name")))
_AT = Query(
    sa.select(versions.c.value)
    .where(
        versions.c.name == sa.bindparam("name"),
        versions.c.value == sa.bindparam("version"),
    )
    .with_for_update(read=True)
)
