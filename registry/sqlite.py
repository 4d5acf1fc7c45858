"""SQLite as the registry's home: raw connections, read and written in the event loop's thread."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import sqlalchemy as sa

from enroll.failures import RegistryUnavailable
from registry.database import RowRefused, Rows, View, WriteTransaction
from registry.engine import SQLITE_SETTINGS, check_revision
from registry.statements import SQLITE, Change, Query, Values

STATEMENTS_KEPT = 256
Identity = tuple[int, int]
"""Device and inode of a file."""
_REVISION = "SELECT version_num FROM alembic_version"


class SQLiteDatabase:
    """Implements `registry.database.Database`.

    A statement takes microseconds, less than handing it to a thread. Only what may take long goes
    to one: waiting for the lock of another process, and the commit with its fsync.
    """

    def __init__(self, path: str, busy_timeout: float) -> None:
        self._path = path
        self._busy_milliseconds = int(busy_timeout * 1000)
        self._identity = _identity(path)
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._written = self._identity
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry-commit")

    async def read(self) -> View:
        self._check_place()
        with _ERRORS:
            connection = self._idle.pop() if self._idle else self._open()
            try:
                connection.execute("BEGIN")
            except sqlite3.Error:
                connection.close()
                raise
        return _View(self, connection, self._identity)

    async def write(self) -> WriteTransaction:
        self._check_place()
        if self._written != self._identity:
            self._forget_writer()
        with _ERRORS:
            if self._writer is None:
                self._writer = self._open()
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._written = self._identity
            writer = self._writer
            try:
                writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    self._forget_writer()
                    raise
                await self._wait_for_lock(writer)
        transaction = _Transaction(writer, self._thread, self._forget_writer)
        if _identity(self._path) != self._written:
            await transaction.roll_back()
            raise RegistryUnavailable(f"the database {self._path} was replaced meanwhile")
        return transaction

    async def close(self) -> None:
        self._forget_writer()
        self._drop_idle()
        self._thread.shutdown()

    async def _wait_for_lock(self, connection: sqlite3.Connection) -> None:
        def begin() -> None:
            connection.execute(f"PRAGMA busy_timeout = {self._busy_milliseconds}")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                connection.execute("PRAGMA busy_timeout = 0")

        await asyncio.get_running_loop().run_in_executor(self._thread, begin)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{_quoted(self._path)}?mode=rw",  # A database that is gone is not made anew.
            uri=True,
            timeout=self._busy_milliseconds / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_KEPT,
        )
        try:
            for setting in SQLITE_SETTINGS:
                connection.execute(setting)
            check_revision(_revision(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_place(self) -> None:
        """Notice that the file is gone, or is another one than was opened.

        The writer may be within a transaction: it notices by itself, before the next.
        """
        found = _identity(self._path)
        if found is None:
            raise RegistryUnavailable(f"the database {self._path} is gone; put it back")
        if found != self._identity:
            self._identity = found
            self._drop_idle()

    def give_back(self, connection: sqlite3.Connection, identity: Identity | None) -> None:
        """Take a view's connection for the next one, unless it is to a file of before."""
        if identity == self._identity:
            self._idle.append(connection)
        else:
            connection.close()

    def _forget_writer(self) -> None:
        """Close the writer's connection after all that its thread still does with it."""
        if self._writer is not None:
            self._thread.submit(self._writer.close)
            self._writer = None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _View:
    """A read transaction."""

    __slots__ = ("_connection", "_database", "_identity")

    def __init__(
        self, database: SQLiteDatabase, connection: sqlite3.Connection, identity: Identity | None
    ) -> None:
        self._database = database
        self._connection = connection
        self._identity = identity

    async def rows(self, query: Query, values: Values) -> Rows:
        return _rows(self._connection, query, values)

    async def close(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()
        else:
            self._database.give_back(self._connection, self._identity)


class _Transaction:
    """What the writer does between BEGIN IMMEDIATE and COMMIT."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        thread: ThreadPoolExecutor,
        forget: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._forget = forget

    async def rows(self, query: Query, values: Values) -> Rows:
        return _rows(self._connection, query, values)

    async def change(self, change: Change, values: Values) -> int:
        compiled = change.compiled(SQLITE)
        with _ERRORS:
            return self._connection.execute(compiled.text, compiled.arguments(values)).rowcount

    async def change_many(self, changes: Sequence[tuple[Change, Sequence[Values]]]) -> list[int]:
        counts = []
        with _ERRORS:
            for change, many in changes:
                compiled = change.compiled(SQLITE)
                arguments = [compiled.arguments(values) for values in many]
                counts.append(self._connection.executemany(compiled.text, arguments).rowcount)
        return counts

    async def execute(self, expression: sa.Executable) -> int:
        compiled = Query(expression).compiled(SQLITE)
        with _ERRORS:
            return self._connection.execute(compiled.text, compiled.arguments({})).rowcount

    async def set_savepoint(self) -> None:
        with _ERRORS:
            self._connection.execute("SAVEPOINT unit")

    async def release_savepoint(self) -> None:
        with _ERRORS:
            self._connection.execute("RELEASE unit")

    async def undo_to_savepoint(self) -> None:
        with _ERRORS:
            self._connection.execute("ROLLBACK TO unit")
            self._connection.execute("RELEASE unit")

    async def commit(self) -> None:
        loop = asyncio.get_running_loop()
        with _ERRORS:
            await loop.run_in_executor(self._thread, self._connection.execute, "COMMIT")

    async def roll_back(self) -> None:
        """Close the connection, which rolls back: what failed once is not used again."""
        self._forget()


class _Errors:
    """Turns what SQLite says when it cannot serve into RegistryUnavailable or RowRefused."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, sqlite3.IntegrityError):
            words = str(error)
            raise RowRefused(words.rpartition(": ")[2].partition(".")[0], words) from error
        if isinstance(error, sqlite3.Error):
            raise RegistryUnavailable(f"the database cannot serve: {error}") from error


_ERRORS = _Errors()


def _rows(connection: sqlite3.Connection, query: Query, values: Values) -> Rows:
    compiled = query.compiled(SQLITE)
    with _ERRORS:
        found = connection.execute(compiled.text, compiled.arguments(values)).fetchall()
    return [compiled.to_row(each) for each in found] if found else found


def _revision(connection: sqlite3.Connection) -> str | None:
    try:
        found = connection.execute(_REVISION).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return str(found[0]) if found else None


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on every request's path
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
