"""Counters that tell other processes that something they keep in memory has changed."""

import sqlalchemy as sa

from registry.session import Session, first
from registry.tables import versions

POLICY = "policy"
REVOCATION = "revocation"


def read_version(session: Session, name: str) -> int:
    row = first(session.read(_READ, {"name": name}))
    return int(row.value) if row is not None else 0


def version_in(connection: sa.Connection, name: str) -> int:
    value = connection.execute(_READ, {"name": name}).scalar_one_or_none()
    return int(value) if value is not None else 0


def bump(connection: sa.Connection, name: str) -> None:
    if connection.execute(_BUMP, {"this_name": name}).rowcount == 0:
        connection.execute(versions.insert(), {"name": name, "value": 1})


_READ = sa.select(versions.c.value).where(versions.c.name == sa.bindparam("name"))
_BUMP = (
    versions.update()
    .where(versions.c.name == sa.bindparam("this_name"))
    .values(value=versions.c.value + 1)
)
