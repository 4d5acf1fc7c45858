"""The one writer: everything that waits is committed together, each unit by itself."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from enroll.events import EnrollmentEvent
from enroll.failures import AlreadyTaken, ConcurrentChange, RegistryUnavailable
from registry.chain import Chain
from registry.engine import Place, check_revision, database_errors

Write = Callable[[sa.Connection], None]
LARGEST_BATCH = 256
CAPACITY = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The staged writes of one unit of work, and where its outcome is awaited."""

    writes: Sequence[Write]
    events: Sequence[EnrollmentEvent]
    loop: asyncio.AbstractEventLoop
    outcome: "asyncio.Future[None]" = field(repr=False)


class Writer:
    """A thread that commits. It never waits for more: the batch is what came meanwhile."""

    def __init__(self, engine: sa.Engine, place: Place, *, stream: str, seal_key: bytes) -> None:
        self._engine = engine
        self._place = place
        self._stream = stream
        self._seal_key = seal_key
        self._waiting: queue.Queue[Unit | None] = queue.Queue(CAPACITY)
        self._connection: sa.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="registry-writer", daemon=True)
        self._thread.start()
        self.batches = 0
        self.appended = 0

    def submit(self, unit: Unit) -> None:
        """Hand over a unit. Raises RegistryUnavailable when too many wait already."""
        try:
            self._waiting.put_nowait(unit)
        except queue.Full:
            raise RegistryUnavailable("too many writes are waiting", retry_after=2) from None

    def close(self) -> None:
        """Commit what is waiting, and end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            batch, ending = self._next_batch()
            if batch:
                self._commit(batch)
            if ending:
                self._forget_connection()
                return

    def _next_batch(self) -> tuple[list[Unit], bool]:
        unit = self._waiting.get()
        batch: list[Unit] = []
        while unit is not None:
            batch.append(unit)
            if len(batch) == LARGEST_BATCH:
                return batch, False
            try:
                unit = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: Sequence[Unit]) -> None:
        outcomes: list[Exception | None]
        try:
            with database_errors():
                outcomes = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            self._forget_connection()
            failure = (
                error
                if isinstance(error, RegistryUnavailable)
                else RegistryUnavailable(f"the database failed: {type(error).__name__}: {error}")
            )
            outcomes = [failure] * len(batch)
        _deliver(batch, outcomes)

    def _transact(self, batch: Sequence[Unit]) -> list[Exception | None]:
        connection = self._connect()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            chain = Chain(connection, self._stream, self._seal_key)
            before = chain.head.number
            outcomes = [_apply(connection, chain, unit) for unit in batch]
            chain.finish()
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        self.batches += 1
        self.appended += chain.head.number - before
        return outcomes

    def _connect(self) -> sa.Connection:
        if self._place.check():
            self._forget_connection()
        if self._connection is None:
            connection = self._engine.connect()
            try:
                check_revision(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _forget_connection(self) -> None:
        """Drop the connection for good: a pooled one could be as broken."""
        if self._connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None


def _apply(connection: sa.Connection, chain: Chain, unit: Unit) -> Exception | None:
    """Apply one unit within its savepoint; a guard that fails undoes this unit alone."""
    head = chain.head
    connection.exec_driver_sql("SAVEPOINT unit")
    try:
        for write in unit.writes:
            write(connection)
        chain.append(unit.events)
    except (ConcurrentChange, AlreadyTaken, sa.exc.IntegrityError) as error:
        connection.exec_driver_sql("ROLLBACK TO unit")
        connection.exec_driver_sql("RELEASE unit")
        chain.rewind(head)
        return taken(error) if isinstance(error, sa.exc.IntegrityError) else error
    connection.exec_driver_sql("RELEASE unit")
    return None


def taken(error: sa.exc.IntegrityError) -> Exception:
    """Say which uniqueness a database refused to break."""
    words = str(error.orig)
    for mark, what in _UNIQUE.items():
        if mark in words:
            return AlreadyTaken(what, "that value")
    return RegistryUnavailable(f"the database refused a row: {words}")


def _roll_back(connection: sa.Connection) -> None:
    with contextlib.suppress(sa.exc.SQLAlchemyError):  # Dropping it, next, rolls back too.
        connection.exec_driver_sql("ROLLBACK")


def _deliver(batch: Sequence[Unit], outcomes: Sequence[Exception | None]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Unit, Exception | None]]] = {}
    for unit, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(unit.loop, []).append((unit, outcome))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: Sequence[tuple[Unit, Exception | None]]) -> None:
    for unit, outcome in pairs:
        if unit.outcome.done():
            continue
        if outcome is None:
            unit.outcome.set_result(None)
        else:
            unit.outcome.set_exception(outcome)


_UNIQUE = {
    "devices.tenant_id, devices.name": "device_name",
    "device_identities": "identity",
    "certificates": "serial_number",
    "enrollment_profiles": "slug",
    "groups": "name",
    "tenants": "name",
    "crls": "crl_number",
}
