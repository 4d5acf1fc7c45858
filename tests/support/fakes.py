"""The world in a test's hand: time that stands still, randomness that repeats."""

from datetime import UTC, datetime, timedelta
from random import Random

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class FixedClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by


class SeededRandomness:
    """The same octets in every run, never the same twice in one."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)  # noqa: S311 - a test wants to repeat itself

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)
