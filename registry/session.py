"""What repositories share: a way to read now, and a list to stage writes on."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from enroll.failures import ConcurrentChange
from registry.rows import AnyRow
from registry.writer import Write


class Session(Protocol):
    """One unit of work, seen from its repositories."""

    def read(
        self, statement: sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> Sequence[AnyRow]:
        """Run a query now. Raises RegistryUnavailable."""
        ...

    def stage(self, write: Write) -> None:
        """Have this done when the unit commits."""
        ...


def first(rows: Sequence[AnyRow]) -> AnyRow | None:
    return rows[0] if rows else None


def execute_one(
    connection: sa.Connection, statement: sa.Executable, parameters: Mapping[str, Any]
) -> None:
    """Run a statement that must change exactly one row; else raise ConcurrentChange."""
    if connection.execute(statement, parameters).rowcount != 1:
        raise ConcurrentChange
