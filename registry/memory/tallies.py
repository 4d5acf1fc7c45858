"""Counts in memory that may not pass a limit."""

from enroll.failures import ConcurrentChange
from registry.memory.tables import Session


class MemoryTallies:
    """Implements `enroll.tallies.TallyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(self, name: str, period: str = "") -> int:
        kept = self._session.tables.tallies.get(name, self._session.moment)
        return kept[1] if kept is not None and kept[0] >= period else 0

    def take(self, name: str, *, most: int, period: str = "") -> None:
        tallies = self._session.tables.tallies

        def write() -> None:
            since, count = tallies.get(name) or (period, 0)
            if since < period:
                since, count = period, 0
            if count >= most:
                raise ConcurrentChange
            tallies.put(name, (since, count + 1))

        self._session.stage(write)

    def forget(self, name: str) -> None:
        tallies = self._session.tables.tallies

        def write() -> None:
            if tallies.get(name) is not None:
                tallies.remove(name)

        self._session.stage(write)
