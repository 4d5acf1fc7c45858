"""PostgreSQL as the registry's home: reads that do not block the loop, one connection to write."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from enroll.failures import RegistryUnavailable
from registry.database import RowRefused, Rows, TryAgain, View, WriteTransaction
from registry.engine import check_revision
from registry.statements import POSTGRESQL, Change, Query, Values

READERS = 16
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_REVISION = "SELECT version_num FROM alembic_version"

Connection = psycopg.AsyncConnection[Any]


class PostgreSQLDatabase:
    """Implements `registry.database.Database`.

    What the server does not answer in `busy_timeout` seconds is given up, here and there.
    """

    def __init__(self, url: sa.URL, busy_timeout: float) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.seconds = busy_timeout
        self._places = asyncio.Semaphore(READERS)
        self._idle: list[Connection] = []
        self._writer: Connection | None = None

    async def read(self) -> View:
        async with answering(self.seconds):
            await self._places.acquire()
        try:
            connection = await self._begun(self._idle.pop() if self._idle else None, _BEGIN_READING)
        except BaseException:
            self._places.release()
            raise
        return _View(self, connection)

    async def write(self) -> WriteTransaction:
        self._writer = await self._begun(self._writer, "BEGIN")
        return _Transaction(self, self._writer)

    async def close(self) -> None:
        await self.forget_writer()
        while self._idle:
            await self._idle.pop().close()

    async def give_back(self, connection: Connection) -> None:
        """End a view; its connection serves the next, unless it is broken."""
        try:
            async with answering(self.seconds, connection):
                await connection.execute("ROLLBACK")
        except RegistryUnavailable:
            await connection.close()
        else:
            self._idle.append(connection)
        finally:
            self._places.release()

    async def forget_writer(self) -> None:
        """Drop the writer's connection: what failed once is not used again."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await writer.close()

    async def _begun(self, connection: Connection | None, begin: str) -> Connection:
        """Begin on a connection; one kept from before may have died meanwhile, so once anew."""
        if connection is not None:
            try:
                async with answering(self.seconds, connection):
                    await connection.execute(begin)
            except RegistryUnavailable:
                await connection.close()
            else:
                return connection
        connection = await self._open()
        async with answering(self.seconds, connection):
            await connection.execute(begin)
        return connection

    async def _open(self) -> Connection:
        milliseconds = int(self.seconds * 1000)
        async with answering(self.seconds):
            connection = await psycopg.AsyncConnection.connect(
                self._address,
                autocommit=True,
                connect_timeout=max(2, int(self.seconds)),
                options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
                application_name="enrollment-server",
            )
        try:
            async with answering(self.seconds, connection):
                check_revision(await _revision(connection))
        except BaseException:
            await connection.close()
            raise
        return connection


class _View:
    """A read transaction."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: PostgreSQLDatabase, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    async def rows(self, query: Query, values: Values) -> Rows:
        async with answering(self._database.seconds, self._connection):
            return await _rows(self._connection, query, values)

    async def close(self) -> None:
        await self._database.give_back(self._connection)


class _Transaction:
    """What the writer does between BEGIN and COMMIT: one statement for all rows of a kind."""

    def __init__(self, database: PostgreSQLDatabase, connection: Connection) -> None:
        self._database = database
        self._connection = connection

    async def rows(self, query: Query, values: Values) -> Rows:
        async with answering(self._database.seconds, self._connection):
            return await _rows(self._connection, query, values)

    async def change(self, change: Change, values: Values) -> int:
        compiled = change.compiled(POSTGRESQL)
        return await self._run(compiled.text, compiled.arguments(values))

    async def change_many(self, changes: Sequence[tuple[Change, Sequence[Values]]]) -> list[int]:
        statements = [_arrayed(change, many) for change, many in changes]
        async with answering(self._database.seconds, self._connection):
            async with self._connection.pipeline():
                cursors = [await self._connection.execute(*each) for each in statements]
            return [cursor.rowcount for cursor in cursors]

    async def execute(self, expression: sa.Executable) -> int:
        compiled = Query(expression).compiled(POSTGRESQL)
        return await self._run(compiled.text, compiled.arguments({}))

    async def set_savepoint(self) -> None:
        await self._run("SAVEPOINT unit")

    async def release_savepoint(self) -> None:
        await self._run("RELEASE unit")

    async def undo_to_savepoint(self) -> None:
        await self._run("ROLLBACK TO unit")
        await self._run("RELEASE unit")

    async def commit(self) -> None:
        await self._run("COMMIT")

    async def roll_back(self) -> None:
        """Close the connection, which rolls back."""
        with contextlib.suppress(psycopg.Error):
            await self._database.forget_writer()

    async def _run(self, text: str, arguments: Sequence[Any] = ()) -> int:
        async with answering(self._database.seconds, self._connection):
            cursor = await self._connection.execute(text.encode(), arguments)
            return cursor.rowcount


@asynccontextmanager
async def answering(seconds: float, connection: Connection | None = None) -> AsyncIterator[None]:
    """Turn what PostgreSQL says, or that it says nothing, into what the registry says of it.

    A connection that stays silent is cut: to cancel politely would be to wait for it again.

    Raises RegistryUnavailable, TryAgain, RowRefused.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, _cut, connection) if connection is not None else None
    try:
        async with asyncio.timeout(None if timer is not None else seconds):
            yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation) as error:
        raise RowRefused(error.diag.table_name or "", _words(error)) from error
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise RowRefused("", _words(error)) from error
    except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
        raise TryAgain(_words(error)) from error
    except psycopg.Error as error:
        raise RegistryUnavailable(f"the database cannot serve: {_words(error)}") from error
    except TimeoutError as error:
        raise RegistryUnavailable(f"the database did not answer in {seconds:g} s") from error
    finally:
        if timer is not None:
            timer.cancel()


def _cut(connection: Connection) -> None:
    """Shut the socket down under a connection: whoever waits on it learns at once."""
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as same,
    ):
        same.shutdown(socket.SHUT_RDWR)


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip() or type(error).__name__


def _arrayed(change: Change, many: Sequence[Values]) -> tuple[bytes, Sequence[Any]]:
    if len(many) == 1:
        compiled = change.compiled(POSTGRESQL)
        return compiled.text.encode(), compiled.arguments(many[0])
    compiled = change.compiled_for_batch(POSTGRESQL)
    arrays = {name: [values[name] for values in many] for name in many[0]}
    return compiled.text.encode(), compiled.arguments(arrays)


async def _rows(connection: Connection, query: Query, values: Values) -> Rows:
    compiled = query.compiled(POSTGRESQL)
    cursor = await connection.execute(
        compiled.text.encode(), compiled.arguments(values), binary=True
    )
    return [compiled.to_row(each) for each in await cursor.fetchall()]


async def _revision(connection: Connection) -> str | None:
    try:
        found = await (await connection.execute(_REVISION)).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return str(found[0]) if found else None
