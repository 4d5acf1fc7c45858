"""Attempts and events in memory: what happened, in the order of its commits."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from enroll.events import Attempt, EnrollmentEvent, Outcome
from registry.memory.tables import ATTEMPTS, Session, Tables

_DENIED = frozenset({Outcome.DENIED, Outcome.FAILED})


class MemoryAttempts:
    """Implements `enroll.ports.AttemptRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, attempt: Attempt) -> None:
        tables = self._session.tables

        def write() -> None:
            number = tables.count(ATTEMPTS)
            tables.attempts.put(number, (number, attempt))

        self._session.stage(write)

    def prune(self, *, before: datetime, keep: int) -> None:
        self._session.stage(lambda: _prune(self._session.tables, before, keep))

    async def list(
        self, *, denied_only: bool = False, since: datetime | None = None, limit: int | None = None
    ) -> Sequence[Attempt]:
        found = (
            attempt
            for _, attempt in self._session.tables.attempts.newest_first(self._session.moment)
            if (not denied_only or attempt.outcome in _DENIED)
            and (since is None or attempt.occurred_at >= since)
        )
        return list(itertools.islice(found, limit))


class MemoryEventLog:
    """Implements `enroll.ports.EventLog`; what lives in one process needs no chain."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, event: EnrollmentEvent) -> None:
        stored = replace(event, facts=json.loads(json.dumps(event.facts)))
        events = self._session.tables.events_of
        self._session.stage(lambda: events.add(stored.device_id, stored))

    async def of_device(self, device_id: str) -> Sequence[EnrollmentEvent]:
        found = self._session.tables.events_of.of(device_id, self._session.moment)
        return sorted(found, key=lambda event: event.occurred_at)


def _prune(tables: Tables, before: datetime, keep: int) -> None:
    kept = itertools.count()
    for number, attempt in tables.attempts.newest_first():
        if next(kept) >= keep or attempt.occurred_at < before:
            tables.attempts.remove(number)
