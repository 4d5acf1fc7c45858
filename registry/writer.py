"""The one writer: everything that waits is committed together, each unit by itself."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from enroll.events import EnrollmentEvent
from enroll.failures import AlreadyTaken, ConcurrentChange, RegistryUnavailable
from registry.chain import Chain
from registry.database import Database, RowRefused, TryAgain, WriteTransaction
from registry.statements import Change, Query, Values

LARGEST_BATCH = 64
CAPACITY = 2_000
TRIES = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A change of exactly one row. `otherwise` is raised where the row is not changed."""

    change: Change
    values: Values
    otherwise: Exception = field(default_factory=ConcurrentChange)

    async def apply(self, transaction: WriteTransaction) -> None:
        try:
            changed = await transaction.change(self.change, self.values)
        except RowRefused as error:
            taken = self.otherwise
            if isinstance(taken, AlreadyTaken) and _UNIQUE.get(error.table) == taken.what:
                raise taken from error
            raise
        if changed != 1:
            raise self.otherwise


@dataclass(frozen=True, slots=True)
class Guard:
    """A row that must be there when the unit commits, or ConcurrentChange."""

    query: Query
    values: Values

    async def apply(self, transaction: WriteTransaction) -> None:
        if not await transaction.rows(self.query, self.values):
            raise ConcurrentChange


Step = Callable[[WriteTransaction], Awaitable[None]]
"""Whatever has to look before it writes: applied by itself."""

Write = Row | Guard | Step


@dataclass(frozen=True, slots=True)
class Unit:
    """The staged writes of one unit of work, and where its outcome is awaited."""

    writes: Sequence[Write]
    events: Sequence[EnrollmentEvent]
    outcome: "asyncio.Future[None]" = field(repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether its rows may be changed in any order among those of other plain units."""
        return all(isinstance(each, Row | Guard) for each in self.writes)


class Writer:
    """Commits. It never waits for more: the batch is what came while the last one committed."""

    def __init__(self, database: Database, *, stream: str, seal_key: bytes) -> None:
        self._database = database
        self._stream = stream
        self._seal_key = seal_key
        self._waiting: deque[Unit] = deque()
        self._running: asyncio.Task[None] | None = None
        self.batches = 0
        self.appended = 0

    def submit(self, unit: Unit) -> None:
        """Hand over a unit. Raises RegistryUnavailable when too many wait already."""
        if len(self._waiting) >= CAPACITY:
            raise RegistryUnavailable("too many writes are waiting", retry_after=2)
        self._waiting.append(unit)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def drain(self) -> None:
        """Return when all that was handed over has been committed or refused."""
        while self._running is not None:
            await asyncio.shield(self._running)

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(LARGEST_BATCH, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(size)]
                for unit, outcome in zip(batch, await self._commit(batch), strict=True):
                    _resolve(unit, outcome)
        finally:
            self._running = None

    async def _commit(self, batch: Sequence[Unit]) -> Sequence[Exception | None]:
        try:
            for _ in range(TRIES - 1):
                with contextlib.suppress(TryAgain):
                    return await self._transact(batch)
            return await self._transact(batch)
        except RegistryUnavailable as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            if len(batch) > 1 and not isinstance(error, TryAgain):
                # A value of one of them cannot be written; that is no fault of the others'.
                return [outcome for unit in batch for outcome in await self._commit([unit])]
            words = f"the database failed: {type(error).__name__}: {error}"
            return [RegistryUnavailable(words)] * len(batch)

    async def _transact(self, batch: Sequence[Unit]) -> Sequence[Exception | None]:
        transaction = await self._database.write()
        try:
            chain = await Chain.open(transaction, self._stream, self._seal_key)
            outcomes = await _apply(transaction, chain, batch)
            appended = await chain.finish()
            await transaction.commit()
        except BaseException:
            await transaction.roll_back()
            raise
        self.batches += 1
        self.appended += appended
        return outcomes


async def _apply(
    transaction: WriteTransaction, chain: Chain, batch: Sequence[Unit]
) -> Sequence[Exception | None]:
    """Apply plain units all at once; if any guard fails, and for the others, one by one."""
    plain = [unit for unit in batch if unit.is_plain]
    together = {id(unit) for unit in plain} if await _together(transaction, chain, plain) else ()
    return [
        None if id(unit) in together else await _alone(transaction, chain, unit) for unit in batch
    ]


async def _together(transaction: WriteTransaction, chain: Chain, units: Sequence[Unit]) -> bool:
    """Apply the rows of all units, statement by statement; or nothing, and say so.

    A unit's rows are its own: another that touches the same fails its guard here, and is then
    applied in its turn. So no order among the statements can make a difference that goes unseen.
    """
    if not units:
        return False
    head = chain.head
    rows: dict[Change, list[Values]] = {}
    for unit in units:
        for write in unit.writes:
            if isinstance(write, Row):
                rows.setdefault(write.change, []).append(write.values)
    await transaction.set_savepoint()
    try:
        if await _guards_hold(transaction, units):
            entries = chain.link(event for unit in units for event in unit.events)
            changes = [*rows.items(), entries] if entries[1] else list(rows.items())
            counts = await transaction.change_many(changes)
            if all(count == len(many) for count, (_, many) in zip(counts, changes, strict=True)):
                await transaction.release_savepoint()
                return True
    except RowRefused:
        pass
    await transaction.undo_to_savepoint()
    chain.rewind(head)
    return False


async def _guards_hold(transaction: WriteTransaction, units: Sequence[Unit]) -> bool:
    """Check each guard once, however many units have it."""
    checked: set[tuple[int, tuple[object, ...]]] = set()
    for unit in units:
        for write in unit.writes:
            if isinstance(write, Guard):
                key = (id(write.query), tuple(write.values.values()))
                if key not in checked:
                    checked.add(key)
                    if not await transaction.rows(write.query, write.values):
                        return False
    return True


async def _alone(transaction: WriteTransaction, chain: Chain, unit: Unit) -> Exception | None:
    """Apply one unit in the order of its writes; a guard that fails undoes this unit alone."""
    head = chain.head
    await transaction.set_savepoint()
    try:
        for write in unit.writes:
            await (write(transaction) if callable(write) else write.apply(transaction))
        entries = chain.link(unit.events)
        if entries[1]:
            await transaction.change_many([entries])
    except (ConcurrentChange, AlreadyTaken, RowRefused) as error:
        await transaction.undo_to_savepoint()
        chain.rewind(head)
        if isinstance(error, RowRefused):
            return RegistryUnavailable(f"the database refused a row: {error.words}")
        return error
    await transaction.release_savepoint()
    return None


def _resolve(unit: Unit, outcome: Exception | None) -> None:
    if unit.outcome.done():
        return
    if outcome is None:
        unit.outcome.set_result(None)
    else:
        unit.outcome.set_exception(outcome)


_UNIQUE: Mapping[str, str] = {
    "devices": "device_name",
    "device_identities": "identity",
    "device_keys": "public_key",
    "certificates": "serial_number",
    "decryption_keys": "key_identifier",
    "orders": "order",
}
"""What is unique in a table whose rows are changed one by one."""
