"""A registry on SQL, and its units of work: reads at once, writes together at commit."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from enroll.events import EnrollmentEvent
from registry.access_keys import SQLAccessKeys
from registry.attempts import SQLAttempts
from registry.certificates import SQLCertificates, SQLRevocationLists
from registry.codes import SQLCodes
from registry.database import Database, Rows, View
from registry.decryption_keys import SQLDecryptionKeys
from registry.devices import SQLDevices
from registry.engine import POSTGRESQL, normal_url, open_engine
from registry.keys import SQLKeys
from registry.orders import SQLOrders
from registry.policy import PolicyCache, SQLPolicy
from registry.postgresql import PostgreSQLDatabase
from registry.rows import event_from
from registry.session import NO_VALUES, Session
from registry.sqlite import SQLiteDatabase
from registry.statements import Query
from registry.tables import events
from registry.tallies import SQLTallies
from registry.writer import Unit, Write, Writer


class SQLRegistry:
    """Implements `enroll.ports.Registry`. Use it in one event loop, and close it.

    `stream` names this process's chain of events; `seal_key` seals its head.
    """

    def __init__(self, url: str, *, stream: str, seal_key: bytes, busy_timeout: float = 5) -> None:
        self.engine = open_engine(url, busy_timeout)
        self.database = open_database(url, busy_timeout)
        self._cache = PolicyCache()
        self._writer = Writer(self.database, stream=stream, seal_key=seal_key)

    @property
    def batches(self) -> int:
        """Tell how many transactions were committed."""
        return self._writer.batches

    @property
    def events_written(self) -> int:
        return self._writer.appended

    def unit_of_work(self) -> "SQLUnitOfWork":
        return SQLUnitOfWork(self.database, self._cache, self._writer)

    async def drain(self) -> None:
        """Return when all that was to be committed has been."""
        await self._writer.drain()

    async def close(self) -> None:
        """Commit what is waiting, and let go of the database."""
        await self.drain()
        await self.database.close()
        self.engine.dispose()


class SQLSession:
    """Implements `registry.session.Session`: what the repositories of one unit share.

    They do not know the unit itself: it would be a circle, for the garbage collector to find.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._view: View | None = None
        self.writes: list[Write] = []
        self.events: list[EnrollmentEvent] = []

    async def read(self, query: Query, values: Mapping[str, object] = NO_VALUES) -> Rows:
        if self._view is None:
            self._view = await self._database.read()
        return await self._view.rows(query, values)

    def stage(self, write: Write) -> None:
        self.writes.append(write)

    async def end_reading(self) -> None:
        if self._view is not None:
            view, self._view = self._view, None
            await view.close()

    def clear(self) -> None:
        """Forget what was staged."""
        self.writes.clear()
        self.events.clear()


class SQLUnitOfWork:
    """Implements `enroll.ports.UnitOfWork`."""

    def __init__(self, database: Database, cache: PolicyCache, writer: Writer) -> None:
        self._writer = writer
        self._session = session = SQLSession(database)
        self.devices = SQLDevices(session)
        self.keys = SQLKeys(session)
        self.certificates = SQLCertificates(session)
        self.codes = SQLCodes(session)
        self.decryption_keys = SQLDecryptionKeys(session)
        self.orders = SQLOrders(session)
        self.tallies = SQLTallies(session)
        self.attempts = SQLAttempts(session)
        self.events = SQLEventLog(session, session.events)
        self.policy = SQLPolicy(session, cache)
        self.crls = SQLRevocationLists(session)
        self.access_keys = SQLAccessKeys(session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.end_reading()
        self._session.clear()

    async def commit(self) -> None:
        session = self._session
        await session.end_reading()
        if not session.writes and not session.events:
            return
        outcome = asyncio.get_running_loop().create_future()
        unit = Unit(tuple(session.writes), tuple(session.events), outcome)
        session.clear()
        self._writer.submit(unit)
        await outcome


class SQLEventLog:
    """Implements `enroll.ports.EventLog`; the writer numbers and chains the entries."""

    def __init__(self, session: Session, staged: list[EnrollmentEvent]) -> None:
        self._session = session
        self._staged = staged

    def append(self, event: EnrollmentEvent) -> None:
        self._staged.append(event)

    async def of_device(self, device_id: str) -> Sequence[EnrollmentEvent]:
        rows = await self._session.read(_EVENTS_OF, {"device_id": device_id})
        return [event_from(row) for row in rows]


def open_database(url: str, busy_timeout: float) -> Database:
    """Tell by its address what kind of database it is; it is opened when it is first used."""
    address = normal_url(url)
    if address.get_backend_name() == POSTGRESQL:
        return PostgreSQLDatabase(address, busy_timeout)
    return SQLiteDatabase(address.database or "", busy_timeout)


_EVENTS_OF = Query(
    sa.select(events)
    .where(events.c.device_id == sa.bindparam("device_id"))
    .order_by(events.c.occurred_at, events.c.stream, events.c.number)
)
