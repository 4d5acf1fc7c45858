"""A registry on SQL, and its units of work: reads at once, writes together at commit."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from enroll.events import EnrollmentEvent
from enroll.ports import AccessKey
from registry.attempts import SQLAttempts
from registry.certificates import SQLCertificates, SQLRevocationLists
from registry.codes import SQLCodes, SQLTransactions
from registry.devices import SQLDevices, SQLKeys
from registry.engine import Place, check_revision, database_errors, open_engine
from registry.policy import PolicyCache, SQLPolicy
from registry.rows import AnyRow, event_from, to_text, to_time
from registry.session import Session, first
from registry.tables import access_keys, events
from registry.writer import Unit, Write, Writer


class SQLRegistry:
    """Implements `enroll.ports.Registry`. Use it from one event loop, and close it.

    `stream` names this process's chain of events; `seal_key` seals its head.
    """

    def __init__(self, url: str, *, stream: str, seal_key: bytes, busy_timeout: float = 5) -> None:
        self.engine = open_engine(url, busy_timeout)
        self._place = Place(url)
        self._cache = PolicyCache()
        self._idle: list[sa.Connection] = []
        self._writer = Writer(self.engine, Place(url), stream=stream, seal_key=seal_key)

    @property
    def batches(self) -> int:
        """Tell how many transactions were committed."""
        return self._writer.batches

    @property
    def events_written(self) -> int:
        return self._writer.appended

    def unit_of_work(self) -> "SQLUnitOfWork":
        return SQLUnitOfWork(self, self._cache, self._writer)

    def begin_reading(self) -> sa.Connection:
        """Open a view of one moment, however long it is read from. Raises RegistryUnavailable."""
        with database_errors():
            connection = self._idle.pop() if self._idle else self._open_reader()
            try:
                connection.exec_driver_sql("BEGIN")
            except sa.exc.DBAPIError:
                _drop(connection)
                raise
        return connection

    def end_reading(self, connection: sa.Connection) -> None:
        """Let go of a view; its connection serves the next."""
        try:
            connection.exec_driver_sql("ROLLBACK")
        except sa.exc.SQLAlchemyError:
            _drop(connection)
        else:
            self._idle.append(connection)

    def check_place(self) -> None:
        """Check that the database is still where it was. Raises RegistryUnavailable."""
        if self._place.check():
            self._drop_idle()

    def stop_writing(self) -> None:
        """Commit what is waiting; no unit can commit after that."""
        self._writer.close()

    def close(self) -> None:
        """Commit what is waiting, and let go of the database."""
        self.stop_writing()
        self._drop_idle()
        self.engine.dispose()

    def _open_reader(self) -> sa.Connection:
        connection = self.engine.connect()
        try:
            check_revision(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop_idle(self) -> None:
        while self._idle:
            _drop(self._idle.pop())


class SQLUnitOfWork:
    """Implements `enroll.ports.UnitOfWork`."""

    def __init__(self, registry: SQLRegistry, cache: PolicyCache, writer: Writer) -> None:
        self._registry = registry
        self._writer = writer
        self._view: sa.Connection | None = None
        self._writes: list[Write] = []
        self._events: list[EnrollmentEvent] = []
        self.devices = SQLDevices(self)
        self.keys = SQLKeys(self)
        self.certificates = SQLCertificates(self)
        self.codes = SQLCodes(self)
        self.transactions = SQLTransactions(self)
        self.attempts = SQLAttempts(self)
        self.events = SQLEventLog(self, self._events)
        self.policy = SQLPolicy(self, cache)
        self.crls = SQLRevocationLists(self)
        self.access_keys = SQLAccessKeys(self)

    async def __aenter__(self) -> Self:
        self._registry.check_place()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_reading()
        self._writes.clear()
        self._events.clear()

    def read(
        self, statement: sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> Sequence[AnyRow]:
        if self._view is None:
            self._view = self._registry.begin_reading()
        with database_errors():
            return self._view.execute(statement, dict(parameters or {})).all()

    def stage(self, write: Write) -> None:
        self._writes.append(write)

    async def commit(self) -> None:
        self._end_reading()
        if not self._writes and not self._events:
            return
        loop = asyncio.get_running_loop()
        unit = Unit(
            writes=tuple(self._writes),
            events=tuple(self._events),
            loop=loop,
            outcome=loop.create_future(),
        )
        self._writes.clear()
        self._events.clear()
        self._writer.submit(unit)
        await unit.outcome

    def _end_reading(self) -> None:
        if self._view is not None:
            self._registry.end_reading(self._view)
            self._view = None


class SQLEventLog:
    """Implements `enroll.ports.EventLog`; the writer numbers and chains the entries."""

    def __init__(self, session: Session, staged: list[EnrollmentEvent]) -> None:
        self._session = session
        self._staged = staged

    def append(self, event: EnrollmentEvent) -> None:
        self._staged.append(event)

    async def of_device(self, device_id: str) -> Sequence[EnrollmentEvent]:
        rows = self._session.read(_EVENTS_OF, {"device_id": device_id})
        return [event_from(row) for row in rows]


class SQLAccessKeys:
    """Implements `enroll.ports.AccessKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def by_id(self, key_id: str) -> AccessKey | None:
        row = first(self._session.read(_ACCESS_KEY, {"key_id": key_id}))
        if row is None:
            return None
        return AccessKey(
            key_id=row.key_id,
            name=row.name,
            role=row.role,
            digest=row.digest,
            created_at=to_time(row.created_at),
        )

    def add(self, key: AccessKey) -> None:
        values = {
            "key_id": key.key_id,
            "name": key.name,
            "role": key.role,
            "digest": key.digest,
            "created_at": to_text(key.created_at),
        }

        def write(connection: sa.Connection) -> None:
            connection.execute(access_keys.insert(), values)

        self._session.stage(write)


def _drop(connection: sa.Connection) -> None:
    """Close a connection for good: what failed once is not pooled."""
    with contextlib.suppress(sa.exc.SQLAlchemyError):
        connection.invalidate()
        connection.close()


_EVENTS_OF = (
    sa.select(events)
    .where(events.c.device_id == sa.bindparam("device_id"))
    .order_by(events.c.occurred_at, events.c.stream, events.c.number)
)
_ACCESS_KEY = sa.select(access_keys).where(access_keys.c.key_id == sa.bindparam("key_id"))
