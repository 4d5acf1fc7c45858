"""A registry in which something happens between a unit's decision and its commit."""

from collections.abc import Awaitable, Callable

from enroll.failures import ConcurrentChange, RegistryUnavailable
from registry.memory import MemoryRegistry
from registry.memory.tables import Tables
from registry.memory.unit_of_work import MemoryUnitOfWork

Interruption = Callable[[], Awaitable[object]]


class InterruptedRegistry(MemoryRegistry):
    """Before each commit the next of `interruptions` happens, as long as there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.interruptions: list[Interruption] = []

    def unit_of_work(self) -> MemoryUnitOfWork:
        return _InterruptedUnit(super().unit_of_work().tables, self.interruptions)


class _InterruptedUnit(MemoryUnitOfWork):
    def __init__(self, tables: Tables, interruptions: list[Interruption]) -> None:
        super().__init__(tables)
        self._interruptions = interruptions

    async def commit(self) -> None:
        if self._interruptions:
            await self._interruptions.pop(0)()
        await super().commit()


async def another_commit_came_first() -> None:
    raise ConcurrentChange


async def the_database_is_gone() -> None:
    raise RegistryUnavailable("the disk is full")
