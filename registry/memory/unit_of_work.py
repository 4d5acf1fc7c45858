"""A registry in memory, and its units of work: reads of one moment, writes together at commit."""

from types import TracebackType
from typing import Self

from registry.memory.access_keys import MemoryAccessKeys
from registry.memory.certificates import MemoryCertificates, MemoryRevocationLists
from registry.memory.codes import MemoryCodes
from registry.memory.decryption_keys import MemoryDecryptionKeys
from registry.memory.devices import MemoryDevices, MemoryKeys
from registry.memory.history import View, Write
from registry.memory.log import MemoryAttempts, MemoryEventLog
from registry.memory.orders import MemoryOrders
from registry.memory.policy import MemoryPolicy
from registry.memory.tables import Tables
from registry.memory.tallies import MemoryTallies


class MemoryRegistry:
    """Implements `enroll.ports.Registry`. Use it from one event loop."""

    def __init__(self) -> None:
        self._tables = Tables()

    def unit_of_work(self) -> "MemoryUnitOfWork":
        return MemoryUnitOfWork(self._tables)


class MemoryUnitOfWork:
    """Implements `enroll.ports.UnitOfWork`."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._view: View | None = None
        self._writes: list[Write] = []
        self.devices = MemoryDevices(self)
        self.keys = MemoryKeys(self)
        self.certificates = MemoryCertificates(self)
        self.codes = MemoryCodes(self)
        self.decryption_keys = MemoryDecryptionKeys(self)
        self.orders = MemoryOrders(self)
        self.tallies = MemoryTallies(self)
        self.attempts = MemoryAttempts(self)
        self.events = MemoryEventLog(self)
        self.policy = MemoryPolicy(self)
        self.crls = MemoryRevocationLists(self)
        self.access_keys = MemoryAccessKeys(self)

    @property
    def moment(self) -> int:
        if self._view is None:
            self._view = self.tables.history.view()
        return self._view.moment

    def stage(self, write: Write) -> None:
        self._writes.append(write)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_reading()
        self._writes.clear()

    async def commit(self) -> None:
        self._end_reading()
        writes, self._writes = self._writes, []
        if writes:
            self.tables.history.commit(writes)

    def _end_reading(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None
