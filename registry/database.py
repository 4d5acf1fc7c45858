"""What a kind of database offers to units of work and to the writer."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from registry.statements import Change, Query, Values

Rows = Sequence[Any]


class RowRefused(Exception):  # noqa: N818 - what a constraint did
    """A constraint of the database refused a row; `table` and `words` say which."""

    def __init__(self, table: str, words: str) -> None:
        super().__init__(words)
        self.table = table
        self.words = words


class TryAgain(Exception):  # noqa: N818 - what a database says to do
    """The database undid a transaction for the sake of another one; run it again."""


class View(Protocol):
    """The database at one moment, however long it is read from."""

    async def rows(self, query: Query, values: Values) -> Rows:
        """Run a query. Raises RegistryUnavailable."""
        ...

    async def close(self) -> None: ...


class WriteTransaction(Protocol):
    """The one open transaction of a writer. Raises RegistryUnavailable, RowRefused, TryAgain."""

    async def rows(self, query: Query, values: Values) -> Rows: ...

    async def change(self, change: Change, values: Values) -> int:
        """Change one row, and tell how many were."""
        ...

    async def change_many(self, changes: Sequence[tuple[Change, Sequence[Values]]]) -> list[int]:
        """Make changes in this order, each for all its sets of values; tell the rows of each."""
        ...

    async def execute(self, expression: sa.Executable) -> int:
        """Run any other statement, its values within it, and tell how many rows it changed."""
        ...

    async def set_savepoint(self) -> None: ...

    async def release_savepoint(self) -> None: ...

    async def undo_to_savepoint(self) -> None:
        """Undo all since the savepoint, and release it."""
        ...

    async def commit(self) -> None:
        """Make it all durable. After RegistryUnavailable it may be so or not."""
        ...

    async def roll_back(self) -> None:
        """Undo it all; never raises."""
        ...


class Database(Protocol):
    """A database at its address, of the schema that this version needs."""

    async def read(self) -> View:
        """Open a view of this moment. Raises RegistryUnavailable."""
        ...

    async def write(self) -> WriteTransaction:
        """Begin the writer's transaction. Raises RegistryUnavailable."""
        ...

    async def close(self) -> None: ...
