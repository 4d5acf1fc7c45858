"""Counts that may not pass a limit: the uses of a shared secret, the devices of one day."""

from datetime import datetime
from typing import Protocol


class TallyRepository(Protocol):
    """Counts, each under a name and within a period; a later period begins at nothing."""

    async def read(self, name: str, period: str = "") -> int: ...

    def take(self, name: str, *, most: int, period: str = "") -> None:
        """Count one more. On commit: ConcurrentChange if that were more than `most`."""
        ...

    def forget(self, name: str) -> None:
        """Drop the count, whether there is one or not."""
        ...


def uses_of(secret_id: str) -> str:
    """Name the count of what was issued, or ordered, by a group's secret."""
    return f"secret:{secret_id}"


def newcomers_of(group_id: str) -> str:
    """Name the count of the devices that a group was joined by of themselves."""
    return f"joined:{group_id}"


def day_of(now: datetime) -> str:
    return now.date().isoformat()
