"""What repositories share: a way to read now, and a list to stage writes on."""

from collections.abc import Mapping
from typing import Any, Protocol

from registry.database import Rows
from registry.statements import Query
from registry.writer import Write

NO_VALUES: Mapping[str, object] = {}


class Session(Protocol):
    """One unit of work, seen from its repositories."""

    async def read(self, query: Query, values: Mapping[str, object] = NO_VALUES) -> Rows:
        """Run a query now. Raises RegistryUnavailable."""
        ...

    def stage(self, write: Write) -> None:
        """Have this done when the unit commits."""
        ...


def first(rows: Rows) -> Any:
    """Give the first row, or None."""
    return rows[0] if rows else None
