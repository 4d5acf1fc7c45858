"""The world in a test's hand: time that stands still, randomness that repeats."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

from enroll.failures import EnrollmentError
from enroll.ruling import Question, Ruling

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


class ScriptedDecisionMaker:
    """Gives its `ruling`, or raises what it is to raise, and keeps what it was asked.

    With `until` it answers no sooner than that is set; `was_asked` is set by the first question.
    """

    def __init__(self, ruling: Ruling | EnrollmentError | None = None) -> None:
        self.ruling = ruling or Ruling(allowed=True)
        self.asked: list[Question] = []
        self.until: asyncio.Event | None = None
        self.was_asked = asyncio.Event()

    async def rule(self, question: Question) -> Ruling:
        self.asked.append(question)
        self.was_asked.set()
        if self.until is not None:
            await self.until.wait()
        if isinstance(self.ruling, EnrollmentError):
            raise self.ruling
        return self.ruling
